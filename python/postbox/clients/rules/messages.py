"""Messages: sending, editing and deleting, and what applications send that this host does not know.

Only its author changes a message. What an edit replaces is erased, and of a deleted message all
text is: their numbers stay, so that no device thinks that it has missed something.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import assert_never

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.incoming import DeleteMessage, EditMessage, Foreign, SendMessage
from postbox.clients.events.kinds import Kind
from postbox.clients.rules.draft import ClientDraft, entry_in, entry_of_user
from postbox.clients.rules.refusals import DELETED, NO_MESSAGE, NOT_THE_AUTHOR, refuse
from postbox.clients.rules.targets import (
    Target,
    needs_of_membership,
    needs_of_target,
    present,
    stored,
    target,
    why_outdated,
)
from postbox.clients.rules.tombs import same_as
from postbox.clients.tables import CHANGED_MESSAGE, ChangedMessage, read_row, row_of
from postbox.rules import Decision, EntryKey, NewEntry, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane


def needs(
    draft: ClientDraft,
    content: SendMessage | EditMessage | DeleteMessage | Foreign,
    state: State,
) -> Iterable[RowKey | EntryKey | StreamKey]:
    match content:
        case SendMessage(_, reply_to):
            return chain(needs_of_membership(draft), _needs_of_reply(draft, reply_to, state))
        case EditMessage(message, _, reply_to):
            changing = _needs_of_changing(draft, message, state)
            return chain(changing, _needs_of_reply(draft, reply_to, state))
        case DeleteMessage(message):
            return _needs_of_changing(draft, message, state)
        case Foreign():
            return () if draft.incoming.conversation is None else needs_of_membership(draft)
        case _ as never:
            assert_never(never)


def decide(
    draft: ClientDraft,
    content: SendMessage | EditMessage | DeleteMessage | Foreign,
    state: State,
    at_ms: int,
) -> Decision:
    match content:
        case SendMessage():
            return _send(draft, content, state, at_ms)
        case EditMessage():
            return _edit(draft, content, state, at_ms)
        case DeleteMessage():
            return _delete(draft, content, state, at_ms)
        case Foreign():
            return _pass_on(draft, content, state, at_ms)
        case _ as never:
            assert_never(never)


def _needs_of_reply(
    draft: ClientDraft, reply_to: bytes | None, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    return () if reply_to is None else needs_of_target(draft, reply_to, state)


def _needs_of_changing(
    draft: ClientDraft, message: bytes, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    found = yield from needs_of_target(draft, message, state)
    if found is not None:
        yield RowKey(CHANGED_MESSAGE, (found.id,))
        now = changed(found.id, state)
        yield from [EntryKey(Lane.CLIENTS, event) for event in (now.edit, now.deletion) if event]


def _send(draft: ClientDraft, content: SendMessage, state: State, at_ms: int) -> Decision:
    member = present(draft, state)
    if isinstance(member, Reason):
        return refuse(member)
    reply_to = _answered(draft, content.reply_to, member.conversation, state)
    if isinstance(reply_to, Reason):
        return refuse(reply_to)
    conversation = member.conversation
    message = bodies.message(conversation, content.text, reply_to, content.other)
    told = bodies.new_message(draft.id, message)
    return Decision((entry_in(draft, conversation, Kind.NEW_MESSAGE, told, at_ms),))


def _answered(
    draft: ClientDraft, named: bytes | None, conversation: bytes, state: State
) -> bytes | Reason | None:
    """The message that this one replies to: of the same conversation."""
    if named is None:
        return None
    found = target(draft, named, state)
    if isinstance(found, Reason):
        return found
    return found.id if found.is_message and found.conversation == conversation else NO_MESSAGE


def changed(message: bytes, state: State) -> ChangedMessage:
    row = state[CHANGED_MESSAGE, (message,)]
    if row is None:
        return ChangedMessage(message, b"")
    return read_row(ChangedMessage, row)


def _edit(draft: ClientDraft, content: EditMessage, state: State, at_ms: int) -> Decision:
    found = _own_message(draft, content.message, state)
    if isinstance(found, Reason):
        return refuse(found)
    if found.found.kind != Kind.NEW_MESSAGE:
        return refuse(NO_MESSAGE)
    before = changed(found.id, state)
    if before.deletion:
        return refuse(DELETED)
    outdated = why_outdated(draft, before.edit or found.id, state)
    if outdated is not None:
        return refuse(outdated)
    reply_to = _answered(draft, content.reply_to, found.conversation, state)
    if isinstance(reply_to, Reason):
        return refuse(reply_to)
    conversation = found.conversation
    message = bodies.message(conversation, content.text, reply_to, content.other)
    told = bodies.message_edited(found.id, message)
    entry = entry_in(draft, conversation, Kind.MESSAGE_EDITED, told, at_ms)
    return _changed(entry, replace(before, edit=draft.id), _edits(before, state))


def _delete(draft: ClientDraft, content: DeleteMessage, state: State, at_ms: int) -> Decision:
    found = _own_message(draft, content.message, state)
    if isinstance(found, Reason):
        return refuse(found)
    before = changed(found.id, state)
    if before.deletion:
        return same_as(draft, stored(before.deletion, state), at_ms)
    told = bodies.message_deleted(found.id)
    entry = entry_in(draft, found.conversation, Kind.MESSAGE_DELETED, told, at_ms)
    erased = (found.found.pos, *_edits(before, state))
    return _changed(entry, replace(before, edit=b"", deletion=draft.id), erased)


def _own_message(draft: ClientDraft, named: bytes, state: State) -> Target | Reason:
    found = target(draft, named, state)
    if isinstance(found, Reason):
        return found
    if not found.is_message:
        return NO_MESSAGE
    return found if found.is_by(draft.device.user) else NOT_THE_AUTHOR


def _edits(before: ChangedMessage, state: State) -> tuple[int, ...]:
    """Where what a change replaces is, beside the message itself: at one place at most."""
    return (stored(before.edit, state).pos,) if before.edit else ()


def _changed(entry: NewEntry, now: ChangedMessage, erased: tuple[int, ...]) -> Decision:
    return Decision((entry,), (Put(CHANGED_MESSAGE, row_of(now)),), blanks=erased)


def _pass_on(draft: ClientDraft, content: Foreign, state: State, at_ms: int) -> Decision:
    """Without a conversation it is for the author's other devices."""
    if draft.incoming.conversation is None:
        return Decision((entry_of_user(draft, content.kind, content.field, at_ms),))
    member = present(draft, state)
    if isinstance(member, Reason):
        return refuse(member)
    entry = entry_in(draft, member.conversation, content.kind, content.field, at_ms)
    return Decision((entry,))
