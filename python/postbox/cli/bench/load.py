"""Asks a server as fast as it answers, over so many connections, and notes how long it took.

Made to cost little beside the server: requests are bytes that were made before, answers are read to
their end and not looked into. How much it does cost is measured too (`served.py`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import trio

from postbox.cli.bench.children import BenchFault
from postbox.world import Clock

RECEIVE_BYTES = 2**20
ASKS_A_CONNECTION = 250
"""A node bears 300 requests a minute of an address that prove nothing (GET /ping). So connections
come from an address of their own each and end before that; one in 250 requests costs little."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


@dataclass
class Load:
    """What came of it, over several turns."""

    elapsed_s: float = 0.0
    bytes: int = 0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        return len(self.latencies_s) / self.elapsed_s


class _Connection:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray(RECEIVE_BYTES)
        self._view = memoryview(self._buffer)

    async def ask(self, request: bytes) -> int:
        """The size of the answer's body."""
        await self._stream.send_all(request)
        got, end = 0, -1
        while end < 0:
            got += await self._receive(got)
            end = self._buffer.find(_HEAD_END, 0, got)
        head = bytes(self._view[: end + 2])
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            answer = bytes(self._view[:got])[:400].decode("utf-8", "replace")
            raise BenchFault(f"{request[:40]!r} was answered {answer!r}")
        size_bytes = int(length[1])
        left = size_bytes - (got - end - len(_HEAD_END))
        while left > 0:
            left -= await self._receive(0)
        return size_bytes

    async def _receive(self, start: int) -> int:
        count = await self._stream.socket.recv_into(self._view[start:])
        if not count:
            raise BenchFault("the server closed a connection in the midst of an answer")
        return count


class Press:
    """Presses one server. `addresses`: of ours, one for each connection."""

    def __init__(self, clock: Clock, url: str, addresses: Iterator[str]) -> None:
        self._clock = clock
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self._host, self._port = address.hostname, address.port
        self._addresses = addresses

    async def size_of(self, request: bytes) -> int:
        """How large one answer is."""
        async with self._connected() as connection:
            return await connection.ask(request)

    async def turn(self, request: bytes, connections: int, seconds: float, load: Load) -> None:
        """Adds a turn of so many seconds to `load`: each connection asks again as soon as it is
        answered. It begins when all are connected and were answered once."""
        go = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                await nursery.start(self._keep_asking, request, seconds, load, go)
            started_s = self._clock.elapsed_s()
            go.set()
        load.elapsed_s += self._clock.elapsed_s() - started_s

    async def _keep_asking(
        self,
        request: bytes,
        seconds: float,
        load: Load,
        go: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        until_s = None
        while until_s is None or self._clock.elapsed_s() < until_s:
            async with self._connected() as connection:
                await connection.ask(request)
                if until_s is None:
                    task_status.started()
                    await go.wait()
                    until_s = self._clock.elapsed_s() + seconds
                await self._ask(connection, request, until_s, load)

    async def _ask(
        self, connection: _Connection, request: bytes, until_s: float, load: Load
    ) -> None:
        elapsed_s = self._clock.elapsed_s
        for _ in range(ASKS_A_CONNECTION):
            asked_s = elapsed_s()
            size_bytes = await connection.ask(request)  # not `+= await`: others add meanwhile
            answered_s = elapsed_s()
            load.bytes += size_bytes
            load.latencies_s.append(answered_s - asked_s)
            if answered_s >= until_s:
                return

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Connection]:
        address = next(self._addresses)
        try:
            stream = await trio.open_tcp_stream(self._host, self._port, local_address=address)
        except OSError as error:
            raise BenchFault(
                f"cannot connect from {address} to {self._host}:{self._port} ({error}): all of"
                " 127.0.0.0/8 must be this machine, as on Linux"
            ) from error
        async with stream:
            yield _Connection(stream)


def loopback_addresses() -> Iterator[str]:
    """One after the other, for a very long time."""
    for number in range(2**16, 2**24 - 1):
        yield f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"
