"""A whole system in one process, on virtual time: the same seed gives the same run.

`simulate(seed, main)` runs `main` under MockClock with Trio's scheduler seeded. Its worlds have
inline threads (which then sleep a seeded while, so that others run in between), SQLite in memory,
a network in memory, seeded randomness, and a wall clock that starts on 2026-11-21. A node's world
can be severed, which is what a crash looks like from inside: whatever its cleanup code does then
reaches nothing.
"""

from __future__ import annotations

import hashlib
import random as standard_random  # noqa: TID251  (this is where World's randomness comes from)
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar, cast

import apsw
import psycopg
import trio
import trio._core._run as trio_run
import trio.testing

from postbox.world import Clock, FileDisk, Pool, World
from support.memory_net import MemoryListener, MemoryNet, MemoryStream

T = TypeVar("T")

WALL_CLOCK_START_NS = 1_795_219_200 * 10**9  # 2026-11-21 00:00 UTC: after the newest test data
_OPEN = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_names = count()  # of databases in this process; in no trace


class Severed(Exception):
    """The node has crashed; nothing it does reaches the outside."""


class suppress_severed:  # noqa: N801  (reads as a verb)
    """What a crashed node's cleanup code runs into, alone or in groups."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return error.split(Severed)[1] is None
        return isinstance(error, Severed)


class Life:
    """Of one node, from start to crash."""

    def __init__(self) -> None:
        self.is_over = False

    def check(self) -> None:
        if self.is_over:
            raise Severed("the node has crashed")


@dataclass(frozen=True)
class VirtualClock:
    def now_ns(self) -> int:
        return WALL_CLOCK_START_NS + round(self.elapsed_s() * 1e9)

    def elapsed_s(self) -> float:
        return trio.current_time()


@dataclass(frozen=True)
class FixedClock:
    """For tests without a loop."""

    at_ns: int = WALL_CLOCK_START_NS

    def now_ns(self) -> int:
        return self.at_ns

    def elapsed_s(self) -> float:
        return self.at_ns / 1e9


@dataclass
class SkewedClock:
    """A wall clock that is wrong by so much, until it is set."""

    clock: Clock
    ahead_s: float

    def now_ns(self) -> int:
        return self.clock.now_ns() + int(self.ahead_s * 1e9)

    def elapsed_s(self) -> float:
        return self.clock.elapsed_s()


class SeededRandom:
    def __init__(self, seed: int) -> None:
        self._random = standard_random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def fraction(self) -> float:
        return self._random.random()


@dataclass(frozen=True)
class InlineThreads:
    random: SeededRandom
    life: Life
    longest_s: float = 0.005

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        self.life.check()
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            return work()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.random.fraction() * self.longest_s)


class MemoryDisk:
    """Databases that outlive the nodes that open them, as files do."""

    def __init__(self) -> None:
        self._name = f"postbox-test-{next(_names)}"
        self._keepers: dict[str, apsw.Connection] = {}

    def open_database(self, path: str) -> apsw.Connection:
        if path not in self._keepers:
            self._keepers[path] = self._connect(path)
        return self._connect(path)

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        return FileDisk().connect_database(conninfo)

    def copied(self) -> MemoryDisk:
        """As it is now: a backup, or what to put back."""
        other = MemoryDisk()
        for path, keeper in self._keepers.items():
            other._keepers[path] = other._connect(path)
            with other._keepers[path].backup("main", keeper, "main") as copying:
                copying.step()
        return other

    def _connect(self, path: str) -> apsw.Connection:
        return apsw.Connection(f"file:/{self._name}/{path}?vfs=memdb", flags=_OPEN)


@dataclass(frozen=True)
class NodeDisk:
    """A disk as one life of a node sees it: its connections die with it."""

    disk: MemoryDisk
    life: Life
    connections: list[apsw.Connection | psycopg.Connection] = field(default_factory=list)

    def open_database(self, path: str) -> apsw.Connection:
        self.life.check()
        connection = self.disk.open_database(path)
        self.connections.append(connection)
        return connection

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        self.life.check()
        connection = self.disk.connect_database(conninfo)
        self.connections.append(connection)
        return connection


class NodeStream(trio.abc.HalfCloseableStream):
    """A connection as one life of a node sees it."""

    def __init__(self, stream: MemoryStream, life: Life) -> None:
        self._stream = stream
        self._life = life
        self.socket = stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._life.check()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        self._life.check()
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._life.check()
        received = await self._stream.receive_some(max_bytes)
        self._life.check()
        return received

    async def send_eof(self) -> None:
        self._life.check()
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class NodeListener(trio.abc.Listener[NodeStream]):
    def __init__(self, net: NodeNet, listener: MemoryListener) -> None:
        self._net = net
        self._listener = listener
        self.socket = listener.socket

    async def accept(self) -> NodeStream:
        return self._net.own(await self._listener.accept())

    async def aclose(self) -> None:
        await self._listener.aclose()


@dataclass(frozen=True)
class NodeNet:
    """A network as one life of a node sees it, from its own address."""

    net: MemoryNet
    life: Life
    address: str
    open: list[trio.abc.AsyncResource] = field(default_factory=list)

    async def resolve(self, host: str) -> list[str]:
        self.life.check()
        return await self.net.resolve(host)

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        self.life.check()
        return self.own(cast(MemoryStream, await self.net.connect(address, port, self.address)))

    async def connect_unix(self, path: str) -> trio.abc.Stream:
        self.life.check()
        return self.own(cast(MemoryStream, await self.net.connect_unix(path)))

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        """On the node's own address if `host` is all of them."""
        self.life.check()
        host = self.address if host in ("0.0.0.0", "::") else host
        return [self._own_listener(each) for each in await self.net.listen(host, port)]

    async def listen_unix(self, path: str) -> trio.SocketListener:
        self.life.check()
        return self._own_listener(await self.net.listen_unix(path))

    def _own_listener(self, listener: trio.SocketListener) -> trio.SocketListener:
        in_memory = cast(MemoryListener, listener)
        self.open.append(in_memory)
        return cast(trio.SocketListener, NodeListener(self, in_memory))

    def own(self, stream: MemoryStream) -> NodeStream:
        self.open.append(stream)
        return NodeStream(stream, self.life)


