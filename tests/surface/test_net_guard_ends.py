"""How connections and answers end: the server stops, the client goes, or takes its time."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, cast

import h2.events
import pytest
import trio
import trio.testing
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope

from postbox.net.addresses import Reach
from postbox.net.guard.apps import LARGE_BYTES, Apps, Serving
from postbox.net.guard.connection import HELD_BYTES
from postbox.net.guard.h2 import HEADER_TABLE_BYTES
from postbox.net.limits import SEND_BYTES, Limits
from postbox.world import system_world
from support.attackers import GONE, Http2, Target, connected, read_to_end, request, speaking_h2
from support.memory_net import MemoryNet
from support.serving import FixedClock, echo, logged, read_all, reply, served

App = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


class Gate:
    """An app that answers `body` when it is told to, and notes how it ended."""

    def __init__(self, body: bytes = b"done") -> None:
        self.entered, self.release, self.ended = trio.Event(), trio.Event(), trio.Event()
        self.was_cancelled = False
        self._body = body

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        try:
            await read_all(receive)
            self.entered.set()
            await self.release.wait()
            await reply(send, self._body)
        except trio.Cancelled:
            self.was_cancelled = True
            raise
        finally:
            self.ended.set()


# -- stopping ------------------------------------------------------------------------------------


async def test_a_stopping_server_finishes_what_http2_asked_and_refuses_what_it_asks_now() -> None:
    app = Gate()
    with trio.fail_after(30):
        async with (
            served(app, Limits(grace_s=3600, idle_s=3600)) as server,
            speaking_h2(Target(*server.address)) as client,
        ):
            before = client.open(b"/")
            await client.flush()
            await app.entered.wait()
            server.stop.set()
            await trio.testing.wait_all_tasks_blocked()
            after = client.open(b"/")
            await client.flush()
            assert await client.answer(after) == (None, b"")
            over = client.over[after]
            assert isinstance(over, h2.events.StreamReset)
            assert over.error_code == ErrorCodes.REFUSED_STREAM
            assert not server.returned.is_set()
            app.release.set()
            assert await client.answer(before) == (200, b"done")
            assert await client.to_the_end() == ErrorCodes.NO_ERROR
            await server.returned.wait()


async def test_an_idle_http2_connection_does_not_keep_the_server_from_stopping() -> None:
    with trio.fail_after(30):
        async with served(echo, Limits(grace_s=3600)) as server:
            async with speaking_h2(Target(*server.address)) as client:
                stream_id = client.open(b"/")
                await client.flush()
                assert (await client.answer(stream_id))[0] == 200
                server.stop.set()
                await server.returned.wait()


async def test_a_client_that_says_no_word_of_tls_does_not_keep_the_server_from_stopping(
    tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    limits = Limits(grace_s=3600, handshake_s=3600)
    with trio.fail_after(30):
        async with served(echo, limits, tls=tls, trusted=trusted) as server:
            async with connected(Target(*server.address)):
                assert (await server.post("/"))[0] == 200  # so the silent one is being served
                server.stop.set()
                await server.returned.wait()


async def test_a_reader_that_is_stuck_in_sending_is_ended_with_the_server() -> None:
    """It answers pings, and nobody reads these answers."""
    limits = Limits(send_s=3600, grace_s=0.1)
    with trio.fail_after(30):
        async with served(echo, limits) as server, connected(Target(*server.address)) as stream:
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 2048)
            client = Http2(stream)
            await client.begin()
            with trio.move_on_after(1):
                while True:  # until the system's buffers are full both ways, or a second is over
                    for _ in range(50):
                        client.connection.ping(b"12345678")
                    await client.flush()
                    await trio.sleep(0.4)  # as often as is no flood
            server.stop.set()
            await server.returned.wait()


# -- the client goes -----------------------------------------------------------------------------


async def test_a_client_that_closes_its_side_gets_the_rest_of_an_answer_that_is_complete() -> None:
    app = Gate(bytes(8 * 2**20))
    app.release.set()
    with trio.fail_after(30):
        async with served(app) as server, connected(Target(*server.address)) as stream:
            await stream.send_all(request())
            read = bytearray(await stream.receive_some(1))
            await app.entered.wait()
            read += await stream.receive_some(200_000)  # more than headers: all of it is being sent
            await stream.send_eof()
            read += await read_to_end(stream)
    assert len(read) > 8 * 2**20


async def test_an_app_that_has_answered_goes_on_when_its_client_is_gone() -> None:
    working, done = trio.Event(), trio.Event()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await reply(send, b"answer")
        working.set()
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await trio.lowlevel.checkpoint()
        done.set()

    for http in (1, 2):
        with trio.fail_after(30):
            async with served(app) as server:
                async with connected(Target(*server.address)) as stream:
                    if http == 1:
                        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    else:
                        client = Http2(stream)
                        await client.begin()
                        client.open(b"/")
                        await client.flush()
                    await working.wait()
                await done.wait()
        working, done = trio.Event(), trio.Event()


async def test_over_tls_the_end_of_an_answer_is_the_servers_own_word(
    tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    """Else it could be cut by anybody on the way."""
    with trio.fail_after(30):
        async with served(echo, tls=tls, trusted=trusted) as server:
            bottom = await trio.open_tcp_stream(*server.address)
            async with trio.SSLStream(bottom, trusted, server_hostname="127.0.0.1") as stream:
                await stream.send_all(request())
                read = bytearray()
                while part := await stream.receive_some():  # raises if the end is only TCP's
                    read += part
            assert read.endswith(b"/ \r\n0\r\n\r\n")


async def test_over_tls_a_client_in_the_midst_of_sending_gets_its_refusal(
    tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    with trio.fail_after(30):
        async with served(echo, tls=tls, trusted=trusted) as server:
            bottom = await trio.open_tcp_stream(*server.address)
            stream = trio.SSLStream(bottom, trusted, server_hostname="127.0.0.1")
            head = request(b"Content-Length: 9000000", method=b"POST")
            read = bytearray()

            async def send() -> None:
                with suppress(*GONE):
                    await stream.send_all(head)
                    for _ in range(30):
                        await stream.send_all(bytes(100_000))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                with suppress(*GONE):
                    while part := await stream.receive_some():
                        read += part
                nursery.cancel_scope.cancel()
            await trio.aclose_forcefully(stream)
            assert read.startswith(b"HTTP/1.1 413 ")


async def test_an_answer_that_is_given_up_behind_another_spoils_nothing_for_the_next() -> None:
    """Its headers wait for their turn on a full wire: left out, no later ones could be read."""
    entered = trio.Event()

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/given-up":
            entered.set()
        headers = [(b"x-path", scope["path"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = bytes(16 * 2**20) if scope["path"] == "/large" else b"small"
        await send({"type": "http.response.body", "body": body, "more_body": False})

    with trio.fail_after(30):
        async with served(app, Limits(grace_s=0.1)) as server:
            async with connected(Target(*server.address)) as stream:
                client = Http2(stream)
                await client.begin({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
                client.connection.increment_flow_control_window(2**30)
                large = client.open(b"/large")
                await client.flush()
                await trio.sleep(0.3)  # until the wire is full: nobody tells when
                given_up = client.open(b"/given-up")
                await client.flush()
                await entered.wait()
                client.connection.reset_stream(given_up)
                await client.flush()
                await trio.sleep(0.1)
                assert await client.answer(large) == (200, bytes(16 * 2**20))
                for path in (b"/large", b"/next"):
                    small = client.open(path, method=b"HEAD")
                    await client.flush()
                    while small not in client.statuses:
                        assert await client.take()
                    assert client.headers[small][b"x-path"] == path


# -- bodies and answers that wait ----------------------------------------------------------------


async def test_of_a_body_that_nobody_reads_a_window_is_held_and_no_more() -> None:
    """Over HTTP/1.1, where nothing but us holds the client back."""
    begin = trio.Event()
    read = 0

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal read
        await begin.wait()
        read = len(await read_all(receive))

    async def ignore(event: object) -> None:
        pass

    part: ASGIReceiveEvent = {"type": "http.request", "body": bytes(10_000), "more_body": True}
    given = 0
    async with trio.open_nursery() as nursery:
        nothing, scope = cast("Any", None), cast("Any", {"type": "http"})
        apps = Apps(Serving(app, nothing, nothing, Limits()), nursery, HELD_BYTES)
        put = await apps.spawn_app(None, None, scope, ignore)

        async def give() -> None:
            nonlocal given
            for _ in range(100):
                await put(part)
                given += 10_000
            await put({"type": "http.request", "body": b"", "more_body": False})

        nursery.start_soon(give)
        await trio.testing.wait_all_tasks_blocked()
        assert HELD_BYTES - 10_000 <= given <= HELD_BYTES
        begin.set()
    assert read == given == 1_000_000


@asynccontextmanager
async def in_memory(app: App) -> AsyncIterator[Http2]:
    """A client over HTTP/2 on a network in memory, for virtual time."""
    world = replace(system_world(), net=MemoryNet(), clock=FixedClock())
    async with served(app, world=world) as server:
        async with await world.net.connect(*server.address) as stream:
            yield Http2(stream)


async def test_an_answer_is_not_held_for_ever_by_a_byte_now_and_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = Gate(bytes(2 * 2**20))
    app.release.set()
    async with in_memory(app) as client:
        client.takes_data = False
        await client.begin({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        stream_id = client.open(b"/")
        await client.flush()
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.to_the_end)
            while stream_id not in client.over:
                await trio.sleep(29)
                with suppress(ProtocolError):
                    client.connection.increment_flow_control_window(1, stream_id)
                await client.flush()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began_s < 3 * Limits().send_s
        assert isinstance(client.over[stream_id], h2.events.StreamReset)


async def test_a_slow_client_that_takes_what_is_asked_of_it_gets_all_of_many_answers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A little more than SEND_BYTES in `send_s` over the whole connection: 200 B/s each."""
    count, length = 50, 100_000
    app = Gate(bytes(length))
    app.release.set()
    rate = 1.2 * SEND_BYTES / Limits().send_s
    async with in_memory(app) as client:
        client.takes_data = False
        await client.begin({SettingCodes.INITIAL_WINDOW_SIZE: 4_096})
        streams = [client.open(b"/") for _ in range(count)]
        await client.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.to_the_end)
            taken = dict.fromkeys(streams, 0)
            while set(client.over) != set(streams) and client.went_away is None:
                await trio.sleep(1)
                unfinished = [stream_id for stream_id in streams if taken[stream_id] < length]
                for stream_id in unfinished:
                    room = len(client.data.get(stream_id, b"")) - taken[stream_id]
                    share = min(room, int(rate / len(unfinished)))
                    if share:
                        client.connection.acknowledge_received_data(share, stream_id)
                        taken[stream_id] += share
                with suppress(*GONE):
                    await client.flush()
            nursery.cancel_scope.cancel()
        assert [len(client.data[stream_id]) for stream_id in streams] == [length] * count
        assert all(isinstance(end, h2.events.StreamEnded) for end in client.over.values())


