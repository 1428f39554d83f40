"""postbox.net.client against peers that answer as they like, on a network in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing

from postbox.net.addresses import Reach
from postbox.net.client import CONNECT_S, Answer, Client, open_client
from postbox.net.faults import BadAddress, BadAnswer, TooLarge, TooSlow, Unreachable
from postbox.world import system_world
from support.memory_net import MemoryNet
from support.networks import DEFAULT_NETWORKS
from support.ports import free_port

PEER = "http://peer:80"
PEER_ADDRESS = "100.64.0.9"
REACH = Reach(DEFAULT_NETWORKS, loopback=True)

Peer = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def asking(peer: Peer) -> AsyncIterator[Client]:
    """A client, and a peer that is handed every connection once a request's headers are there."""
    net = MemoryNet({"peer": [PEER_ADDRESS]})

    async def talk(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await peer(stream)

    async with trio.open_nursery() as nursery:
        listeners = await net.listen(PEER_ADDRESS, 80)
        nursery.start_soon(partial(trio.serve_listeners, talk, listeners))
        async with open_client(net, reach=REACH) as client:
            yield client
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> bytes:
    read = bytearray()
    while b"\r\n\r\n" not in read:
        part = await stream.receive_some()
        if not part:
            return bytes(read)
        read += part
    return bytes(read)


def saying(answer: bytes) -> Peer:
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.send_all(answer)

    return peer


async def get(client: Client, path: str = "/", max_body_bytes: int = 100) -> Answer:
    return await client.request("GET", PEER + path, max_body_bytes=max_body_bytes, deadline_s=30.0)


async def test_an_answer_comes_whole_with_status_and_headers() -> None:
    peer = saying(b"HTTP/1.1 404 No\r\nContent-Length: 3\r\nX-Y: z\r\n\r\nabc")
    async with asking(peer) as client:
        answer = await get(client)
    assert (answer.status, answer.body, answer.headers["x-y"]) == (404, b"abc", "z")


async def test_an_answer_of_the_bound_is_taken_and_one_byte_more_is_not() -> None:
    peer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde")
    async with asking(peer) as client:
        assert (await get(client, max_body_bytes=5)).body == b"abcde"
        with pytest.raises(TooLarge, match="5 bytes, more than 4"):
            await get(client, max_body_bytes=4)


async def test_an_answer_that_declares_too_much_is_not_read() -> None:
    """The peer sends no body at all: who waited for it would wait for ever."""

    async def peer(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await trio.sleep_forever()

    async with asking(peer) as client:
        with pytest.raises(TooLarge):
            await get(client)


async def test_an_endless_answer_is_given_up_at_the_bound() -> None:
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"a\r\n0123456789\r\n")
                await trio.lowlevel.checkpoint()

    async with asking(peer) as client:
        with pytest.raises(TooLarge, match="exceeds 100 bytes"):
            await get(client)


async def test_compression_is_neither_asked_for_nor_undone() -> None:
    """So an answer cannot grow beyond its bound after it was read."""
    asked: list[bytes] = []
    net = MemoryNet({"peer": [PEER_ADDRESS]})

    async def talk(stream: trio.abc.Stream) -> None:
        asked.append(await read_request(stream))
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, talk, await net.listen(PEER_ADDRESS, 80)))
        async with open_client(net, reach=REACH) as client:
            assert (await get(client)).body == b"abc"
        nursery.cancel_scope.cancel()
    assert b"\r\naccept-encoding: identity\r\n" in asked[0].lower()


async def test_redirects_are_answers() -> None:
    peer = saying(b"HTTP/1.1 302 Go\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n")
    async with asking(peer) as client:
        assert (await get(client)).status == 302


async def test_cookies_are_forgotten_and_the_environment_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    asked: list[bytes] = []
    net = MemoryNet({"peer": [PEER_ADDRESS]})

    async def talk(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            asked.append(request)
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, talk, await net.listen(PEER_ADDRESS, 80)))
        async with open_client(net, reach=REACH) as client:
            await get(client)
            await get(client)
        nursery.cancel_scope.cancel()
    assert len(asked) == 2
    assert b"cookie" not in asked[1].lower()


async def test_a_silent_peer_meets_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def peer(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with asking(peer) as client:
        with pytest.raises(TooSlow, match=r"GET http://peer:80/: no complete answer within 30 s"):
            await get(client)


async def test_a_dripping_peer_meets_the_same_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def peer(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"a")
                await trio.sleep(1)

    started_s = trio.current_time()
    async with asking(peer) as client:
        with pytest.raises(TooSlow):
            await get(client)
        assert trio.current_time() - started_s == pytest.approx(30.0)


async def test_a_peer_that_does_not_pick_up_is_unreachable(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Deaf(MemoryNet):
        async def connect(
            self, address: str, port: int, source: str = "127.0.0.1"
        ) -> trio.abc.Stream:
            return await trio.sleep_forever()

    async with open_client(Deaf({"peer": [PEER_ADDRESS]}), reach=REACH) as client:
        with pytest.raises(Unreachable, match=f"no connection within {CONNECT_S:g} s"):
            await get(client)


async def test_nobody_listening_is_unreachable() -> None:
    async with open_client(MemoryNet({"peer": [PEER_ADDRESS]}), reach=REACH) as client:
        with pytest.raises(Unreachable, match=f"nobody listens on {PEER_ADDRESS}:80"):
            await get(client)


async def test_a_real_closed_port_is_unreachable() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    async with open_client(system_world().net, reach=REACH) as client:
        with pytest.raises(Unreachable):
            await client.request("GET", url, max_body_bytes=0, deadline_s=30.0)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"]
)
async def test_a_connection_that_breaks_off_is_unreachable(answer: bytes) -> None:
    async with asking(saying(answer)) as client:
        with pytest.raises(Unreachable, match="GET http://peer:80/: "):
            await get(client)


@pytest.mark.parametrize("answer", [b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_something_else_than_http_is_a_bad_answer(answer: bytes) -> None:
    async with asking(saying(answer)) as client:
        with pytest.raises(BadAnswer):
            await get(client)


@pytest.mark.parametrize(
    "url", ["ftp://peer/", "http://[::", "/path", "http:///", "http://a:99999", "http://a:0"]
)
async def test_an_url_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    async with open_client(MemoryNet(), reach=REACH) as client:
        with pytest.raises(BadAddress):
            await client.request("GET", url, max_body_bytes=0, deadline_s=30.0)


async def test_a_cancelled_request_leaves_the_client_usable() -> None:
    first = True
    asked = trio.Event()

    async def peer(stream: trio.abc.Stream) -> None:
        nonlocal first
        if first:
            first = False
            asked.set()
            await trio.sleep_forever()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with asking(peer) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(get, client)
            await asked.wait()
            nursery.cancel_scope.cancel()
        assert (await get(client)).status == 200


async def test_https_where_http_is_spoken_is_told_as_that() -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    net = MemoryNet({"peer": [PEER_ADDRESS]})
    async with trio.open_nursery() as nursery:
        listeners = await net.listen(PEER_ADDRESS, 80)
        nursery.start_soon(partial(trio.serve_listeners, plain, listeners))
        async with open_client(net, reach=REACH) as client:
            with pytest.raises(Unreachable, match="speaks no TLS: is it an http address"):
                await client.request("GET", "https://peer:80/", max_body_bytes=9, deadline_s=9.0)
        nursery.cancel_scope.cancel()
