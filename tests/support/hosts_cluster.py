"""Hosts that post to each other over a network in memory, from a seed: what goes wrong with which
of them, what arrived where, and a trace of every commit.

All is real but the outside: the node, the hosts' door, the server, the client. A host is called
`NAME.example`, at an address of its own, over plain HTTP/2 as under `--loopback`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from msgspec.structs import replace as with_name

from postbox.config import Config, HostsConfig, NodeConfig, ServeConfig
from postbox.hosts.applications.events import Event
from postbox.hosts.applications.host import Host
from postbox.hosts.door import Hosts
from postbox.hosts.links.postings import Posting, posted
from postbox.hosts.tables import KIND_EVENT, KIND_LOST, in_stream, out_stream
from postbox.log.committed import Committed
from postbox.metrics import Metrics
from postbox.net.asgi import discard_body, send_reply, text
from postbox.net.server import TcpAddress, serve
from postbox.node import Node, open_node
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from postbox.rules import Accepted, Payer
from postbox.store.contract import Entry, Lane, Window
from postbox.world import World
from support.simulate import Lives, MemoryDisk, Simulation, SkewedClock, simulate

PORT = 2289
TYPE_URL = "type.googleapis.com/test.Note"
PAYER = Payer("operator", "test")
NOTHING = -1
"""The answer of a host that accepts a connection, and never says a word."""


@dataclass
class Mood:
    """What a host answers to posts and to who asks. `status` 0: what it should."""

    status: int = 0
    retry_after_s: int | None = None
    pause_s: float = 0.0
    pauses_s: list[float] = field(default_factory=list)
    """Of the next requests, before it is `pause_s`."""
    asked: int = 0

    def over(self, app: ASGIFramework) -> ASGIFramework:
        async def answer(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            if scope["type"] != "http" or not scope["path"].startswith("/postbox.v1."):
                return await app(scope, receive, send)
            self.asked += 1
            pause_s = self.pauses_s.pop(0) if self.pauses_s else self.pause_s
            await trio.sleep(math.inf if self.status == NOTHING else pause_s)
            if not self.status:
                return await app(scope, receive, send)
            await discard_body(receive)
            later = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
            return await send_reply(send, text(self.status, "as it pleases", **later))

        return answer


@dataclass
class Member:
    """One of the hosts, over all its lives."""

    name: str
    address: str
    simulation: Simulation
    homes: Path
    settings: HostsConfig
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    mood: Mood = field(default_factory=Mood)
    ahead_s: float = 0.0
    _node: Node | None = None
    _door: Hosts | None = None
    _lives: Lives = field(default_factory=Lives)

    @property
    def host(self) -> str:
        return f"{self.name}.example:{PORT}"

    @property
    def is_up(self) -> bool:
        return self._door is not None

    @property
    def node(self) -> Node:
        assert self._node is not None, f"{self.name} is down"
        return self._node

    @property
    def door(self) -> Hosts:
        assert self._door is not None, f"{self.name} is down"
        return self._door

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """From start to crash, or to the end of the test."""
        life = self.simulation.node(self.disk, self.address)
        world = replace(life.world, clock=SkewedClock(life.world.clock, self.ahead_s))
        self.simulation.trace.note(self.name, "starts")
        with self._lives.one(life):
            async with open_node(world, self.homes / self.name, self._config, self.name) as node:
                node.tail.follow(self)
                async with node.open_hosts(Metrics(), Host()) as door:
                    await self._serve(world, node, door, task_status)
        self._node, self._door = None, None

    async def _serve(
        self, world: World, node: Node, door: Hosts, task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            where, app = TcpAddress(self.address, PORT), self.mood.over(door.make_app())
            await nursery.start(partial(serve, world, app, where, stop=trio.Event()))
            nursery.start_soon(door.run)
            self._node, self._door = node, door
            task_status.started()
            await trio.sleep_forever()

    @property
    def _config(self) -> Config:
        return Config(
            node=NodeConfig(memory="1000"),
            serve=ServeConfig(loopback=True),
            hosts=with_name(self.settings, name=self.host),
        )

    async def crash(self) -> None:
        """At once; returns when nothing of it runs any more."""
        self.simulation.trace.note(self.name, "crashes")
        self._node, self._door = None, None
        await self._lives.crash()

    async def post(self, to: Member, values: Sequence[bytes]) -> None:
        """Durable on return."""
        await self.post_events(to, [Event(TYPE_URL, value) for value in values])

    async def post_events(self, to: Member, contents: Sequence[Event]) -> None:
        at_ms, new_id = self.node.world.clock.now_ns() // 1_000_000, self.node.world.new_id
        events = tuple([posted(new_id(), one.type_url, one.value, at_ms) for one in contents])
        outcomes = await self.node.admission.submit(
            self.door.rules, [Posting(PAYER, to.host, events)]
        )
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes

    async def inbox(self, sender: Member) -> list[Entry]:
        return await self._stream(in_stream(sender.host))

    async def _stream(self, stream: bytes) -> list[Entry]:
        page = await self.node.store.read(
            lambda reader: reader.page(Lane.HOSTS, [Window(stream)], 0, 100_000, 2**30)
        )
        return list(page.entries)

    async def posted(self, to: Member) -> list[bytes]:
        """The values of all that its log has for that host."""
        return [_value(entry) for entry in await self._stream(out_stream(to.host))]

    async def received(self, sender: Member) -> list[bytes]:
        """The values that came from there, in the order of the log."""
        return [_value(entry) for entry in await self.inbox(sender) if entry.kind == KIND_EVENT]

    async def lost(self, sender: Member) -> int:
        """How many entries say that something is lost."""
        return sum(entry.kind == KIND_LOST for entry in await self.inbox(sender))

    async def queued(self, to: Member) -> int:
        """Posted there and not acknowledged."""
        return (await self.door.links.view_of(to.host)).queued

    def applied(self, committed: Committed) -> None:
        """As a follower of the log: what was committed, and where."""
        entries = [(one.pos, one.id, one.seq) for one in committed.entries]
        self.simulation.trace.note(self.name, committed.head, entries)


def _value(entry: Entry) -> bytes:
    event = PostboxEvent.from_binary(entry.body or b"").event
    assert event is not None
    return event.value


@dataclass
class HostsCluster:
    simulation: Simulation
    homes: Path
    nursery: trio.Nursery
    members: list[Member] = field(default_factory=list)

    def add(self, name: str, **settings: Any) -> Member:
        """One that is not up yet."""
        address = f"10.0.0.{len(self.members) + 1}"
        self.simulation.net.names[f"{name}.example"] = [address]
        hosts = HostsConfig(**settings)
        member = Member(name, address, self.simulation, self.homes, hosts)
        self.members.append(member)
        return member

    async def start(self, *members: Member) -> None:
        """All at once; returns when they answer."""
        async with trio.open_nursery() as starting:
            for member in members:
                starting.start_soon(self.nursery.start, member.live)

    async def restart(self, member: Member) -> None:
        await member.crash()
        await self.start(member)

    async def restore(self, member: Member, backup: MemoryDisk) -> None:
        """Put back to what it was."""
        await member.crash()
        member.disk = backup
        await self.start(member)

    def cut(self, one: Member, other: Member) -> None:
        self.simulation.net.cut(one.address, other.address)

    def heal(self, one: Member, other: Member) -> None:
        self.simulation.net.heal(one.address, other.address)


async def until(done: Callable[[], Awaitable[bool]], at_most_s: float = 600.0) -> float:
    """When it is so, on the virtual clock: the seconds that it took, a tenth more at most."""
    begun_s = trio.current_time()
    with trio.fail_after(at_most_s):
        while not await done():  # noqa: ASYNC110
            await trio.sleep(0.1 + 0.1 * (trio.current_time() - begun_s))
    return trio.current_time() - begun_s


@asynccontextmanager
async def hosts_cluster(simulation: Simulation, homes: Path) -> AsyncIterator[HostsCluster]:
    async with trio.open_nursery() as nursery:
        cluster = HostsCluster(simulation, homes, nursery)
        yield cluster
        for member in cluster.members:
            if member.is_up:
                await member.crash()


def among_hosts(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test, whose first parameter is `cluster`, under `simulate`."""
    signature = inspect.signature(test)
    cluster, *others = signature.parameters.values()
    assert cluster.name == "cluster"

    @functools.wraps(test)
    def run(tmp_path: Path, **fixtures: object) -> None:
        async def main(simulation: Simulation) -> None:
            async with hosts_cluster(simulation, tmp_path) as cluster:
                await test(cluster, **fixtures)

        simulate(1, main)

    homes = inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*others, homes])  # type: ignore[attr-defined]
    return run
