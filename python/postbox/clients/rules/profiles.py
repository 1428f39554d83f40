"""What a user shows of itself: a name and a picture.

The change itself is for the user's own devices; a copy of it, made in the same commit, goes to each
of the user's conversations. A picture's bytes are kept once, for as long as somebody has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.incoming import SetDisplayName, SetPicture
from postbox.clients.events.kinds import IS_COPY, Kind
from postbox.clients.ids import conversation_stream, copy_id
from postbox.clients.rules.draft import ClientDraft, entry_of_user
from postbox.clients.rules.periods import account
from postbox.clients.rules.refusals import NO_USER, refuse
from postbox.clients.rules.targets import why_outdated
from postbox.clients.tables import ACCOUNT, PICTURE, PICTURE_USE, Account, account_row
from postbox.rpc.fields import bytes_field
from postbox.rules import Decision, NewEntry, Put, RowKey, State
from postbox.store.contract import Lane


def needs(
    draft: ClientDraft, content: SetDisplayName | SetPicture, state: State
) -> Iterable[RowKey]:
    yield RowKey(ACCOUNT, (draft.device.user,))
    if isinstance(content, SetPicture):
        if content.sha256:
            yield RowKey(PICTURE_USE, (content.sha256,))
        before = account(draft.device.user, state)
        if before is not None and before.picture:
            yield RowKey(PICTURE_USE, (before.picture,))


def decide(
    draft: ClientDraft, content: SetDisplayName | SetPicture, state: State, at_ms: int
) -> Decision:
    before = account(draft.device.user, state)
    if before is None:
        return refuse(NO_USER)
    match content:
        case SetDisplayName():
            return _rename(draft, content, before, state, at_ms)
        case SetPicture():
            return _picture(draft, content, before, state, at_ms)
        case _ as never:
            assert_never(never)


def _rename(
    draft: ClientDraft, content: SetDisplayName, before: Account, state: State, at_ms: int
) -> Decision:
    outdated = why_outdated(draft, before.name_event, state)
    if outdated is not None:
        return refuse(outdated)
    told = bodies.display_name_changed(before.user, content.name)
    entries = _told(draft, before, Kind.DISPLAY_NAME_CHANGED, told, at_ms)
    now = replace(before, display=content.name, name_event=draft.id)
    return Decision(entries, (Put(ACCOUNT, account_row(now)),))


def _picture(
    draft: ClientDraft, content: SetPicture, before: Account, state: State, at_ms: int
) -> Decision:
    outdated = why_outdated(draft, before.picture_event, state)
    if outdated is not None:
        return refuse(outdated)
    told = bodies.picture_changed(before.user, content.sha256)
    entries = _told(draft, before, Kind.PROFILE_PICTURE_CHANGED, told, at_ms)
    now = replace(before, picture=content.sha256, picture_event=draft.id)
    puts = [Put(ACCOUNT, account_row(now))]
    if content.sha256 == before.picture:
        return Decision(entries, tuple(puts))
    if content.sha256:
        puts += _used(content, state)
    given, drops = _let_go(before.picture, state)
    return Decision(entries, (*puts, *given), drops)


def _told(
    draft: ClientDraft, before: Account, kind: Kind, told: bytes, at_ms: int
) -> tuple[NewEntry, ...]:
    return (
        entry_of_user(draft, kind, told, at_ms),
        *[_copy(draft, conversation, kind, told, at_ms) for conversation in before.conversations],
    )


def _copy(draft: ClientDraft, conversation: bytes, kind: Kind, told: bytes, at_ms: int) -> NewEntry:
    return NewEntry(
        Lane.CLIENTS,
        conversation_stream(conversation),
        copy_id(draft.id, conversation),
        int(kind),
        draft.author,
        at_ms,
        bodies.enveloped(
            bytes_field(kind, told), draft.device.user, conversation, draft.incoming.client_ms
        ),
        IS_COPY,
    )


def _used(content: SetPicture, state: State) -> tuple[Put, ...]:
    users = _users(content.sha256, state)
    used = Put(PICTURE_USE, (content.sha256, users + 1))
    return (used,) if users else (Put(PICTURE, (content.sha256, content.png)), used)


def _let_go(sha256: bytes, state: State) -> tuple[tuple[Put, ...], tuple[RowKey, ...]]:
    """By one user. The bytes go with the last."""
    users = _users(sha256, state) if sha256 else 0
    if users > 1:
        return (Put(PICTURE_USE, (sha256, users - 1)),), ()
    if users == 1:
        return (), (RowKey(PICTURE_USE, (sha256,)), RowKey(PICTURE, (sha256,)))
    return (), ()


def _users(sha256: bytes, state: State) -> int:
    row = state[PICTURE_USE, (sha256,)]
    return 0 if row is None else int(row[1] or 0)
