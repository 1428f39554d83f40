"""Events that leave no entry, or whose entry another one replaced: where their id points to.

What is there already is accepted and not stored again: a reaction, a smaller watermark, a member
who is in. Its tomb says so when it comes again, and is a place to go on from for a device whose
cursor it is. Only what may leave no entry looks for one: the same uuid with another content is a
fault of the device's, and that is judged. Tombs are forgotten after a while; what they stand for is
a set or only grows, so an event that comes even later is judged by what is there then.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from postbox.clients.events.incoming import (
    AddMember,
    DeleteMessage,
    React,
    Read,
    RemoveMember,
    Unreact,
)
from postbox.clients.ids import ID_BYTES
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.tables import TOMB, Tomb, read_row, row_of
from postbox.rules import Decision, Duplicate, EntryKey, Payer, Put, RowKey, State, StreamKey
from postbox.store.contract import Found, Lane, Table

_MAY_LEAVE_NO_ENTRY = (Read, React, Unreact, AddMember, RemoveMember, DeleteMessage)


def needs_of_tomb(draft: ClientDraft) -> tuple[RowKey, ...]:
    return (RowKey(TOMB, (draft.id,)),) if _may_have_one(draft) else ()


def buried(draft: ClientDraft, state: State) -> Decision | None:
    """The draft was accepted before, and has no entry, or none any more."""
    if not _may_have_one(draft) or (row := state[TOMB, (draft.id,)]) is None:
        return None
    return Decision(same_as=Duplicate(read_row(Tomb, row).pos, None))


def _may_have_one(draft: ClientDraft) -> bool:
    return isinstance(draft.incoming.content, _MAY_LEAVE_NO_ENTRY)


def tomb(event: bytes, pos: int, at_ms: int) -> Put:
    return Put(TOMB, row_of(Tomb(event, pos, at_ms)))


def same_as(draft: ClientDraft, there: Found, at_ms: int) -> Decision:
    """What the draft says is so already, by what is there. Nobody has the host's own as a cursor,
    and none of them comes twice."""
    puts = () if draft.is_hosts else (tomb(draft.id, there.pos, at_ms),)
    return Decision(puts=puts, same_as=Duplicate(there.pos, there.seq))


class Forget(Struct, frozen=True):
    """Tombs that are older than that. `id`: 16 new bytes."""

    id: bytes
    tombs: tuple[bytes, ...]
    before_ms: int

    @property
    def payer(self) -> Payer:
        return Payer("operator", "")

    @property
    def size_bytes(self) -> int:
        return len(self.tombs) * ID_BYTES


class TombRules:
    lane: Lane = Lane.CLIENTS
    tables: tuple[Table, ...] = (TOMB,)

    def needs(self, draft: Forget, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        return [RowKey(TOMB, (event,)) for event in draft.tombs]

    def decide(self, draft: Forget, state: State, at_ms: int) -> Decision:
        """One that was made again meanwhile stays."""
        rows = {event: state[TOMB, (event,)] for event in draft.tombs}
        old = [
            event
            for event, row in rows.items()
            if row is not None and read_row(Tomb, row).at_ms < draft.before_ms
        ]
        return Decision(drops=tuple([RowKey(TOMB, (event,)) for event in old]))

    def replaces(self, draft: Forget, stored: Found) -> bool:
        return False
