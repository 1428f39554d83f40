"""What becomes of an application's draft that was not posted by the decision that drops its row."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from postbox.hosts.applications.draft_tables import DRAFT
from postbox.rules import Decision, Payer, Put, RowKey, State
from postbox.store.contract import Found, Lane, Scalar

PAYER = Payer("operator", "drafts")


class Settle(Struct, frozen=True):
    """The row is dropped, or kept with its problem."""

    id: bytes
    n: int
    problem: str = ""

    @property
    def payer(self) -> Payer:
        return PAYER

    @property
    def size_bytes(self) -> int:
        return 256


class SettleRules:
    lane = Lane.HOSTS
    tables = (DRAFT,)

    def needs(self, draft: Settle, state: State) -> Iterable[RowKey]:
        yield RowKey(DRAFT, (draft.n,))

    def decide(self, draft: Settle, state: State, at_ms: int) -> Decision:
        row = state[DRAFT, (draft.n,)]
        if row is None:
            return Decision()
        if not draft.problem:
            return Decision(drops=(RowKey(DRAFT, (draft.n,)),))
        return Decision(puts=(Put(DRAFT, (*map(_storable, row[:-1]), draft.problem)),))

    def replaces(self, draft: Settle, stored: Found) -> bool:
        return False


def _storable(value: Scalar) -> Scalar:
    """SQLite lets an application write a text with NUL, which counts up to there alone, and which
    no store takes from us. Nobody is called by what is left of it."""
    return value.partition("\0")[0] if isinstance(value, str) else value
