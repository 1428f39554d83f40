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
    added_key,
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
    NOT_THERE,
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
from postbox.rules import Decision, EntryKey, NewEntry, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane

_FULL = Reason(QUOTA, f"the conversation has {MAX_MEMBERS:,} members, which is as many as it may")


class _Scene(NamedTuple):
    conversation: Conversation
    author: Member
    other: Member | None
    """Whom it is about, who may be the author. None: never was in."""

    @property
    def id(self) -> bytes:
        return self.conversation.conversation

    @property
    def may_rule(self) -> bool:
        """Roles and others' membership are the author's to change."""
        return self.author.role is Role.OWNER or self.conversation.owners == 0

    def counted(self, members: int, owners: int) -> Put:
        """With so many more of each."""
        before = self.conversation
        now = replace(before, members=before.members + members, owners=before.owners + owners)
        return Put(CONVERSATION, row_of(now))


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
        if other.added_by:
            yield added_key(other.user, other.added_by)
    found = account(content.user, state)
    if isinstance(content, AddMember) and found is not None:
        yield added_key(found.user, draft.device.user)
        yield from needs_of_picture(found)


def _member(conversation: bytes, user: bytes, state: State) -> Member | None:
    row = state[MEMBER, (conversation, user)]
    return None if row is None else read_row(Member, row)


def decide(
    draft: ClientDraft, content: AddMember | RemoveMember, state: State, at_ms: int
) -> Decision:
    scene = _scene(draft, content, state)
    if isinstance(scene, Reason):
        return refuse(scene)
    match content:
        case AddMember():
            return _add(draft, content, scene, state, at_ms)
        case RemoveMember():
            return _remove(draft, content, scene, state, at_ms)
        case _ as never:
            assert_never(never)


def _scene(draft: ClientDraft, content: AddMember | RemoveMember, state: State) -> _Scene | Reason:
    """Of an author who is in. Who was may leave once more."""
    author = membership(draft, state)
    if isinstance(author, Reason):
        return author
    is_leaving = isinstance(content, RemoveMember) and content.user == author.user
    found = conversation(author.conversation, state)
    if found is None or not (author.is_in or is_leaving):
        return NO_CONVERSATION
    return _Scene(found, author, _member(author.conversation, content.user, state))


def _add(
    draft: ClientDraft, content: AddMember, scene: _Scene, state: State, at_ms: int
) -> Decision:
    found = account(content.user, state)
    if found is None:
        return refuse(NO_USER)
    if scene.other is not None and scene.other.is_in:
        if not _changes_role(content, scene, scene.other):
            return same_as(draft, stored(scene.other.event, state), at_ms)
        if not scene.may_rule:
            return refuse(NOT_AN_OWNER)
        entry = _joined(draft, content, scene, found, at_ms)
        return _give_role(draft, content, scene, scene.other, entry)
    if content.role is Role.OWNER and not scene.may_rule:
        return refuse(NOT_AN_OWNER)
    full = why_not(draft, found, state)
    if full is None and scene.conversation.members >= MAX_MEMBERS:
        full = _FULL
    if full is not None:
        return refuse(full)
    return _let_in(draft, content, scene, found, state, at_ms)


def _changes_role(content: AddMember, scene: _Scene, other: Member) -> bool:
    """Who may give no roles, and adds a member who is an owner, only means that it be in."""
    return other.role is not content.role and (scene.may_rule or content.role is Role.OWNER)


def _give_role(
    draft: ClientDraft, content: AddMember, scene: _Scene, other: Member, entry: NewEntry
) -> Decision:
    now = replace(other, role=content.role, event=draft.id)
    counted = scene.counted(0, 1 if content.role is Role.OWNER else -1)
    return Decision((entry,), (Put(MEMBER, row_of(now)), counted))


def _let_in(
    draft: ClientDraft,
    content: AddMember,
    scene: _Scene,
    found: Account,
    state: State,
    at_ms: int,
) -> Decision:
    number = 1 if scene.other is None else scene.other.period + 1
    entries = (
        windows_change(draft, content.user, scene.id, at_ms),
        _joined(draft, content, scene, found, at_ms),
        *shown_picture(draft, found, scene.id, state, at_ms),
    )
    puts = begun(draft, found, scene.id, content.role, number, state, sees_all=content.history)
    counted = scene.counted(1, int(content.role is Role.OWNER))
    return Decision(entries, (*puts, counted), forgotten(content.user, scene.id, number))


def _joined(
    draft: ClientDraft, content: AddMember, scene: _Scene, found: Account, at_ms: int
) -> NewEntry:
    told = bodies.member_joined(
        scene.id,
        person_of(found),
        content.role,
        history=content.history,
        added_by=draft.device.user,
    )
    return entry_in(draft, scene.id, Kind.MEMBER_JOINED, told, at_ms)


def _remove(
    draft: ClientDraft, content: RemoveMember, scene: _Scene, state: State, at_ms: int
) -> Decision:
    other = scene.other
    if other is None:
        return refuse(NOT_THERE)
    if not other.is_in:
        return same_as(draft, stored(other.event, state), at_ms)
    is_own_doing = content.user == draft.device.user
    if not (is_own_doing or scene.may_rule):
        return refuse(NOT_AN_OWNER)
    removed_by = None if is_own_doing else draft.device.user
    told = bodies.member_left(scene.id, content.user, removed_by)
    entries = (
        windows_change(draft, content.user, scene.id, at_ms),
        entry_in(draft, scene.id, Kind.MEMBER_LEFT, told, at_ms),
    )
    counted = scene.counted(-1, -int(other.role is Role.OWNER))
    puts, drops = ended(draft, other, state)
    return Decision(entries, (*puts, counted), drops)
