"""What this node's application does with guilds and invites: rows here and the event for the other
host in one decision, so that neither is ever without the other.

Guilds and conversations of two live on the host where this is called. About a user of this very
host nothing is posted: the rows are all, and the entry by which the user's devices learn of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from postbox.hosts.applications.events import Typed, event_of
from postbox.hosts.guilds.policy import Change, guild_keys, joined, left
from postbox.hosts.guilds.tables import (
    GUILD,
    INVITE,
    QUOTA,
    Answer,
    Direction,
    Guild,
    Invite,
    invite_of,
    row_of,
)
from postbox.hosts.guilds.telling import News, Tell, entries
from postbox.hosts.guilds.users import User
from postbox.hosts.links import postings
from postbox.hosts.tables import CONSENT
from postbox.rpc.postbox.v1.clients_pb import (
    GuildEntered,
    GuildExited,
    InviteDecided,
    InviteReceived,
)
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Found, Lane


class Join(Struct, frozen=True):
    user: User
    guild: str
    name: str


class Leave(Struct, frozen=True):
    user: User
    guild: str
    reason: str


class Ask(Struct, frozen=True):
    """A user of this host invites another one."""

    invite: str
    inviter: User
    user: User
    conversation: str
    name: str


class Reply(Struct, frozen=True):
    """A user of this host answers an invite that was made on `host`."""

    user: User
    host: str
    invite: str
    answer: Answer


Act: TypeAlias = Join | Leave | Ask | Reply


class GuildDraft(Struct, frozen=True):
    id: bytes  # of the event, too
    act: Act

    @property
    def payer(self) -> Payer:
        return Payer("operator", "guilds")

    @property
    def size_bytes(self) -> int:
        return 1_024  # a few names


class GuildRules(Struct, frozen=True):
    own_host: str
    tell: Tell | None = None

    lane = Lane.HOSTS
    tables = (GUILD, INVITE, QUOTA, CONSENT)

    def needs(self, draft: GuildDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        match draft.act:
            case Join(user, guild, _) | Leave(user, guild, _):
                yield from guild_keys(str(user), self.own_host, guild)
                host = user.host
            case Ask(invite, inviter, user, _, _):
                host = user.host
                yield RowKey(INVITE, (str(Direction.OUT), host, invite))
                yield RowKey(CONSENT, (str(inviter), host))
            case Reply(user, host, invite, _):
                yield RowKey(INVITE, (str(Direction.IN), host, invite))
                yield RowKey(CONSENT, (str(user), host))
                if host == self.own_host:
                    yield RowKey(INVITE, (str(Direction.OUT), host, invite))
            case _ as never:
                assert_never(never)
        if host != self.own_host:
            yield from postings.needs_of(host)

    def decide(self, draft: GuildDraft, state: State, at_ms: int) -> Decision:
        match draft.act:
            case Join(user, guild, name):
                if user.host != self.own_host:
                    event = GuildJoined(user=str(user), guild=guild, name=name)
                    return _posted(state, draft, user.host, event, at_ms)
                entry = Guild(str(user), self.own_host, guild, name, at_ms)
                entered = GuildEntered(host=self.own_host, guild=guild, name=name)
                return self._changed(draft, user, joined(entry, state), entered, at_ms)
            case Leave(user, guild, reason):
                if user.host != self.own_host:
                    left_event = GuildLeft(user=str(user), guild=guild, reason=reason)
                    return _posted(state, draft, user.host, left_event, at_ms)
                exited = GuildExited(host=self.own_host, guild=guild, reason=reason)
                changes = left(str(user), self.own_host, guild, state)
                return self._changed(draft, user, changes, exited, at_ms)
            case Ask():
                return self._ask(draft, draft.act, state, at_ms)
            case Reply():
                return self._reply(draft, draft.act, state, at_ms)
            case _ as never:
                assert_never(never)

    def replaces(self, draft: GuildDraft, stored: Found) -> bool:
        return False

    def _ask(self, draft: GuildDraft, ask: Ask, state: State, at_ms: int) -> Decision:
        host = ask.user.host
        made = Invite(
            Direction.OUT,
            host,
            ask.invite,
            str(ask.inviter),
            str(ask.user),
            ask.conversation,
            ask.name,
            Answer.NONE,
            at_ms,
        )
        stored = state[INVITE, (str(Direction.OUT), host, ask.invite)]
        if stored is not None:
            return _asked_before(made, invite_of(stored))
        puts = (Put(INVITE, row_of(made)), *_dealt(ask.inviter, host, state, at_ms))
        if host == self.own_host:
            taken = Put(INVITE, row_of(replace(made, direction=Direction.IN)))
            received = InviteReceived(
                host=host,
                invite=ask.invite,
                inviter=made.inviter,
                conversation=ask.conversation,
                name=ask.name,
            )
            return Decision(self._told(draft, ask.user, received, at_ms), (*puts, taken))
        event = DirectInvite(
            invite=ask.invite,
            inviter=made.inviter,
            user=made.user,
            conversation=ask.conversation,
            name=ask.name,
        )
        return _posted(state, draft, host, event, at_ms, puts)

    def _reply(self, draft: GuildDraft, reply: Reply, state: State, at_ms: int) -> Decision:
        host, user = reply.host, str(reply.user)
        stored = state[INVITE, (str(Direction.IN), host, reply.invite)]
        if stored is None or (invite := invite_of(stored)).user != user:
            text = f"{user} has no invite {reply.invite!r} from {host}"
            return Decision(refuse=Reason("no_such_invite", text))
        if invite.answer is reply.answer:
            return Decision()
        if invite.answer is not Answer.NONE:
            text = f"{user} has answered this invite before: {invite.answer}"
            return Decision(refuse=Reason("answered_before", text))
        puts: tuple[Put, ...] = (Put(INVITE, row_of(replace(invite, answer=reply.answer))),)
        if reply.answer is Answer.ACCEPTED:
            puts += _dealt(reply.user, host, state, at_ms)
        is_accepted = reply.answer is Answer.ACCEPTED
        decided = InviteDecided(host=host, invite=reply.invite, accepted=is_accepted)
        told = self._told(draft, reply.user, decided, at_ms)
        if host != self.own_host:
            event = InviteAnswered(invite=reply.invite, accepted=is_accepted)
            return _posted(state, draft, host, event, at_ms, puts, told)
        made = state[INVITE, (str(Direction.OUT), host, reply.invite)]
        if made is not None:
            puts += (Put(INVITE, row_of(replace(invite_of(made), answer=reply.answer))),)
        return Decision(told, puts)

    def _changed(
        self, draft: GuildDraft, user: User, changes: Sequence[Change], news: News, at_ms: int
    ) -> Decision:
        if not changes:
            return Decision()
        puts = tuple(change for change in changes if isinstance(change, Put))
        drops = tuple(change for change in changes if isinstance(change, RowKey))
        return Decision(self._told(draft, user, news, at_ms), puts, drops)

    def _told(self, draft: GuildDraft, user: User, news: News, at_ms: int) -> tuple[NewEntry, ...]:
        return entries(self.tell, user.name, news, draft.id, at_ms)


def _posted(
    state: State,
    draft: GuildDraft,
    host: str,
    message: Typed,
    at_ms: int,
    puts: Sequence[Put] = (),
    told: Sequence[NewEntry] = (),
) -> Decision:
    event = event_of(message)
    posted = postings.posted(draft.id, event.type_url, event.value, at_ms)
    decision = postings.posted_in(state, host, (posted,), at_ms)
    return replace(decision, entries=(*decision.entries, *told), puts=(*decision.puts, *puts))


def _dealt(user: User, host: str, state: State, at_ms: int) -> tuple[Put, ...]:
    """Whoever invites or joins there has dealt with that host."""
    if state[CONSENT, (str(user), host)] is not None:
        return ()
    return (Put(CONSENT, (str(user), host, at_ms)),)


def _asked_before(made: Invite, stored: Invite) -> Decision:
    if (stored.inviter, stored.user) == (made.inviter, made.user):
        return Decision()
    text = f"the invite {made.invite!r} to {made.host} is one between others: give it another name"
    return Decision(refuse=Reason("invite_known", text))
