"""The outside, as five parameters: clock, random, net, threads, disk.

One `World` is made in the composition root (or by the simulator in the tests) and passed to
whatever needs it. Nothing else in the package reads a clock, draws a number, opens a socket,
hops to a thread or opens a database file; ruff's banned-api holds that.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import trio

if TYPE_CHECKING:
    import apsw
    import psycopg

T = TypeVar("T")


class Clock(Protocol):
    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...

    def elapsed_s(self) -> float:
        """Seconds since some fixed moment, never going back: for rates and durations."""
        ...


class Random(Protocol):
    def bytes(self, count: int) -> bytes:
        """`count` bytes fit for keys."""
        ...


def fraction(random: Random) -> float:
    """Drawn evenly from 0 to 1, and never 1."""
    return int.from_bytes(random.bytes(4), "big") / 2**32


class Net(Protocol):
    """Raises OSError when something cannot be had."""

    async def resolve(self, host: str) -> list[str]:
        """The addresses of a name as IP literals, the best first; a literal is itself."""
        ...

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        """A TCP connection. `address` is an IP literal: whoever checked it gets what it checked."""
        ...

    async def connect_unix(self, path: str) -> trio.abc.Stream: ...

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        """Bound and listening; port 0 takes a free one."""
        ...

    async def listen_unix(self, path: str) -> trio.SocketListener:
        """A socket that only its owner may connect to. One that a dead process left behind is
        replaced; one that somebody listens on, or another kind of file, is not."""
        ...


class Pool(Enum):
    """Who runs work off the loop, and how many at once."""

    WRITER = "writer"
    READER = "reader"
    VERIFIER = "verifier"
    HANDLER = "handler"


class Threads(Protocol):
    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        """`work()` in a thread of that pool. Not abandoned on cancellation: it runs to its end."""
        ...


@runtime_checkable
class Disk(Protocol):
    def open_database(self, path: str) -> apsw.Connection:
        """A connection to the SQLite database at `path`, made if it is not there."""
        ...

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        """A connection to a PostgreSQL server: a disk at the end of a wire. Its socket is libpq's,
        which resolves, connects and encrypts by itself; `Net` has no part in it."""
        ...


@dataclass(frozen=True)
class World:
    clock: Clock
    random: Random
    net: Net
    threads: Threads
    disk: Disk

    def new_id(self) -> bytes:
        """16 bytes: a UUIDv7 (RFC 9562), milliseconds first, so that ids made later sort later."""
        [new_id] = self.new_ids(1)
        return new_id

    def new_ids(self, count: int) -> list[bytes]:
        """So many, of one draw of randomness: each draw lets go of the GIL, and waits for it."""
        moment = (self.clock.now_ns() // 1_000_000).to_bytes(6, "big")
        drawn = self.random.bytes(_TAIL_BYTES * count)
        parts = (drawn[at : at + _TAIL_BYTES] for at in range(0, len(drawn), _TAIL_BYTES))
        return [moment + _tail(part) for part in parts]


_TAIL_BYTES = 10


def _tail(drawn: bytes) -> bytes:
    """Of a UUIDv7: its version and variant, and else what was drawn."""
    tail = bytearray(drawn)
    tail[0] = 0x70 | (tail[0] & 0x0F)
    tail[2] = 0x80 | (tail[2] & 0x3F)
    return bytes(tail)


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def elapsed_s(self) -> float:
        return time.perf_counter()


class SystemRandom:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SystemNet:
    async def resolve(self, host: str) -> list[str]:
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        try:
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # an empty label, or one that is too long
            raise OSError(f"{host!r} is no name of a host: {error}") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        ipaddress.ip_address(address)  # a ValueError for a name: those are resolved elsewhere
        return await trio.open_tcp_stream(address, port)

    async def connect_unix(self, path: str) -> trio.abc.Stream:
        return await trio.open_unix_socket(path)

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        return await trio.open_tcp_listeners(port, host=host)

    async def listen_unix(self, path: str) -> trio.SocketListener:
        await trio.lowlevel.checkpoint()
        listening = trio.socket.from_stdlib_socket(_bind_unix(path))
        listening.listen(UNIX_BACKLOG)
        return trio.SocketListener(listening)


UNIX_BACKLOG = 64
"""Connections that wait to be accepted: commands of one operator."""


def _bind_unix(path: str) -> socket.socket:
    """Bound, not yet listening: nobody can connect before the mode is set."""
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        os.chmod(path, 0o600)
    except BaseException:
        bound.close()
        raise
    return bound


def _remove_stale(path: str) -> None:
    """Of a socket whose process is gone the file stays, and connecting to it is refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        code = asking.connect_ex(path)
    if code == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(path).st_mode):
        os.unlink(path)
    elif code != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


class SystemThreads:
    """Limits: one writer (SQLite has one), four readers (a page is a few ms), verification on all
    cores but one, so that the loop always has somewhere to run, and four for what applications do,
    which may take its time."""

    def __init__(self) -> None:
        verifiers = max(1, (os.cpu_count() or 2) - 1)
        self._limiters = {
            Pool.WRITER: trio.CapacityLimiter(1),
            Pool.READER: trio.CapacityLimiter(4),
            Pool.VERIFIER: trio.CapacityLimiter(verifiers),
            Pool.HANDLER: trio.CapacityLimiter(4),
        }

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiters[pool])


class FileDisk:
    """Databases in files that only their owner may read: a new one is made here, empty, since
    SQLite would make it readable for all; its WAL has the mode of the database."""

    def open_database(self, path: str) -> apsw.Connection:
        import apsw

        with suppress(OSError):  # what is there is left as it is; what cannot be made, SQLite names
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return apsw.Connection(path)

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        import psycopg

        return psycopg.connect(conninfo, autocommit=True)


def cut(descriptor: int) -> None:
    """Ends a connection that a library opened, at both ends, from any thread: who waits for an
    answer there gets none. Raises OSError."""
    with socket.socket(fileno=os.dup(descriptor)) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def system_world() -> World:
    """The real outside."""
    return World(SystemClock(), SystemRandom(), SystemNet(), SystemThreads(), FileDisk())
