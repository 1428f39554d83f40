"""postbox.net.server over real sockets on loopback, and in memory where time must pass."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.net.faults import ListenFault, Unreachable
from postbox.net.limits import Limits
from postbox.net.server import TcpAddress, listening_address, require_hypercorn, serve
from postbox.world import system_world
from support.memory_net import MemoryNet
from support.serving import FixedClock, Served, echo, logged, read_all, reply, served


class Held:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.entered, self.release = trio.Event(), trio.Event()
        self.cancelled = False

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await read_all(receive)
        self.entered.set()
        try:
            await self.release.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise
        await reply(send, b"done")


async def test_a_request_reaches_the_app_and_its_answer_the_client() -> None:
    async with served(echo) as server:
        assert await server.post("/a", b"b" * 100_000) == (200, b"/a " + b"b" * 100_000)


async def test_the_date_of_an_answer_is_the_worlds() -> None:
    async with served(echo) as server:
        answer = await server.client.request("GET", server.url, max_body_bytes=100, deadline_s=30.0)
    assert answer.headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert "server" not in answer.headers


async def test_a_body_that_says_it_is_too_large_is_refused_with_413() -> None:
    async with served(echo, Limits(max_body_bytes=1000)) as server:
        assert await server.post("/", b"x" * 1000) == (200, b"/ " + b"x" * 1000)
        status, text = await server.post("/", b"x" * 1001)
        assert (status, text) == (413, b"the request's body is larger than 1000 bytes\n")
        assert (await server.post("/", b"x"))[0] == 200


async def test_a_body_that_turns_out_too_large_is_refused_with_413() -> None:
    async with served(echo, Limits(max_body_bytes=1000)) as server:
        answer = await say(
            server.url,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n",
        )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_headers_that_are_too_large_are_refused_with_431() -> None:
    """Up to 64 KiB more are held for a moment: what one read brings is looked at whole."""
    async with served(echo, Limits(max_header_bytes=1000)) as server:
        answer = await say(server.url, b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 1000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def say(url: str, request: bytes) -> bytes:
    """The first bytes of the answer to `request`."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    async with await trio.open_tcp_stream(where.hostname, where.port) as stream:
        await stream.send_all(request)
        return bytes(await stream.receive_some())


async def test_an_app_that_raises_answers_500_and_the_server_goes_on() -> None:
    async def broken(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await read_all(receive)
        raise RuntimeError("out of cheese")

    with logged() as said:
        async with served(broken) as server:
            assert (await server.post("/"))[0] == 500
            assert (await server.post("/"))[0] == 500
    assert "out of cheese" in said.getvalue()


async def test_a_stopping_server_takes_no_more_connections_and_finishes_what_it_has() -> None:
    app = Held()
    answers: list[tuple[int, bytes]] = []

    async def ask(server: Served) -> None:
        answers.append(await server.post("/"))

    async with served(app) as server, trio.open_nursery() as nursery:
        nursery.start_soon(ask, server)
        await app.entered.wait()
        server.stop.set()
        await wait_until_refused(server.url)
        assert not server.returned.is_set()
        app.release.set()
        await server.returned.wait()
    assert answers == [(200, b"done")]


async def wait_until_refused(url: str) -> None:
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    while True:
        try:
            stream = await trio.open_tcp_stream(where.hostname, where.port)
        except OSError:
            return
        await stream.aclose()


async def test_a_stopping_server_cancels_what_outlasts_its_grace() -> None:
    app = Held()
    broke: list[Unreachable] = []

    async def ask(server: Served) -> None:
        try:
            await server.post("/")
        except Unreachable as fault:
            broke.append(fault)

    async with served(app, Limits(grace_s=0.0)) as server, trio.open_nursery() as nursery:
        nursery.start_soon(ask, server)
        await app.entered.wait()
        server.stop.set()
        await server.returned.wait()
    assert app.cancelled
    assert len(broke) == 1


async def test_an_idle_connection_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    world = replace(system_world(), net=MemoryNet(), clock=FixedClock())
    async with served(echo, Limits(idle_s=15.0), world) as server:
        port = urlsplit(server.url).port
        assert port is not None
        async with await world.net.connect("127.0.0.1", port) as stream:
            started_s = trio.current_time()
            assert await stream.receive_some() == b""
            assert trio.current_time() - started_s == pytest.approx(15.0)


async def test_it_serves_streams_that_are_no_sockets() -> None:
    world = replace(system_world(), net=MemoryNet(), clock=FixedClock())
    async with served(echo, world=world) as server:
        assert await server.post("/a", b"b") == (200, b"/a b")
        assert await server.post("/c", b"d") == (200, b"/c d")


async def test_a_used_port_is_named_in_the_fault() -> None:
    async with served(echo) as server:
        port = urlsplit(server.url).port
        assert port is not None
        again = partial(
            serve, system_world(), echo, TcpAddress("127.0.0.1", port), stop=trio.Event()
        )
        with pytest.raises(ListenFault, match=f"127.0.0.1 port {port}: another program listens"):
            await again()


@pytest.mark.parametrize("host", ["", "example.org", "127.1", "0x7f.0.0.1", "[::1]", "*"])
async def test_only_an_address_is_listened_on(host: str) -> None:
    at_once = trio.Event()
    at_once.set()
    with pytest.raises(ListenFault, match=r"it is no IP address; use 127\.0\.0\.1"):
        await serve(system_world(), echo, TcpAddress(host, 0), stop=at_once)


def test_localhost_is_an_address() -> None:
    assert listening_address("localhost") == "127.0.0.1"
    assert listening_address("::1") == "::1"
    assert listening_address("0.0.0.0") == "0.0.0.0"


def test_another_hypercorn_is_refused() -> None:
    require_hypercorn("0.18.0")
    with pytest.raises(ListenFault, match=r"found 0\.18\.1: install hypercorn==0\.18\.0"):
        require_hypercorn("0.18.1")
