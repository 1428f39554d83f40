"""An inbox's acknowledgement: the reader moves on, and the rows by which transactions said that
they were done with an event are dropped, in one decision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from postbox.hosts.applications.draft_tables import HANDLED
from postbox.log.outbox_rules import acknowledged, needs_of
from postbox.log.outbox_tables import DEAD, OUTBOX
from postbox.rules import Decision, Payer, RowKey, State
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


class InboxRules:
    lane = Lane.NODE
    tables = (OUTBOX, DEAD, HANDLED)

    def needs(self, draft: Settled, state: State) -> Iterable[RowKey]:
        yield from needs_of(state, draft.reader, draft.pos)

    def decide(self, draft: Settled, state: State, at_ms: int) -> Decision:
        decision = acknowledged(state, draft.reader, draft.pos)
        if decision.refuse is not None:
            return decision
        rows = [RowKey(HANDLED, (draft.reader, pos)) for pos in draft.handled]
        return replace(decision, drops=(*decision.drops, *rows))

    def replaces(self, draft: Settled, stored: Found) -> bool:
        return False