async def test_streams_that_wait_for_the_connections_window_share_what_it_gets() -> None:
    app = Gate(bytes(65_535))
    app.release.set()
    with trio.fail_after(30):
        async with served(app) as server:
            settings = {SettingCodes.INITIAL_WINDOW_SIZE: 2**20}
            async with speaking_h2(Target(*server.address), settings) as client:
                client.takes_data = False
                streams = [client.open(b"/") for _ in range(5)]
                await client.flush()
                while held(client) < 65_535:
                    await client.take()
                for _ in range(10):
                    before = held(client)
                    client.connection.increment_flow_control_window(100)
                    await client.flush()
                    while held(client) < before + 100:
                        await client.take()
                client.connection.increment_flow_control_window(2**20)
                await client.flush()
                for stream_id in streams:
                    assert await client.answer(stream_id) == (200, bytes(65_535))


def held(client: Http2) -> int:
    return sum(map(len, client.data.values()))


async def test_streams_shut_by_a_setting_open_by_the_next() -> None:
    with trio.fail_after(30):
        async with served(echo) as server:
            settings = {SettingCodes.INITIAL_WINDOW_SIZE: 0}
            async with speaking_h2(Target(*server.address), settings) as client:
                stream_id = client.open(b"/a")
                await client.flush()
                while stream_id not in client.statuses:
                    await client.take()
                client.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
                await client.flush()
                assert await client.answer(stream_id) == (200, b"/a ")


