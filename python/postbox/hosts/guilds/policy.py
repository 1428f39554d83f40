"""What other hosts may do to this node's users, and what comes of it: the policy of typed events.

A host changes what is its own only: the guilds are the sender's, whatever they are called, an
inviter is the sender's user, an answer is that of the sender's user to an invite made here. And it
reaches only users who have dealt with it (the `consent` rows); `hosts.invites = anyone` lets it
invite others, too. All effects are set operations, so that what comes again changes nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from postbox.hosts.applications.events import BadEvent, Typed, unpacked
from postbox.hosts.guilds.tables import (
    GUILD,
    GUILD_CHANGES,
    INVITE,
    QUOTA,
    Answer,
    Direction,
    Guild,
    Invite,
    Quota,
    invite_of,
    quota_of,
    row_of,
)
from postbox.hosts.guilds.telling import News, Tell, entries
from postbox.hosts.guilds.users import BadUser, User, read_user
from postbox.hosts.links.policy import Content, Judged
from postbox.hosts.tables import CONSENT
from postbox.rpc.postbox.v1.clients_pb import GuildEntered, GuildExited, InviteReceived
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered
from postbox.rules import NewEntry, Put, Reason, RowKey, State
from postbox.store.contract import Key, Row, Table

MAX_TEXT_CHARS = 256  # of a guild's, an invite's or a conversation's name, as in the tables
MAX_GUILDS = 1_000
"""Of one host in one user's list: rows that the host can make at will."""

CHANGES_AT_ONCE, CHANGE_MS = 1_000, 60_000
"""By one host to one user's list: each is an entry for the user's devices, which stays. All of a
list at once, and then 1,440 a day. Leaving is none of them: it is never refused."""

INVITES_AT_ONCE, INVITE_MS = 20, 3 * 60_000
"""By one host to one user: a person reads them all; some 500 a day if the host goes on."""

STRANGERS_AT_ONCE, STRANGER_MS = 1_000, 10_000
"""By one host to users who never dealt with it (`anyone`), whether they exist or not: each is a row
that stays, so at most 8,640 a day."""

REASONS = ("left", "removed", "banned", "deleted")

Change: TypeAlias = Put | RowKey  # a row to be written, or dropped


class GuildPolicy(Struct, frozen=True):
    """See `policy.Policy`."""

    own_host: str
    invites: Literal["consent", "anyone"] = "consent"
    is_local: bool = False
    tell: Tell | None = None

    @property
    def tables(self) -> tuple[Table, ...]:
        return (CONSENT, GUILD, GUILD_CHANGES, INVITE, QUOTA)

    def needs(self, host: str, contents: Sequence[Content], state: State) -> Iterable[RowKey]:
        for content in contents:
            claim = self._claim(host, content)
            if claim is not None and not isinstance(claim, Reason):
                yield from _keys(claim)

    def judge(self, host: str, contents: Sequence[Content], state: State, at_ms: int) -> Judged:
        seen, told = _Seen(state), list[NewEntry]()
        for at, content in enumerate(contents):
            taken = self._take(host, content, seen, at_ms)
            if isinstance(taken, Reason):
                return Judged(at, taken, *seen.changes(), tuple(told))
            told += taken
        return Judged(len(contents), None, *seen.changes(), tuple(told))

    def _take(
        self, host: str, content: Content, seen: _Seen, at_ms: int
    ) -> Sequence[NewEntry] | Reason:
        """What is told of it, to whom; nobody is told of what changes nothing."""
        claim = self._claim(host, content)
        if claim is None or isinstance(claim, Reason):
            return claim or ()
        changes = self._changes(claim, seen, at_ms)
        if isinstance(changes, Reason):
            return changes
        seen.take(changes)
        news = _news(claim) if changes else None
        return entries(self.tell, claim.user, news, content.id, at_ms)

    def _claim(self, host: str, content: Content) -> _Claim | Reason | None:
        """What the event says, if it has a form; None: it is of no type that is known here."""
        try:
            message = unpacked(content.type_url, content.value)
            return None if message is None else self._read(host, message)
        except (BadEvent, BadUser) as error:
            return Reason("bad_event", str(error)[:MAX_TEXT_CHARS])

    def _read(self, host: str, message: Typed) -> _Claim | Reason:
        check_form(message)
        match message:
            case GuildJoined() | GuildLeft():
                return self._about(host, message, message.user)
            case DirectInvite():
                inviter = read_user(message.inviter, is_local=self.is_local)
                if inviter.host != host:
                    return Reason("not_yours", f"{inviter} is not a user of {host}")
                return self._about(host, message, message.user, inviter)
            case InviteAnswered():
                return _Claim(host, message, "")
            case _ as never:
                assert_never(never)

    def _about(
        self, host: str, message: Typed, text: str, inviter: User | None = None
    ) -> _Claim | Reason:
        user = read_user(text, is_local=self.is_local)
        if user.host != self.own_host:
            return Reason("not_here", f"{user} is not a user of {self.own_host}")
        return _Claim(host, message, str(user), str(inviter or ""))

    def _changes(self, claim: _Claim, seen: _Seen, at_ms: int) -> Sequence[Change] | Reason:
        host, message, user = claim.host, claim.message, claim.user
        if isinstance(message, InviteAnswered):
            return _answered(host, message, seen)
        has_dealt = seen[CONSENT, (user, host)] is not None
        if not has_dealt and not self._may_reach(claim, seen):
            return Reason("no_consent", f"{user} has not dealt with {host}")
        match message:
            case GuildJoined():
                entry = Guild(user, host, message.guild, message.name, at_ms)
                return _joined(entry, seen, at_ms)
            case GuildLeft():
                return left(user, host, message.guild, seen)
            case DirectInvite():
                return _invited(_invite(claim, message, at_ms), has_dealt, seen, at_ms)
            case _ as never:
                assert_never(never)

    def _may_reach(self, claim: _Claim, seen: _Seen) -> bool:
        """To a user who has not dealt with the host: an invite, if anyone may; the end of what is
        in the list."""
        match claim.message:
            case DirectInvite():
                return self.invites == "anyone"
            case GuildLeft(guild=guild):
                return seen[GUILD, (claim.user, claim.host, guild)] is not None
            case _:
                return False


