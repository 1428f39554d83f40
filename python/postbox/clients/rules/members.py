"""Who is in a conversation: adding, leaving, removing, and roles.

Any member adds others. Owners remove others and give roles; where no owner is left, every member
may. To add who is in, or to remove who has gone, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.incoming import AddMember, RemoveMember
from postbox.clients.events.kinds import Kind
from postbox.clients.rules.conversations import conversation
from postbox.clients.rules.draft import ClientDraft, entry_in
from postbox.clients.rules.periods import (
    account,
    begun,
    ended,
    forgotten,
    needs_of_picture,
    period_key,
    person_of,
    shown_picture,
    why_not,
    windows_change,
)
from postbox.clients.rules.refusals import (
    NO_CONVERSATION,
    NO_USER,
    NOT_AN_OWNER,
    QUOTA,
    refuse,
)
from postbox.clients.rules.targets import membership, needs_of_membership, stored
from postbox.clients.rules.tombs import same_as
from postbox.clients.tables import (
    ACCOUNT,
    CONVERSATION,
    MAX_MEMBERS,
    MEMBER,
    Account,
    Conversation,
    Member,
    Role,
    read_row,
    row_of,
)
from postbox.rules import Decision, EntryKey, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane

_FULL = Reason(QUOTA, f"the conversation has {MAX_MEMBERS:,} members, which is as many as it may")


class _Scene(NamedTuple):
    conversation: Conversation
    author: Member
    other: Member | None
    """Whom it is about, who may be the author. None: never was in."""

    @property
    def may_rule(self) -> bool:
        """Roles and others' membership are the author's to change."""
        return self.author.role is Role.OWNER or self.conversation.owners == 0


def needs(
    draft: ClientDraft, content: AddMember | RemoveMember, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    yield RowKey(ACCOUNT, (content.user,))
    yield from needs_of_membership(draft)
    author = membership(draft, state)
    if isinstance(author, Reason):
        return
    yield RowKey(CONVERSATION, (author.conversation,))
    yield RowKey(MEMBER, (author.conversation, content.user))
    other = _member(author.conversation, content.user, state)
    if other is not None:
        yield period_key(other)
        yield EntryKey(Lane.CLIENTS, other.event)
    found = account(content.user, state)
    if isinstance(content, AddMember) and found is not None:
        yield from needs_of_picture(found)


def _member(conversation: bytes, user: bytes, state: State) -> Member | None:
    row = state[MEMBER, (conversation, user)]
    return None if row is None else read_row(Member, row)


def _scene(draft: ClientDraft, user: bytes, state: State) -> _Scene | Reason:
    """Of an author who is in; who is not may leave, once more."""
    author = membership(draft, state)
    if isinstance(author, Reason):
        return author
    if not author.is_in and user != author.user:
        return NO_CONVERSATION
    found = conversation(author.conversation, state)
    if found is None:
        return NO_CONVERSATION
    return _Scene(found, author, _member(author.conversation, user, state))


def decide(
    draft: ClientDraft, content: AddMember | RemoveMember, state: State, at_ms: int
) -> Decision:
    scene = _scene(draft, content.user, state)
    if isinstance(scene, Reason):
        return refuse(scene)
    match content:
        case AddMember():
            return _add(draft, content, scene, state, at_ms)
        case RemoveMember():
            return _remove(draft, content, scene, state, at_ms)
        case _ as never:
            assert_never(never)


def _add(
    draft: ClientDraft, content: AddMember, scene: _Scene, state: State, at_ms: int
) -> Decision:
    if not scene.author.is_in:
        return refuse(NO_CONVERSATION)
    found = account(content.user, state)
    if found is None:
        return refuse(NO_USER)
    other = scene.other
    if other is not None and other.is_in:
        return _give_role(draft, content, scene, other, found, state, at_ms)
    if content.role is Role.OWNER and not scene.may_rule:
        return refuse(NOT_AN_OWNER)
    full = why_not(found) or (_FULL if scene.conversation.members >= MAX_MEMBERS else None)
    if full is not None:
        return refuse(full)
    return _let_in(draft, content, scene, found, state, at_ms)


def _let_in(
    draft: ClientDraft,
    content: AddMember,
    scene: _Scene,
    found: Account,
    state: State,
    at_ms: int,
) -> Decision:
    before = scene.conversation
    number = 1 if scene.other is None else scene.other.period + 1
    owners = before.owners + (content.role is Role.OWNER)
    now = replace(before, members=before.members + 1, owners=owners)
    entries = (
        windows_change(draft, content.user, at_ms),
        entry_in(
            draft,
            before.conversation,
            Kind.MEMBER_JOINED,
            _told(draft, content, scene, found),
            at_ms,
        ),
        *shown_picture(draft, found, before.conversation, state, at_ms),
    )
    begin = begun(draft, found, before.conversation, content.role, number, sees_all=content.history)
    return Decision(
        entries,
        (Put(CONVERSATION, row_of(now)), *begin),
        drops=forgotten(content.user, before.conversation, number),
    )


def _told(draft: ClientDraft, content: AddMember, scene: _Scene, found: Account) -> bytes:
    return bodies.member_joined(
        scene.conversation.conversation,
        person_of(found),
        content.role,
        history=content.history,
        added_by=draft.device.user,
    )


def _give_role(
    draft: ClientDraft,
    content: AddMember,
    scene: _Scene,
    other: Member,
    found: Account,
    state: State,
    at_ms: int,
) -> Decision:
    """To who is in. Who may not, and would only add, has nothing to add."""
    if other.role is content.role or not (scene.may_rule or content.role is Role.OWNER):
        return _as_it_is(draft, other, state, at_ms)
    if not scene.may_rule:
        return refuse(NOT_AN_OWNER)
    before = scene.conversation
    owners = before.owners + (1 if content.role is Role.OWNER else -1)
    told = _told(draft, content, scene, found)
    puts = (
        Put(MEMBER, row_of(replace(other, role=content.role, event=draft.id))),
        Put(CONVERSATION, row_of(replace(before, owners=owners))),
    )
    return Decision((entry_in(draft, before.conversation, Kind.MEMBER_JOINED, told, at_ms),), puts)


def _remove(
    draft: ClientDraft, content: RemoveMember, scene: _Scene, state: State, at_ms: int
) -> Decision:
    other = scene.other
    if other is None:
        return refuse(NO_USER)
    if not other.is_in:
        return _as_it_is(draft, other, state, at_ms)
    is_own_doing = content.user == draft.device.user
    if not (is_own_doing or scene.may_rule):
        return refuse(NOT_AN_OWNER)
    before = scene.conversation
    owners = before.owners - (other.role is Role.OWNER)
    now = replace(before, members=before.members - 1, owners=owners)
    removed_by = None if is_own_doing else draft.device.user
    told = bodies.member_left(before.conversation, content.user, removed_by)
    entries = (
        windows_change(draft, content.user, at_ms),
        entry_in(draft, before.conversation, Kind.MEMBER_LEFT, told, at_ms),
    )
    return Decision(entries, (Put(CONVERSATION, row_of(now)), *ended(draft, other, state)))


def _as_it_is(draft: ClientDraft, other: Member, state: State, at_ms: int) -> Decision:
    """The user is in, or has gone, by an earlier entry."""
    return same_as(draft, stored(other.event, state), at_ms)