async def test_trailers_come_after_the_body() -> None:
    """As gRPC says how a call ended."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"body", "more_body": False})
        await send(
            {
                "type": "http.response.trailers",
                "headers": [(b"grpc-status", b"0")],
                "more_trailers": False,
            }
        )

    with trio.fail_after(30):
        async with served(app) as server, speaking_h2(Target(*server.address)) as client:
            stream_id = client.open(b"/", more=((b"te", b"trailers"),))
            await client.flush()
            assert await client.answer(stream_id) == (200, b"body")
            assert client.trailers[stream_id] == [(b"grpc-status", b"0")]


async def test_a_client_does_not_choose_how_much_is_remembered_of_headers() -> None:
    with trio.fail_after(30):
        async with served(echo) as server:
            settings = {SettingCodes.HEADER_TABLE_SIZE: 2**20}
            async with speaking_h2(Target(*server.address), settings) as client:
                client.connection.decoder.max_allowed_table_size = 2**20
                for _ in range(3):
                    stream_id = client.open(b"/")
                    await client.flush()
                    assert (await client.answer(stream_id))[0] == 200
                assert client.connection.decoder.header_table_size <= HEADER_TABLE_BYTES


async def test_more_streams_than_are_remembered_are_served_on_one_connection() -> None:
    with trio.fail_after(60), logged() as said:
        async with served(echo) as server, speaking_h2(Target(*server.address)) as client:
            for _ in range(25):
                streams = [client.open(b"/") for _ in range(50)]
                await client.flush()
                for stream_id in streams:
                    assert await client.answer(stream_id) == (200, b"/ ")
        assert said.getvalue() == ""


async def test_it_takes_the_reach_that_it_is_given() -> None:
    """A part of the connections is for those inside of its networks."""
    for networks, places in (((), 3), ((ip_network("127.0.0.0/8"),), 4)):
        reach = Reach(networks, loopback=False)
        async with served(echo, Limits(max_connections=4), reach=reach) as server:
            assert await served_at_once(Target(*server.address), 5) == places


async def served_at_once(target: Target, count: int) -> int:
    """How many of so many connections are served while all are open."""
    streams = [await trio.open_tcp_stream(target.address, target.port) for _ in range(count)]
    answers = 0
    for stream in streams:
        with suppress(*GONE):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answers += bool(await stream.receive_some())
    for stream in streams:
        await trio.aclose_forcefully(stream)
    return answers


# -- what is left behind -------------------------------------------------------------------------


@pytest.fixture
def _without_looking_for_garbage() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Circle:
    """Keeps what it has until somebody looks for garbage, as an error does that is kept where it
    was caught."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.me = self


@pytest.mark.usefixtures("_without_looking_for_garbage")
async def test_a_large_body_is_freed_when_its_request_is_over_whatever_the_app_leaves() -> None:
    left: list[weakref.ref[Circle]] = []

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        left.append(weakref.ref(Circle(await read_all(receive))))
        await reply(send, b"refused")

    with trio.fail_after(30):
        async with served(app) as server:
            for size in (LARGE_BYTES, LARGE_BYTES + 1):
                await server.post("/", bytes(size))
                await trio.testing.wait_all_tasks_blocked()
                is_held = left[0]() is not None
                assert is_held == (size == LARGE_BYTES)
