"""A network in memory, for World.net: many nodes in one process, no sockets, any clock.

Streams have no buffers of the system behind them, and whoever connects meets a listener of the
same address in the same `MemoryNet`. Addresses are not checked for being addresses.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from itertools import count
from typing import cast

import trio
import trio.testing


@dataclass(frozen=True)
class _Ends:
    """The part of a socket that hypercorn looks at: who speaks to whom."""

    here: tuple[str, int]
    there: tuple[str, int]
    family = 2  # AF_INET

    def getsockname(self) -> tuple[str, int]:
        return self.here

    def getpeername(self) -> tuple[str, int]:
        return self.there


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection; `socket` tells addresses and nothing else."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, socket: _Ends) -> None:
        self._stream = stream
        self.socket = socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class MemoryListener(trio.abc.Listener[MemoryStream]):
    def __init__(self, net: MemoryNet, address: tuple[str, int]) -> None:
        self._net = net
        self._address = address
        self.socket = _Ends(address, address)
        self.arriving, self._arrived = trio.open_memory_channel[MemoryStream](100)

    async def accept(self) -> MemoryStream:
        try:
            return await self._arrived.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._net.listeners.pop(self._address, None)
        self.arriving.close()
        self._arrived.close()
        await trio.lowlevel.checkpoint()


class MemoryNet:
    def __init__(self) -> None:
        self.listeners: dict[tuple[str, int], MemoryListener] = {}
        self._free_ports = count(20_000)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        listener = self.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on {host}:{port}")
        near, far = trio.testing.memory_stream_pair()
        client = ("127.0.0.1", next(self._free_ports))
        await listener.arriving.send(MemoryStream(far, _Ends((host, port), client)))
        return MemoryStream(near, _Ends(client, (host, port)))

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        await trio.lowlevel.checkpoint()
        address = (host, port or next(self._free_ports))
        if address in self.listeners:
            raise OSError(errno.EADDRINUSE, f"{host}:{port} is in use")
        self.listeners[address] = MemoryListener(self, address)
        # It is a listener with a `socket` that knows its name: all that `net.server` relies on.
        return [cast(trio.SocketListener, self.listeners[address])]
