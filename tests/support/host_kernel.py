"""A kernel with the hosts' door's inner half: what arrives is given by hand, what goes out is read
from the log. Any engine, no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from protobuf import Message

from postbox.hosts.applications.drafts import DraftTaker
from postbox.hosts.applications.events import Event, event_of
from postbox.hosts.applications.handled_types import HandledTypes
from postbox.hosts.applications.host import Host, Parts
from postbox.hosts.applications.inbox import Inbox
from postbox.hosts.guilds.policy import GuildPolicy
from postbox.hosts.links.arrivals import Arrival, Arrived
from postbox.hosts.links.place import incoming
from postbox.hosts.links.postings import posted
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import LINK_IN, MIGRATIONS, in_reader, out_stream
from postbox.log.outbox import Outbox
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from postbox.store.application import execute, open_for_application
from postbox.store.contract import Entry, Lane, Store, Window
from postbox.world import World
from support.faulty import never
from support.kernel import Kernel, open_kernel
from support.simulated import Fails

A, B, C = "a.example:2289", "b.example:2289", "c.example:2289"
EPOCH = b"e" * 16


@dataclass(frozen=True)
class HostKernel:
    """Of the host A."""

    kernel: Kernel
    outbox: Outbox
    host: Host
    inbox: Inbox
    taker: DraftTaker
    place: str
    rules: HostRules

    async def arrive(self, *events: Message | Event, sender: str = B, start: int = 1) -> int:
        """Numbered from `start`; up to which number the link is then."""
        came = [
            arrived(event if isinstance(event, Event) else event_of(event), seq, sender)
            for seq, event in enumerate(events, start)
        ]
        return await self.arrive_as(came, sender)

    async def lose(self, first: int, last: int, sender: str = B) -> int:
        lost = Arrived(b"", EPOCH, first, first=1, upto=last, reason="lost")
        return await self.arrive_as([lost], sender)

    async def arrive_as(self, arrived: Sequence[Arrived], sender: str = B) -> int:
        draft = Arrival(self.kernel.world.new_id(), sender, tuple(arrived))
        await self.kernel.admission.submit(self.rules, [draft])
        return await self.reached(sender)

    async def reached(self, sender: str = B) -> int:
        key = (sender,)
        rows = await self.kernel.runner.read(lambda reader: reader.rows(LINK_IN, [key]))
        return incoming(sender, rows[key]).current.seq

    async def sent(self, to: str = B) -> list[Event]:
        """What was posted to that host, in order."""
        return [_event(entry) for entry in await self.entries(to)]

    async def entries(self, to: str = B) -> Sequence[Entry]:
        windows = [Window(out_stream(to))]
        page = await self.kernel.runner.read(
            lambda reader: reader.page(Lane.HOSTS, windows, 0, 10_000, 2**24)
        )
        return page.entries

    def run(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """By a connection of the application's own."""
        connection = open_for_application(self.kernel.world.disk, self.place)
        try:
            return execute(connection, sql, parameters)
        finally:
            connection.close()

    async def is_idle(self, sender: str = B) -> bool:
        """Whether its inbox has nothing left to be handled."""
        due = await self.outbox.backlog(in_reader(sender))
        return due.count == 0


@asynccontextmanager
async def open_host_kernel(
    world: World,
    place: str,
    fails: Fails = never,
    *,
    host: Host | None = None,
    policy: GuildPolicy | None = None,
    wrap: Callable[[Store], Store] = lambda store: store,
) -> AsyncIterator[HostKernel]:
    """With the inbox and the taker at work."""
    host, sets = host or Host(), (MIGRATIONS,)
    async with open_kernel(world, fails, migrations=sets, wrap=wrap, database=place) as kernel:
        outbox = Outbox(world, kernel.runner, kernel.tail, kernel.admission)
        types = HandledTypes(world, kernel.runner, kernel.admission, host.handlers)
        inbox = Inbox(world, outbox, kernel.admission, host.handlers, types, place)
        kernel.tail.follow(outbox)
        kernel.tail.follow(inbox)
        rules = HostRules(policy or GuildPolicy(A))
        taker = DraftTaker(world, kernel.runner, kernel.admission, rules, A, is_local=False)
        host.attach(Parts(world, kernel.runner, kernel.admission, rules, taker, A, False, place))
        try:
            async with trio.open_nursery() as loops:
                loops.start_soon(types.note)
                loops.start_soon(inbox.run)
                loops.start_soon(taker.run)
                yield HostKernel(kernel, outbox, host, inbox, taker, place, rules)
                loops.cancel_scope.cancel()
        finally:
            host.detach()


def arrived(event: Event, seq: int, sender: str) -> Arrived:
    event_id = f"{sender} {seq}".encode()[:16].rjust(16, b".")
    body = posted(event_id, event.type_url, event.value, 1_000 + seq).body
    return Arrived(body, EPOCH, seq, first=1, type_url=event.type_url, value=event.value)


def _event(entry: Entry) -> Event:
    assert entry.body is not None
    event = PostboxEvent.from_binary(entry.body).event
    assert event is not None
    return Event(event.type_url, event.value)
