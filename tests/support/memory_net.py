"""A network in memory, for World.net: many nodes in one process, no sockets, any clock.

Streams have no buffers of the system behind them, and whoever connects meets a listener of the
same address in the same `MemoryNet`. `names` is what names resolve to. Two addresses can be
parted: what they had open breaks, and they cannot connect until they are healed.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import trio
import trio.testing
from trio.testing import MemoryReceiveStream, MemorySendStream

Stapled = trio.StapledStream[MemorySendStream, MemoryReceiveStream]
Where = tuple[str, int] | str
"""Of a listener: address and port, or the path of a unix socket."""

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10


@dataclass(frozen=True)
class _Ends:
    """The part of a socket that a server looks at: who speaks to whom."""

    here: Where
    there: Where

    @property
    def family(self) -> int:
        if isinstance(self.here, str):
            return AF_UNIX
        return AF_INET6 if ":" in self.here[0] else AF_INET

    def getsockname(self) -> Where:
        return self.here

    def getpeername(self) -> Where:
        return self.there


@dataclass
class _Wire:
    """Both ends of one connection."""

    addresses: frozenset[str]
    ends: tuple[Stapled, Stapled]
    is_broken: bool = False
    closed_ends: int = 0

    def break_off(self) -> None:
        self.is_broken = True
        for end in self.ends:
            end.send_stream.close()
            end.receive_stream.close()

    @contextmanager
    def seen_broken(self) -> Iterator[None]:
        try:
            yield
        except trio.ClosedResourceError:
            if self.is_broken:
                raise trio.BrokenResourceError("the network was cut") from None
            raise


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection; `socket` tells addresses and nothing else."""

    def __init__(self, net: MemoryNet, wire: _Wire, stream: Stapled, socket: _Ends) -> None:
        self._net = net
        self._wire = wire
        self._stream = stream
        self._is_closed = False
        self.socket = socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._wire_is_mine():
            self._net.sent_bytes += len(data)
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        with self._wire_is_mine():
            await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._wire_is_mine():
            return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        with self._wire_is_mine():
            await self._stream.send_eof()

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._net.forget(self._wire)
        await self._stream.aclose()

    @contextmanager
    def _wire_is_mine(self) -> Iterator[None]:
        if self._is_closed:
            raise trio.ClosedResourceError
        with self._wire.seen_broken():
            yield


class MemoryListener(trio.abc.Listener[MemoryStream]):
    def __init__(self, net: MemoryNet, where: Where) -> None:
        self._net = net
        self._where = where
        self.socket = _Ends(where, where)
        self.arriving, self._arrived = trio.open_memory_channel[MemoryStream](100)

    async def accept(self) -> MemoryStream:
        try:
            return await self._arrived.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def aclose(self) -> None:
        self._net.listeners.pop(self._where, None)
        self.arriving.close()
        self._arrived.close()
        await trio.lowlevel.checkpoint()


@dataclass
class MemoryNet:
    names: dict[str, list[str]] = field(default_factory=lambda: {"localhost": ["127.0.0.1"]})
    listeners: dict[Where, MemoryListener] = field(default_factory=dict)
    sent_bytes: int = 0

    def __post_init__(self) -> None:
        self._free_ports = count(20_000)
        self._wires: list[_Wire] = []
        self._cuts: set[frozenset[str]] = set()  # of one address: it is cut off from all others

    async def resolve(self, host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        if host not in self.names:
            raise OSError(f"{host} has no address")
        return self.names[host]

    async def connect(self, address: str, port: int, source: str = "127.0.0.1") -> trio.abc.Stream:
        ipaddress.ip_address(address)
        client = (source, next(self._free_ports))
        if self._is_cut(frozenset((address, source))):
            await trio.lowlevel.checkpoint()
            raise OSError(errno.EHOSTUNREACH, f"no way from {source} to {address}")
        return await self._meet((address, port), client)

    async def connect_unix(self, path: str) -> trio.abc.Stream:
        return await self._meet(path, "")

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        return [await self._listen((host, port or next(self._free_ports)))]

    async def listen_unix(self, path: str) -> trio.SocketListener:
        return await self._listen(path)

    def cut(self, one: str, other: str | None = None) -> None:
        """Part two addresses, or one from all others."""
        parted = frozenset((one,)) if other is None else frozenset((one, other))
        self._cuts.add(parted)
        self.break_off(parted)

    def break_off(self, addresses: frozenset[str]) -> None:
        """What they have open with each other, or one of them with any. They may connect again."""
        for wire in [wire for wire in self._wires if addresses <= wire.addresses]:
            if len(wire.addresses) == 2:  # of an address with itself nothing breaks
                wire.break_off()
                self._wires.remove(wire)

    def heal(self, one: str, other: str | None = None) -> None:
        """Undo the `cut` of the same arguments."""
        self._cuts.remove(frozenset((one,)) if other is None else frozenset((one, other)))

    def forget(self, wire: _Wire) -> None:
        wire.closed_ends += 1
        if wire.closed_ends == 2 and not wire.is_broken:
            self._wires.remove(wire)

    def _is_cut(self, addresses: frozenset[str]) -> bool:
        """A connection of an address with itself is cut by nothing."""
        return len(addresses) == 2 and any(cut <= addresses for cut in self._cuts)

    async def _meet(self, where: Where, client: Where) -> MemoryStream:
        await trio.lowlevel.checkpoint()
        listener = self.listeners.get(where)
        if listener is None:
            named = where if isinstance(where, str) else f"{where[0]}:{where[1]}"
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on {named}")
        near, far = trio.testing.memory_stream_pair()
        addresses = frozenset(end[0] for end in (where, client) if not isinstance(end, str))
        wire = _Wire(addresses, (near, far))
        self._wires.append(wire)
        await listener.arriving.send(MemoryStream(self, wire, far, _Ends(where, client)))
        return MemoryStream(self, wire, near, _Ends(client, where))

    async def _listen(self, where: Where) -> trio.SocketListener:
        await trio.lowlevel.checkpoint()
        if where in self.listeners:
            raise OSError(errno.EADDRINUSE, f"{where} is in use")
        self.listeners[where] = MemoryListener(self, where)
        # It is a listener with a `socket` that knows its name: all that `net.server` relies on.
        return cast(trio.SocketListener, self.listeners[where])
