"""An MQTT 5 broker on World.net, as small as the bus needs one: QoS 0 to subscribers, QoS 0 and 1
from publishers, + and #, no retained messages, no sessions. Written from the standard, not with
the codec that it is to test. Notes what is published; can be silent, refuse, or say anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import trio

from postbox.world import Net

PORT = 1883
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x80, 0x90
PINGREQ, PINGRESP, DISCONNECT = 0xC0, 0xD0, 0xE0
NO_LOCAL = 0x04


class Said(NamedTuple):
    topic: str
    payload: bytes


def packet(kind: int, body: bytes) -> bytes:
    """With its length, seven bits a byte, the lowest first."""
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(length) + body


def publication(said: Said) -> bytes:
    topic = said.topic.encode()
    return packet(PUBLISH, len(topic).to_bytes(2, "big") + topic + b"\0" + said.payload)


def is_match(topic_filter: str, topic: str) -> bool:
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        one in ("+", other) for one, other in zip(wanted, levels, strict=True)
    )


class Reader:
    """Takes fields off the front of a packet."""

    def __init__(self, body: bytes) -> None:
        self.rest = body

    def take(self, size: int) -> bytes:
        taken, self.rest = self.rest[:size], self.rest[size:]
        assert len(taken) == size, "a packet that ends too early"
        return taken

    def number(self, size: int = 2) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number()).decode()

    def length(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def skip_properties(self) -> None:
        self.take(self.length())


@dataclass
class Guest:
    """A connection to the broker. `filters`: with the options of each."""

    stream: trio.abc.Stream
    client_id: str = ""
    user: str = ""
    password: str = ""
    filters: dict[str, int] = field(default_factory=dict)
    buffer: bytearray = field(default_factory=bytearray)

    async def packet(self) -> tuple[int, bytes] | None:
        """None at the end."""
        while (found := self._whole()) is None:
            part = await self.stream.receive_some(65_536)
            if not part:
                return None
            self.buffer += part
        return found

    def _whole(self) -> tuple[int, bytes] | None:
        for at in range(1, min(5, len(self.buffer))):
            if self.buffer[at] < 0x80:
                size = Reader(bytes(self.buffer[1 : at + 1])).length()
                if len(self.buffer) < at + 1 + size:
                    return None
                kind, body = self.buffer[0], bytes(self.buffer[at + 1 : at + 1 + size])
                del self.buffer[: at + 1 + size]
                return kind, body
        return None


@dataclass
class Broker:
    """`refusal`: the reason code of every CONNACK. `is_silent`: it says nothing any more."""

    said: list[Said] = field(default_factory=list)
    guests: list[Guest] = field(default_factory=list)
    arrivals: list[Guest] = field(default_factory=list)  # all that ever connected
    refusal: int = 0
    refused_filter: str = ""
    is_silent: bool = False

    def of(self, topic: str) -> list[bytes]:
        """All that was published there."""
        return [one.payload for one in self.said if one.topic == topic]

    async def say(self, topic: str, payload: bytes, but: Guest | None = None) -> None:
        """To all who subscribe to it, as anybody's message."""
        said = Said(topic, payload)
        self.said.append(said)
        for guest in list(self.guests):
            options = [each for one, each in guest.filters.items() if is_match(one, topic)]
            if options and not (guest is but and options[0] & NO_LOCAL):
                await self._send(guest, publication(said))

    async def _send(self, guest: Guest, data: bytes) -> None:
        if not self.is_silent:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await guest.stream.send_all(data)

    async def serve(self, stream: trio.abc.Stream) -> None:
        guest = Guest(stream)
        self.arrivals.append(guest)
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while (found := await guest.packet()) is not None:
                    await self._answer(guest, *found)
        finally:
            if guest in self.guests:
                self.guests.remove(guest)
            await trio.aclose_forcefully(stream)

    async def _answer(self, guest: Guest, kind: int, body: bytes) -> None:
        read = Reader(body)
        match kind & 0xF0:
            case 0x10:
                await self._welcome(guest, read)
            case 0x30:
                await self._publish(guest, kind, read)
            case 0x80:
                await self._subscribe(guest, read)
            case 0xC0:
                await self._send(guest, packet(PINGRESP, b""))
            case 0xE0:
                await guest.stream.aclose()
            case _:
                raise AssertionError(f"what is a packet of the kind {kind:#x}?")

    async def _welcome(self, guest: Guest, read: Reader) -> None:
        assert read.text() == "MQTT"
        assert read.number(1) == 5
        flags = read.number(1)
        read.number()
        read.skip_properties()
        guest.client_id = read.text()
        guest.user = read.text() if flags & 0x80 else ""
        guest.password = read.text() if flags & 0x40 else ""
        if not self.refusal:
            self.guests.append(guest)
        await self._send(guest, packet(CONNACK, bytes([0, self.refusal, 0])))

    async def _subscribe(self, guest: Guest, read: Reader) -> None:
        number = read.take(2)
        read.skip_properties()
        reasons = bytearray()
        while read.rest:
            topic_filter, options = read.text(), read.number(1)
            guest.filters[topic_filter] = options
            reasons.append(0x87 if topic_filter == self.refused_filter else 0)
        await self._send(guest, packet(SUBACK, number + b"\0" + bytes(reasons)))

    async def _publish(self, guest: Guest, kind: int, read: Reader) -> None:
        topic = read.text()
        number = read.take(2) if kind & 0x06 else b""
        read.skip_properties()
        await self.say(topic, read.rest, but=guest)
        if number:
            await self._send(guest, packet(PUBACK, number))


Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def listening(net: Net, address: str, serve: Serve, port: int = PORT) -> AsyncIterator[None]:
    """Whatever `serve` makes of each connection."""
    listeners = await net.listen(address, port)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def broker_at(net: Net, address: str) -> AsyncIterator[Broker]:
    broker = Broker()
    async with listening(net, address, broker.serve):
        yield broker
