"""The hosts' door as an application sees it: post, handle what arrives, guilds and invites.

A `Host` is made, and told its handlers, before the node opens; so nothing arrives that nobody is
there for. What is asked of it while the node is closed, or opens again, waits. Whatever it returns
for is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import trio
from protobuf import Message

from postbox.errors import Stopped
from postbox.hosts.applications import own_connection
from postbox.hosts.applications.drafts import DraftTaker
from postbox.hosts.applications.events import Event, event_of
from postbox.hosts.applications.handlers import Handler, Handlers, InTransaction, Loss
from postbox.hosts.guilds import guilds
from postbox.hosts.guilds.policy import check_form
from postbox.hosts.guilds.rules import Act, Ask, GuildDraft, GuildRules, Join, Leave, Reply
from postbox.hosts.guilds.tables import Answer, Guild, Invite
from postbox.hosts.guilds.telling import Tell
from postbox.hosts.guilds.users import User, read_user
from postbox.hosts.links.host_rules import Deal
from postbox.hosts.links.postings import Posted, Posting, posted
from postbox.hosts.links.rules import HostRules
from postbox.log.admission import Admission
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered
from postbox.rules import Draft, Payer, Rejected, Rules
from postbox.store.application import open_for_application
from postbox.store.runner import StoreRunner
from postbox.trust.host_names import canonical_destination, canonical_host
from postbox.world import World

if TYPE_CHECKING:
    from postbox.store.application import Connection

D = TypeVar("D", bound=Draft)
P = TypeVar("P", bound=Message)

PAYER = Payer("operator", "application")
MAX_POSTED_AT_ONCE, MAX_POSTED_BYTES = 1_000, 2**20  # one commit, for which others wait
INVITE_ID_BYTES = 16

GuildReason = Literal["left", "removed", "banned", "deleted"]


@dataclass(frozen=True)
class Parts:
    """Of an open node, as far as a host needs them."""

    world: World
    store: StoreRunner
    admission: Admission
    rules: HostRules
    taker: DraftTaker
    own_host: str  # canonical; empty: the node has no name among hosts
    is_local: bool  # whether addresses may stand for hosts
    database: str
    tell: Tell | None = None
    token: trio.lowlevel.TrioToken = field(default_factory=trio.lowlevel.current_trio_token)


class Refused(Exception):
    """The node does not do what the application asked of it; the text says why."""


class Host:
    def __init__(self) -> None:
        self.handlers = Handlers()
        self._parts: Parts | None = None
        self._opened, self._closed = trio.Event(), trio.Event()

    # By the node that opens and closes.

    def attach(self, parts: Parts) -> None:
        self._parts, self._closed = parts, trio.Event()
        self._opened.set()

    def detach(self) -> None:
        self._parts, self._opened = None, trio.Event()
        self._closed.set()

    # Before the node opens.

    @overload
    def on(self, kind: type[P], handler: Handler[P]) -> None: ...
    @overload
    def on(self, kind: str, handler: Handler[bytes]) -> None: ...
    def on(self, kind: type[Any] | str, handler: Handler[Any]) -> None:
        """`await handler(delivery)` for each event of this type, at least once. For a type that is
        only known by name ("shop.Order") the delivery's message is its bytes."""
        self.handlers.add(kind, handler)

    @overload
    def on_in_transaction(self, kind: type[P], handler: InTransaction[P]) -> None: ...
    @overload
    def on_in_transaction(self, kind: str, handler: InTransaction[bytes]) -> None: ...
    def on_in_transaction(self, kind: type[Any] | str, handler: InTransaction[Any]) -> None:
        """`handler(delivery, connection)` in a thread, in a transaction on the node's database that
        is committed once for each event of this type. It does not commit, and is short: on SQLite
        the node writes nothing meanwhile."""
        self.handlers.add_in_transaction(kind, handler)

    def on_loss(self, handler: Handler[Loss]) -> None:
        """Where events of a host are lost, in their place."""
        self.handlers.add_loss(handler)

    # Posting.

    async def post(self, to: str, event: Message | Event) -> int:
        """Durable on return, whether the other host is up or not; its number on the link. Raises
        BadEvent, BadHostName, and as admission does."""
        return await self.post_many(to, [event])

    async def post_many(self, to: str, events: Sequence[Message | Event]) -> int:
        """In this order, all in one commit or none: at most 1,000, and 1 MiB. The number of the
        first. Raises ValueError for more, and for none."""
        parts = await self._open()
        host = canonical_destination(to, own=parts.own_host or None, is_local=parts.is_local)
        at_ms = parts.world.clock.now_ns() // 1_000_000
        ids = parts.world.new_ids(len(events))
        each = [
            posted(new_id, event.type_url, event.value, at_ms)
            for new_id, event in zip(ids, map(event_of, events), strict=True)
        ]
        _check_size(each)
        return await self._submit(lambda parts: parts.rules, Posting(PAYER, host, tuple(each)))

    async def connect(self) -> Connection:
        """A connection to the node's database, for transactions of the application's own; to be
        closed by it. To be used in one thread at a time; an apsw.Connection or a
        psycopg.Connection, in autocommit mode."""
        parts = await self._open()
        return open_for_application(parts.world.disk, parts.database)

    def post_in(self, connection: Connection, to: str, event: Message | Event) -> bytes:
        """Posts with the transaction that the connection is in: once that is committed, the event
        is durable, and the node sends it. From any thread. The event's id."""
        parts = self._parts
        if parts is None:
            raise RuntimeError("the node is not open: post by a connection with postbox.post_in")
        host = canonical_destination(to, own=parts.own_host or None, is_local=parts.is_local)
        event_id = parts.world.new_id()
        own_connection.insert(connection, event_id, host, event_of(event))
        with suppress(trio.RunFinishedError):
            parts.token.run_sync_soon(parts.taker.nudge, idempotent=True)
        return event_id

    # Guilds and invites. Users are `name@host`.

    async def deal(self, user: str, host: str, *, is_over: bool = False) -> None:
        """A user of this node deals with that host, which may from now on put its guilds into the
        user's list, and invite. `is_over`: it may not any more."""
        parts = await self._open()
        who = self._own(parts, user)
        there = canonical_host(host, is_local=parts.is_local)
        draft = Deal(parts.world.new_id(), PAYER, str(who), there, is_over)
        await self._submit(lambda parts: parts.rules, draft)

    async def guilds_of(self, user: str) -> list[Guild]:
        """The guild list of a user of this node."""
        parts = await self._open()
        return await guilds.guilds_of(parts.store, self._own(parts, user))

    async def invites_of(self, user: str) -> list[Invite]:
        """That wait for the answer of a user of this node, the oldest first."""
        parts = await self._open()
        return await guilds.invites_to(parts.store, self._own(parts, user))

    async def invites_by(self, user: str) -> list[Invite]:
        """That a user of this node made, with the answers, the oldest first."""
        parts = await self._open()
        return await guilds.invites_by(parts.store, self._own(parts, user))

    async def guild_joined(self, user: str, guild: str, name: str = "") -> None:
        """A user, of whatever host, is a member of a guild of this host."""
        parts = await self._open()
        who = read_user(user, is_local=parts.is_local)
        check_form(GuildJoined(user=str(who), guild=guild, name=name))
        await self._do(parts, Join(who, guild, name))

    async def guild_left(self, user: str, guild: str, reason: GuildReason = "left") -> None:
        """A user, of whatever host, is a member of a guild of this host no more."""
        parts = await self._open()
        who = read_user(user, is_local=parts.is_local)
        check_form(GuildLeft(user=str(who), guild=guild, reason=reason))
        await self._do(parts, Leave(who, guild, reason))

    async def invite(
        self, inviter: str, user: str, conversation: str, name: str = "", *, invite: str = ""
    ) -> str:
        """A user of this node invites another one, of whatever host, to a conversation here. The
        invite's name, which is made up if there is none; the same again is harmless."""
        parts = await self._open()
        who, whom = self._own(parts, inviter), read_user(user, is_local=parts.is_local)
        invite = invite or parts.world.random.bytes(INVITE_ID_BYTES).hex()
        check_form(DirectInvite(invite=invite, conversation=conversation, name=name))
        await self._do(parts, Ask(invite, who, whom, conversation, name))
        return invite

    async def answer(self, user: str, invite: Invite, *, is_accepted: bool) -> None:
        """A user of this node answers an invite (`invites_of`). The first answer stands: raises
        Refused for another one."""
        if not isinstance(invite, Invite):
            raise TypeError(
                "what is answered is one of the invites of `await host.invites_of(user)`:"
                f" {type(invite).__name__}"
            )
        parts = await self._open()
        check_form(InviteAnswered(invite=invite.invite, accepted=is_accepted))
        answer = Answer.ACCEPTED if is_accepted else Answer.DECLINED
        await self._do(parts, Reply(self._own(parts, user), invite.host, invite.invite, answer))

    async def _open(self) -> Parts:
        while self._parts is None:
            await self._opened.wait()
        return self._parts

    def _own(self, parts: Parts, text: str) -> User:
        user = read_user(text, is_local=parts.is_local)
        if user.host != parts.own_host:
            raise Refused(
                f"{user} is not a user of this node, {parts.own_host or 'which has no name'}"
            )
        return user

    async def _do(self, parts: Parts, act: Act) -> None:
        draft = GuildDraft(parts.world.new_id(), act)
        await self._submit(lambda parts: GuildRules(parts.own_host, parts.tell), draft)

    async def _submit(self, rules: Callable[[Parts], Rules[D]], draft: D) -> int:
        """A node that is opened again may have stored it or not: the same once more is harmless."""
        while True:
            parts, closed = await self._open(), self._closed
            try:
                [outcome] = await parts.admission.submit(rules(parts), [draft])
            except Stopped:
                await closed.wait()
                continue
            if isinstance(outcome, Rejected):
                raise Refused(outcome.reason.text)
            return outcome.seq or 0


def _check_size(events: Sequence[Posted]) -> None:
    size = sum(len(event.body) for event in events)
    if len(events) > MAX_POSTED_AT_ONCE or size > MAX_POSTED_BYTES:
        raise ValueError(
            f"{len(events):,} events with {size:,} bytes at once: post at most"
            f" {MAX_POSTED_AT_ONCE:,}, and {MAX_POSTED_BYTES:,} bytes"
        )
