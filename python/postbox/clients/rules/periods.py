"""A user's coming into a conversation and going: what both leave behind, beside the event itself.

Before the entry of the conversation stands one of the user's own stream: from here on it sees other
conversations than before. A reader that comes by it stops, looks at what it may see, and goes on
behind it: so nothing after a leaving leaks, and nothing of a joining is missed.
"""

from __future__ import annotations

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.bodies import Person
from postbox.clients.events.kinds import IS_COPY, Kind
from postbox.clients.ids import conversation_stream, derived_id, user_stream
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.rules.refusals import QUOTA
from postbox.clients.tables import (
    ACCOUNT,
    ADDED,
    MAX_ADDED,
    MAX_ADDED_BY_ONE,
    MAX_CONVERSATIONS,
    MAX_PERIODS,
    MEMBER,
    PERIOD,
    Account,
    Member,
    Period,
    Role,
    account_of,
    account_row,
    read_row,
    row_of,
)
from postbox.rpc.fields import bytes_field
from postbox.rules import EntryKey, NewEntry, Put, Reason, RowKey, State
from postbox.store.contract import Lane

_FULL = Reason(
    QUOTA, f"the user is in {MAX_CONVERSATIONS:,} conversations, which is as many as one may be in"
)
_FULL_FOR_OTHERS = Reason(
    QUOTA,
    f"the user is in {MAX_ADDED} conversations, and nobody else adds it to more: it may leave some",
)
_FULL_FOR_ONE = Reason(
    QUOTA,
    f"you added the user to {MAX_ADDED_BY_ONE} conversations that it is in, which is as many as one"
    " may: somebody else may add it, or it leaves some",
)


def account(user: bytes, state: State) -> Account | None:
    """None: nobody of that id has ever signed in."""
    row = state[ACCOUNT, (user,)]
    return None if row is None else account_of(row)


def person_of(account: Account) -> Person:
    return Person(account.user, account.name, account.display, account.picture)


def added_key(user: bytes, by: bytes) -> RowKey:
    return RowKey(ADDED, (user, by))


def _added(user: bytes, by: bytes, state: State) -> int:
    row = state[added_key(user, by)]
    return 0 if row is None else int(row[2] or 0)


def why_not(draft: ClientDraft, account: Account, state: State) -> Reason | None:
    """The draft brings the user into no conversation more. Needs what its author has brought the
    user into."""
    count, by = len(account.conversations), draft.device.user
    if account.user == by:
        return _FULL if count >= MAX_CONVERSATIONS else None
    if count >= MAX_ADDED:
        return _FULL_FOR_OTHERS
    return _FULL_FOR_ONE if _added(account.user, by, state) >= MAX_ADDED_BY_ONE else None


def windows_change(draft: ClientDraft, user: bytes, conversation: bytes, at_ms: int) -> NewEntry:
    """To stand before the entry that changes them. It says which conversation it is, so that who
    reads on from somewhere looks at those alone that were entered or left since."""
    event, kind = derived_id("membership", draft.id, user), int(Kind.MEMBERSHIP)
    stream = user_stream(user)
    return NewEntry(Lane.CLIENTS, stream, event, kind, draft.author, at_ms, conversation)


def begun(
    draft: ClientDraft,
    account: Account,
    conversation: bytes,
    role: Role,
    number: int,
    state: State,
    *,
    sees_all: bool,
) -> tuple[Put, ...]:
    """The user is in from the draft's entry on, for the `number`th time. Needs as `why_not`."""
    user, by = account.user, draft.device.user
    member = Member(conversation, user, True, role, number, draft.id, by if by != user else b"")
    period = Period(user, conversation, number, draft.id, b"", sees_all)
    entered = replace(account, conversations=(*account.conversations, conversation))
    puts = (
        Put(MEMBER, row_of(member)),
        Put(PERIOD, row_of(period)),
        Put(ACCOUNT, account_row(entered)),
    )
    if by == user:
        return puts
    return (*puts, Put(ADDED, (user, by, _added(user, by, state) + 1)))


def forgotten(user: bytes, conversation: bytes, number: int) -> tuple[RowKey, ...]:
    """The period that goes when that one begins."""
    oldest = number - MAX_PERIODS
    return (RowKey(PERIOD, (user, conversation, oldest)),) if oldest > 0 else ()


def ended(
    draft: ClientDraft, member: Member, state: State
) -> tuple[tuple[Put, ...], tuple[RowKey, ...]]:
    """The user is in up to the draft's entry: what is put and dropped. Needs its account, the
    period, and what it was brought into by who brought it here."""
    conversation, user = member.conversation, member.user
    out = replace(member, is_in=False, role=Role.MEMBER, event=draft.id, added_by=b"")
    puts = [Put(MEMBER, row_of(out))]
    row = state[period_key(member)]
    if row is not None:
        puts.append(Put(PERIOD, row_of(replace(read_row(Period, row), left=draft.id))))
    left = account(user, state)
    if left is not None:
        others = tuple([each for each in left.conversations if each != conversation])
        puts.append(Put(ACCOUNT, account_row(replace(left, conversations=others))))
    if not member.added_by:
        return tuple(puts), ()
    added = _added(user, member.added_by, state) - 1
    if added <= 0:
        return tuple(puts), (added_key(user, member.added_by),)
    return (*puts, Put(ADDED, (user, member.added_by, added))), ()


def period_key(member: Member) -> RowKey:
    """Of the newest period."""
    return RowKey(PERIOD, (member.user, member.conversation, member.period))


def needs_of_picture(account: Account) -> tuple[EntryKey, ...]:
    return (EntryKey(Lane.CLIENTS, account.picture_event),) if account.picture else ()


def shown_picture(
    draft: ClientDraft, account: Account, conversation: bytes, state: State, at_ms: int
) -> tuple[NewEntry, ...]:
    """A copy, for those in the conversation who do not know the user, of what made its picture its
    picture."""
    changed = state.entry(Lane.CLIENTS, account.picture_event) if account.picture else None
    if changed is None:
        return ()
    kind, told = Kind.PROFILE_PICTURE_CHANGED, bodies.picture_changed(account.user, account.picture)
    body = bodies.enveloped(bytes_field(kind, told), account.user, conversation, None)
    copy = NewEntry(
        Lane.CLIENTS,
        conversation_stream(conversation),
        derived_id("picture", draft.id, account.user),
        int(kind),
        changed.author,
        at_ms,
        body,
        IS_COPY,
    )
    return (copy,)