def check_form(message: Typed) -> None:
    """All that can be said of it without knowing from whom it is. Raises BadEvent."""
    match message:
        case GuildJoined():
            _check_text("guild", message.guild)
            _check_name(message.name)
        case GuildLeft():
            _check_text("guild", message.guild)
            if message.reason not in REASONS:
                raise BadEvent(f"the reason is one of {', '.join(REASONS)}")
        case DirectInvite():
            _check_text("invite", message.invite)
            _check_text("conversation", message.conversation, least=0)
            _check_name(message.name)
        case InviteAnswered():
            _check_text("invite", message.invite)
        case _ as never:
            assert_never(never)


class _Claim(Struct, frozen=True):
    """What a well-formed event says. `user`: this node's, whom it is about."""

    host: str
    message: Typed
    user: str
    inviter: str = ""


def _news(claim: _Claim) -> News | None:
    """What its user is to know; an inviter is told nothing by the answer."""
    host = claim.host
    match claim.message:
        case GuildJoined(guild=guild, name=name):
            return GuildEntered(host=host, guild=guild, name=name)
        case GuildLeft(guild=guild, reason=reason):
            return GuildExited(host=host, guild=guild, reason=reason)
        case DirectInvite(invite=invite, conversation=conversation, name=name):
            inviter = claim.inviter
            return InviteReceived(
                host=host, invite=invite, inviter=inviter, conversation=conversation, name=name
            )
        case InviteAnswered():
            return None
        case _ as never:
            assert_never(never)


class _Seen(dict[tuple[Table, Key], Row | None]):
    """The state, with what the contents before have changed."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state

    def __missing__(self, key: tuple[Table, Key]) -> Row | None:
        return self._state[key]

    def take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case Put(table, row):
                    self[table, row[: table.key]] = row
                case RowKey():
                    self[change] = None

    def changes(self) -> tuple[tuple[Put, ...], tuple[RowKey, ...]]:
        puts = tuple(Put(table, row) for (table, _), row in self.items() if row is not None)
        return puts, tuple(RowKey(*key) for key, row in self.items() if row is None)


Rows: TypeAlias = State | _Seen


def guild_keys(user: str, host: str, guild: str) -> Iterable[RowKey]:
    """What `joined` and `left` look at."""
    yield RowKey(GUILD, (user, host, guild))
    yield RowKey(QUOTA, (user, host))


def joined(entry: Guild, rows: Rows) -> Sequence[Change]:
    """The guild is in the user's list, under this name."""
    stored = rows[GUILD, (entry.user, entry.host, entry.guild)]
    if stored is not None:
        is_same = stored[3] == entry.name
        return () if is_same else (Put(GUILD, (*stored[:3], entry.name, stored[4])),)
    quota = _quota(entry.user, entry.host, rows)
    counted = replace(quota, guilds=quota.guilds + 1)
    return (Put(GUILD, row_of(entry)), Put(QUOTA, row_of(counted)))


def left(user: str, host: str, guild: str, rows: Rows) -> Sequence[Change]:
    """The guild is not in the user's list."""
    key = (user, host, guild)
    if rows[GUILD, key] is None:
        return ()
    quota = _quota(user, host, rows)
    counted = replace(quota, guilds=max(0, quota.guilds - 1))
    return (RowKey(GUILD, key), Put(QUOTA, row_of(counted)))


