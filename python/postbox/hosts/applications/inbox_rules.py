"""An inbox's acknowledgement: the reader moves on, and the rows by which transactions said that
they were done with an event are dropped, in one decision. And the types that have handlers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from postbox.hosts.applications.draft_tables import HANDLED, HANDLER
from postbox.log.outbox_rules import acknowledged, needs_of
from postbox.log.outbox_tables import DEAD, OUTBOX
from postbox.rules import Decision, Payer, Put, RowKey, State
from postbox.store.contract import Found, Lane

Positions: TypeAlias = tuple[int, ...]


class Settled(Struct, frozen=True):
    """Done with the entry at `pos` and all before it; with a revived one, with that one."""

    id: bytes
    reader: str
    pos: int
    handled: Positions  # those that have a row

    @property
    def payer(self) -> Payer:
        return Payer("operator", self.reader)  # readers take turns

    @property
    def size_bytes(self) -> int:
        return 256 + 16 * len(self.handled)


class Noted(Struct, frozen=True):
    """A process has handlers for these types."""

    id: bytes
    types: tuple[str, ...]

    @property
    def payer(self) -> Payer:
        return Payer("operator", "handlers")

    @property
    def size_bytes(self) -> int:
        return 256 + 256 * len(self.types)


InboxDraft: TypeAlias = Settled | Noted


class InboxRules:
    lane = Lane.NODE
    tables = (OUTBOX, DEAD, HANDLED, HANDLER)

    def needs(self, draft: InboxDraft, state: State) -> Iterable[RowKey]:
        match draft:
            case Settled():
                yield from needs_of(state, draft.reader, draft.pos)
            case Noted():
                return
            case _ as never:
                assert_never(never)

    def decide(self, draft: InboxDraft, state: State, at_ms: int) -> Decision:
        match draft:
            case Settled():
                return _settled(draft, state)
            case Noted():
                return Decision(puts=tuple(Put(HANDLER, (name,)) for name in draft.types))
            case _ as never:
                assert_never(never)

    def replaces(self, draft: InboxDraft, stored: Found) -> bool:
        return False


def _settled(draft: Settled, state: State) -> Decision:
    decision = acknowledged(state, draft.reader, draft.pos)
    if decision.refuse is not None:
        return decision
    rows = [RowKey(HANDLED, (draft.reader, pos)) for pos in draft.handled]
    return replace(decision, drops=(*decision.drops, *rows))
