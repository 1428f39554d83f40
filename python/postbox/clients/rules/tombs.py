"""Events that leave no entry, or whose entry another one replaced: where their id points to.

What is there already is accepted and not stored again: a reaction, a smaller watermark, a member
who is in. Its tomb says so when it comes again, and is a place to go on from for a device whose
cursor it is. Only what may leave no entry looks for one: the same uuid with another content is a
fault of the device's, and that is judged. Tombs are forgotten after a while; what they stand for is
a set or only grows, so an event that comes even later is judged by what is there then.
"""

from __future__ import annotations

from postbox.clients.events.incoming import (
    AddMember,
    DeleteMessage,
    React,
    Read,
    RemoveMember,
    Unreact,
)
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.tables import TOMB, Tomb, read_row, row_of
from postbox.rules import Decision, Duplicate, Put, RowKey, State
from postbox.store.contract import Found

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