def _joined(entry: Guild, seen: _Seen, at_ms: int) -> Sequence[Change] | Reason:
    is_new = seen[GUILD, (entry.user, entry.host, entry.guild)] is None
    if is_new and _quota(entry.user, entry.host, seen).guilds >= MAX_GUILDS:
        text = f"{entry.user} is in {MAX_GUILDS:,} guilds of {entry.host}"
        return Reason("too_many_guilds", text)
    changes = joined(entry, seen)
    if not changes:
        return ()
    row = seen[GUILD_CHANGES, (entry.user, entry.host)]
    counted_ms = at_ms if row is None else max(at_ms, int(row[2] or 0))
    until_ms = counted_ms + CHANGE_MS
    if until_ms > at_ms + CHANGES_AT_ONCE * CHANGE_MS:
        text = f"{entry.host} has changed {entry.user}'s guilds too often"
        return Reason("too_many_changes", text)
    return (*changes, Put(GUILD_CHANGES, (entry.user, entry.host, until_ms)))


def _answered(host: str, message: InviteAnswered, seen: _Seen) -> Sequence[Change] | Reason:
    row = seen[INVITE, (str(Direction.OUT), host, message.invite)]
    if row is None:
        text = f"no invite {message.invite!r} was made to a user of {host}"
        return Reason("no_such_invite", text)
    invite = invite_of(row)
    answer = Answer.ACCEPTED if message.accepted else Answer.DECLINED
    if invite.answer is answer:
        return ()
    if invite.answer is not Answer.NONE:
        text = f"invite {message.invite!r} was answered before: {invite.answer}"
        return Reason("answered_before", text)
    return (Put(INVITE, row_of(replace(invite, answer=answer))),)


def _invite(claim: _Claim, message: DirectInvite, at_ms: int) -> Invite:
    return Invite(
        Direction.IN,
        claim.host,
        message.invite,
        claim.inviter,
        claim.user,
        message.conversation,
        message.name,
        Answer.NONE,
        at_ms,
    )


def _invited(invite: Invite, has_dealt: bool, seen: _Seen, at_ms: int) -> Sequence[Change] | Reason:
    stored = seen[INVITE, (str(invite.direction), invite.host, invite.invite)]
    if stored is not None:
        known = invite_of(stored)
        if (known.inviter, known.user) == (invite.inviter, invite.user):
            return ()
        return Reason("invite_known", f"invite {invite.invite!r} is one between others")
    quotas = [_spent(invite.user, invite.host, seen, at_ms)]
    if not has_dealt:
        quotas.append(_spent("", invite.host, seen, at_ms))
    if None in quotas:
        return Reason("too_many_invites", f"{invite.host} has invited {invite.user} too often")
    spent = [Put(QUOTA, row_of(quota)) for quota in quotas if quota is not None]
    return (Put(INVITE, row_of(invite)), *spent)


def _spent(user: str, host: str, seen: _Seen, at_ms: int) -> Quota | None:
    """With one invite more, each of which counts for a while; None if that is one too many."""
    at_once, each_ms = (INVITES_AT_ONCE, INVITE_MS) if user else (STRANGERS_AT_ONCE, STRANGER_MS)
    quota = _quota(user, host, seen)
    until_ms = max(quota.invites_ms, at_ms) + each_ms
    if until_ms > at_ms + at_once * each_ms:
        return None
    return replace(quota, invites_ms=until_ms)


def _quota(user: str, host: str, rows: Rows) -> Quota:
    return quota_of(user, host, rows[QUOTA, (user, host)])


def _keys(claim: _Claim) -> Iterable[RowKey]:
    host, user = claim.host, claim.user
    match claim.message:
        case InviteAnswered(invite=invite):
            yield RowKey(INVITE, (str(Direction.OUT), host, invite))
            return
        case DirectInvite(invite=invite):
            yield RowKey(INVITE, (str(Direction.IN), host, invite))
            yield RowKey(QUOTA, ("", host))
            yield RowKey(QUOTA, (user, host))
        case GuildJoined(guild=guild):
            yield from guild_keys(user, host, guild)
            yield RowKey(GUILD_CHANGES, (user, host))
        case GuildLeft(guild=guild):
            yield from guild_keys(user, host, guild)
        case _ as never:
            assert_never(never)
    yield RowKey(CONSENT, (user, host))


def _check_text(what: str, text: str, least: int = 1) -> None:
    if not least <= len(text) <= MAX_TEXT_CHARS or not text.isprintable():
        raise BadEvent(f"a {what} has {least} to {MAX_TEXT_CHARS} printable characters")


def _check_name(text: str) -> None:
    """What people read: joiners and the like are part of it, control characters are not."""
    if len(text) > MAX_TEXT_CHARS or any(unicodedata.category(char) == "Cc" for char in text):
        raise BadEvent(f"a name has at most {MAX_TEXT_CHARS} characters, no control ones")