class Node:
    """One life of a node: `world` until `sever`."""

    def __init__(
        self, net: MemoryNet, disk: MemoryDisk, seed: int, address: str = "127.0.0.1"
    ) -> None:
        self._life = Life()
        self._disk = NodeDisk(disk, self._life)
        self._net = NodeNet(net, self._life, address)
        random = SeededRandom(seed)
        threads = InlineThreads(random, self._life)
        self.world = World(VirtualClock(), random, self._net, threads, self._disk)

    def sever(self) -> None:
        """The crash itself. Cancel the node's nursery after it."""
        self._life.is_over = True
        for connection in self._disk.connections:
            connection.close()  # rolls back what was not committed
        for resource in self._net.open:  # the others see it end
            trio.lowlevel.spawn_system_task(trio.aclose_forcefully, resource)


class Lives:
    """Of one node, one after the other."""

    def __init__(self) -> None:
        self._life: Node | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    @contextmanager
    def one(self, life: Node) -> Iterator[None]:
        """What runs within it does so until the crash, or until it is cancelled."""
        self._life, self._scope, self._ended = life, trio.CancelScope(), trio.Event()
        with suppress_severed(), self._scope:
            yield
        self._ended.set()

    async def crash(self) -> None:
        """At once; returns when nothing of it runs any more."""
        assert self._life is not None
        self._life.sever()
        await self.end()

    async def end(self) -> None:
        """Cancelled: what it does about that still reaches the outside."""
        self._scope.cancel()
        await self.wait_ended()

    async def wait_ended(self) -> None:
        await self._ended.wait()


class Trace:
    """What happened, in order, as one hash."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def note(self, *facts: object) -> None:
        self._hash.update(repr((trio.current_time(), *facts)).encode() + b"\n")

    def digest(self) -> str:
        return self._hash.hexdigest()


class Simulation:
    def __init__(self, seed: int) -> None:
        self.random = SeededRandom(seed)
        self.net = MemoryNet()
        self.trace = Trace()

    def node(self, disk: MemoryDisk, address: str = "127.0.0.1") -> Node:
        """A new life on that disk; `address` is where its connections come from."""
        return Node(self.net, disk, int.from_bytes(self.random.bytes(8), "big"), address)


def simulate(
    seed: int, main: Callable[[Simulation], Awaitable[None]], limit_s: float = 10 * 86_400
) -> Trace:
    """Runs `main` to its end, or for `limit_s` of virtual time, and returns what it noted."""
    simulation = Simulation(seed)
    clock = trio.testing.MockClock(autojump_threshold=0)
    was = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    switches = vars(trio_run)  # to type checkers the switch is a constant
    switches["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio_run._r.seed(seed)

    async def run() -> None:
        # When everything waits for ever, time jumps to this, and the hang is a failure.
        with trio.fail_after(limit_s):
            await main(simulation)

    try:
        trio.run(run, clock=clock)
    finally:
        switches["_ALLOW_DETERMINISTIC_SCHEDULING"] = was
    return simulation.trace
