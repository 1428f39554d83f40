"""Up to where a user has read, and has everything: watermarks, which only grow.

A newer one takes the place of the older, so the log does not grow with reading. It is for all
members, but in large conversations, where a message would make as many of them as there are
members: there it is for the user's own devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from postbox.clients.events import bodies
from postbox.clients.events.incoming import Delivered, Read
from postbox.clients.events.kinds import Kind
from postbox.clients.rules.draft import ClientDraft, entry_in, entry_of_user
from postbox.clients.rules.refusals import refuse
from postbox.clients.rules.targets import (
    needs_of_membership,
    needs_of_target,
    present,
    stored,
    target,
)
from postbox.clients.rules.tombs import same_as, tomb
from postbox.clients.tables import (
    CONVERSATION,
    WATERMARK,
    Conversation,
    Member,
    Watermark,
    read_row,
    row_of,
)
from postbox.rules import Decision, EntryKey, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane

MAX_MEMBERS_TOLD = 100
"""Up to as many members all are told: about as many as a person looks at who has read what."""


def needs(
    draft: ClientDraft, content: Read | Delivered, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    match content:
        case Read(message):
            found = yield from needs_of_target(draft, message, state)
            if found is not None:
                yield from _needs(draft, found.conversation, Kind.READ_NEW_MESSAGE, state)
        case Delivered():
            yield from needs_of_membership(draft)
            member = present(draft, state)
            if isinstance(member, Member):
                yield from _needs(draft, member.conversation, Kind.DELIVERED_UP_TO, state)
        case _ as never:
            assert_never(never)


def _needs(
    draft: ClientDraft, conversation: bytes, kind: Kind, state: State
) -> Iterable[RowKey | EntryKey]:
    yield RowKey(CONVERSATION, (conversation,))
    yield RowKey(WATERMARK, (conversation, draft.device.user, int(kind)))
    last = _last(draft, conversation, kind, state)
    if last is not None:
        yield EntryKey(Lane.CLIENTS, last.event)


def decide(draft: ClientDraft, content: Read | Delivered, state: State, at_ms: int) -> Decision:
    match content:
        case Read():
            return _read(draft, content, state, at_ms)
        case Delivered():
            return _deliver(draft, content, state, at_ms)
        case _ as never:
            assert_never(never)


def _read(draft: ClientDraft, content: Read, state: State, at_ms: int) -> Decision:
    found = target(draft, content.message, state)
    if isinstance(found, Reason):
        return refuse(found)
    seq = found.found.seq or 0
    told = bodies.read_new_message(found.id, seq)
    return _raised(draft, found.conversation, Kind.READ_NEW_MESSAGE, seq, told, state, at_ms)


def _deliver(draft: ClientDraft, content: Delivered, state: State, at_ms: int) -> Decision:
    member = present(draft, state)
    if isinstance(member, Reason):
        return refuse(member)
    told = bodies.delivered_up_to(content.seq)
    return _raised(
        draft, member.conversation, Kind.DELIVERED_UP_TO, content.seq, told, state, at_ms
    )


def _raised(
    draft: ClientDraft,
    conversation: bytes,
    kind: Kind,
    seq: int,
    told: bytes,
    state: State,
    at_ms: int,
) -> Decision:
    last = _last(draft, conversation, kind, state)
    now = Watermark(conversation, draft.device.user, int(kind), seq, draft.id)
    puts: tuple[Put, ...] = (Put(WATERMARK, row_of(now)),)
    removes: tuple[int, ...] = ()
    if last is not None:
        there = stored(last.event, state)
        if seq <= last.seq:
            return same_as(draft, there, at_ms)
        puts += (tomb(last.event, there.pos, at_ms),)
        removes = (there.pos,)
    if _is_large(conversation, state):
        entry = entry_of_user(draft, kind, told, at_ms, conversation)
    else:
        entry = entry_in(draft, conversation, kind, told, at_ms, is_numbered=False)
    return Decision((entry,), puts, removes=removes)


def _last(draft: ClientDraft, conversation: bytes, kind: Kind, state: State) -> Watermark | None:
    row = state[WATERMARK, (conversation, draft.device.user, int(kind))]
    return None if row is None else read_row(Watermark, row)


def _is_large(conversation: bytes, state: State) -> bool:
    row = state[CONVERSATION, (conversation,)]
    return row is not None and read_row(Conversation, row).members > MAX_MEMBERS_TOLD
