"""Conversations: creating one with its first members, and what it is called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.incoming import CreateConversation, RenameConversation
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, text_of
from postbox.clients.rules.draft import ClientDraft, entry_in
from postbox.clients.rules.periods import (
    account,
    added_key,
    begun,
    needs_of_picture,
    person_of,
    shown_picture,
    why_not,
    windows_change,
)
from postbox.clients.rules.refusals import NO_CONVERSATION, refuse, unknown_users
from postbox.clients.rules.targets import needs_of_membership, present, why_outdated
from postbox.clients.tables import (
    ACCOUNT,
    CONVERSATION,
    Account,
    Conversation,
    Member,
    Role,
    read_row,
    row_of,
)
from postbox.rules import Decision, EntryKey, Put, Reason, RowKey, State, StreamKey


def needs(
    draft: ClientDraft, content: CreateConversation | RenameConversation, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    match content:
        case CreateConversation():
            yield from _needs_of_creating(draft, content, state)
        case RenameConversation():
            yield from needs_of_membership(draft)
            member = present(draft, state)
            if isinstance(member, Member):
                yield RowKey(CONVERSATION, (member.conversation,))
        case _ as never:
            assert_never(never)


def decide(
    draft: ClientDraft,
    content: CreateConversation | RenameConversation,
    state: State,
    at_ms: int,
) -> Decision:
    match content:
        case CreateConversation():
            return _create(draft, content, state, at_ms)
        case RenameConversation():
            return _rename(draft, content, state, at_ms)
        case _ as never:
            assert_never(never)


def _needs_of_creating(
    draft: ClientDraft, content: CreateConversation, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    users = _users(draft, content)
    yield StreamKey(conversation_stream(draft.id))
    yield from [RowKey(ACCOUNT, (user,)) for user in users]
    yield from [added_key(user, draft.device.user) for user in users]
    for user in users:
        found = account(user, state)
        if found is not None:
            yield from needs_of_picture(found)


def _create(draft: ClientDraft, content: CreateConversation, state: State, at_ms: int) -> Decision:
    """One entry in the conversation, which says who is in it: its author as the owner. They see
    everything from the first number on."""
    users = _users(draft, content)
    found = [account(user, state) for user in users]
    accounts = [each for each in found if each is not None]
    if len(accounts) < len(users):
        return refuse(unknown_users(_called(content, users, found)))
    full = next(filter(None, [why_not(draft, each, state) for each in accounts]), None)
    if full is not None:
        return refuse(full)
    conversation = draft.id
    told = bodies.conversation_created(conversation, content.name, map(person_of, accounts))
    entries = [windows_change(draft, user, conversation, at_ms) for user in users]
    entries.append(entry_in(draft, conversation, Kind.CONVERSATION_CREATED, told, at_ms))
    for each in accounts:
        entries += shown_picture(draft, each, conversation, state, at_ms)
    made = Conversation(conversation, content.name, draft.id, len(users), 1, at_ms)
    puts = [Put(CONVERSATION, row_of(made))]
    for each in accounts:
        puts += begun(draft, each, conversation, _role(draft, each), 1, state, sees_all=False)
    return Decision(tuple(entries), tuple(puts))


def _users(draft: ClientDraft, content: CreateConversation) -> tuple[bytes, ...]:
    """The author and the others, each once."""
    return tuple(dict.fromkeys((draft.device.user, *content.members)))


def _called(
    content: CreateConversation, users: tuple[bytes, ...], found: list[Account | None]
) -> list[str]:
    """Those who are not found, as the device calls them."""
    names = dict(zip(content.members, content.called, strict=False))
    gone = [user for user, account in zip(users, found, strict=True) if account is None]
    return [names.get(user) or text_of(user) for user in gone]


def _role(draft: ClientDraft, account: Account) -> Role:
    return Role.OWNER if account.user == draft.device.user else Role.MEMBER


def _rename(draft: ClientDraft, content: RenameConversation, state: State, at_ms: int) -> Decision:
    member = present(draft, state)
    if isinstance(member, Reason):
        return refuse(member)
    before = conversation(member.conversation, state)
    if before is None:
        return refuse(NO_CONVERSATION)
    outdated = why_outdated(draft, before.name_event, state)
    if outdated is not None:
        return refuse(outdated)
    told = bodies.conversation_name_changed(
        before.conversation, content.name, draft.device.user, at_ms
    )
    entry = entry_in(draft, before.conversation, Kind.CONVERSATION_NAME_CHANGED, told, at_ms)
    now = replace(before, name=content.name, name_event=draft.id)
    return Decision((entry,), (Put(CONVERSATION, row_of(now)),))


def conversation(id: bytes, state: State) -> Conversation | None:
    row = state[CONVERSATION, (id,)]
    return None if row is None else read_row(Conversation, row)
