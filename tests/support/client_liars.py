"""Servers that are no hosts, or bad ones, on real sockets: by HTTP/1.1 and by HTTP/2 they say the
same, whatever it is."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import h2.events
import trio
import trio.testing
from h2.exceptions import ProtocolError, StreamClosedError, StreamIDTooLowError

from postbox.world import system_world
from support.h2_server import Wire

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, ProtocolError)
GIVEN_UP = (StreamClosedError, StreamIDTooLowError)
"""What h2 says of a stream that the client has reset: the latter once it knows of a later one."""
PREFACE = b"PRI * HTTP/2.0"

Ending: TypeAlias = Literal["whole", "cut", "never"]
"""After what is said: as the protocol ends it, by ending the connection, or not at all."""


class Lie(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes = b""
    ending: Ending = "whole"
    trailers: dict[str, str] = {}  # noqa: RUF012  (HTTP/2 alone has them)


Talk: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]


@dataclass
class Liar:
    """`came`: connections, in all; `ended`: on this side; `open`: that the other side has not
    ended."""

    talk: Talk
    tls: ssl.SSLContext | None = None
    url: str = ""
    came: int = 0
    ended: int = 0
    open: int = 0
    _moved: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    async def serve(self, stream: trio.SocketStream) -> None:
        self._move(came=1, open=1)
        async with stream:
            with suppress(*GONE):
                await self.talk(stream if self.tls is None else self._secured(stream, self.tls))
            with suppress(*GONE):
                await stream.send_eof()
            self._move(ended=1)
            with suppress(*GONE):
                while await stream.receive_some(2**16):
                    pass
        self._move(open=-1)

    def _secured(self, stream: trio.SocketStream, tls: ssl.SSLContext) -> trio.abc.Stream:
        return trio.SSLStream(stream, tls, server_side=True, https_compatible=True)

    async def all_gone(self) -> None:
        """When nobody has a connection to it any more."""
        with trio.fail_after(20):
            while self.open:
                await self._moved.park()

    async def all_ended(self) -> None:
        """When it has no more to say to anybody."""
        with trio.fail_after(20):
            while self.ended < self.came:
                await self._moved.park()

    def _move(self, came: int = 0, ended: int = 0, open: int = 0) -> None:
        self.came, self.ended, self.open = self.came + came, self.ended + ended, self.open + open
        self._moved.unpark_all()


@asynccontextmanager
async def lying(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Liar]:
    """`talk`: with each connection; what it leaves is ended on this side, and read to its end."""
    liar = Liar(talk, tls)
    listeners = await system_world().net.listen("127.0.0.1", 0)
    scheme = "http" if tls is None else "https"
    liar.url = f"{scheme}://localhost:{listeners[0].socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, liar.serve, listeners))
        yield liar
        nursery.cancel_scope.cancel()


def telling(lie: Lie, asked: list[bytes] | None = None) -> Talk:
    """One lie a request, in the protocol in which it is asked. `asked`: where requests go."""

    async def talk(stream: trio.abc.Stream) -> None:
        while data := bytes(await stream.receive_some(2**16)):
            if asked is not None:
                asked.append(data)
            if data.startswith(PREFACE):
                return await _tell_by_2(Wire(_Pushed(stream, data)), lie)
            await _read_rest(stream, data)
            if not await _tell_by_1(stream, lie):
                return None
        return None

    return talk


def late(talk: Talk) -> Talk:
    """It reads nothing before everybody waits: of what was sent meanwhile, as much as there is."""
    return lambda stream: talk(trio.StapledStream(stream, _Late(stream)))


def saying(data: bytes) -> Talk:
    """Whatever is asked."""

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(data)

    return talk


async def _read_rest(stream: trio.abc.Stream, data: bytes) -> None:
    while b"\r\n\r\n" not in data:
        data += await _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += await _more(stream)


async def _more(stream: trio.abc.Stream) -> bytes:
    data = await stream.receive_some(2**16)
    if not data:
        raise trio.BrokenResourceError("the client left amid its request")
    return bytes(data)


async def _tell_by_1(stream: trio.abc.Stream, lie: Lie) -> bool:
    """May more be asked?"""
    pairs = "".join(f"{name}: {value}\r\n" for name, value in lie.headers.items())
    head = f"HTTP/1.1 {lie.status} X\r\ntransfer-encoding: chunked\r\n{pairs}\r\n"
    chunk = b"%x\r\n%b\r\n" % (len(lie.body), lie.body) if lie.body else b""
    end = b"0\r\n\r\n" if lie.ending == "whole" else b""
    await stream.send_all(head.encode("latin-1") + chunk + end)
    if lie.ending == "never":
        await stream.receive_some()
    return lie.ending == "whole"


async def _tell_by_2(wire: Wire, lie: Lie) -> None:
    while await _is_asked(wire):
        stream_id = await wire.asked()
        with suppress(*GIVEN_UP):
            await _tell(wire, stream_id, lie)
        if lie.ending == "cut":
            return


async def _tell(wire: Wire, stream_id: int, lie: Lie) -> None:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in lie.headers.items()]
    wire.h2.send_headers(stream_id, [(b":status", b"%d" % lie.status), *pairs])
    await wire.send()
    for at in range(0, len(lie.body), 2**14):
        while wire.h2.local_flow_control_window(stream_id) < 2**14:
            if not await wire.hear():
                return
        wire.h2.send_data(stream_id, lie.body[at : at + 2**14])
        await wire.send()
    if lie.ending == "whole" and lie.trailers:
        trailers = [(name.encode(), value.encode()) for name, value in lie.trailers.items()]
        wire.h2.send_headers(stream_id, trailers, end_stream=True)
    elif lie.ending == "whole":
        wire.h2.end_stream(stream_id)
    await wire.send()


async def _is_asked(wire: Wire) -> bool:
    """Or did the client leave?"""
    while not any(isinstance(event, h2.events.StreamEnded) for event in wire.heard):
        if not await wire.hear():
            return False
    return True


class _Pushed(trio.abc.Stream):
    """A stream of which something was read already."""

    def __init__(self, stream: trio.abc.Stream, data: bytes) -> None:
        self._stream = stream
        self._data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data, self._data = self._data, b""
        return data or await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Late(trio.abc.ReceiveStream):
    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await trio.testing.wait_all_tasks_blocked()
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()
