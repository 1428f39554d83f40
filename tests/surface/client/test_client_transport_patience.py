"""How long the client library waits for a host that says nothing, little, or not enough: on Trio
in virtual time, where nothing else moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing

from postbox.client.transport import connect
from postbox.client.transport.contract import (
    ANSWER_S,
    CONNECT_S,
    SILENCE_S,
    CallFailed,
    Transport,
)
from support.client_liars import GONE, Lie, lying, telling
from support.client_wires import GRPC, HTTP1, HTTP1_ASYNCIO, HTTP2, HTTP2_ASYNCIO, Way
from support.h2_server import ANSWER, Wire
from support.memory_net import MemoryNet

WAYS = (HTTP1, HTTP2, GRPC)
CONNECT = b"application/connect+proto"
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: %b\r\n\r\n" % CONNECT
FRAME = b"\0\0\0\0\3one"

Talk = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def served_by(talk: Talk) -> AsyncIterator[MemoryNet]:
    net = MemoryNet()

    async def serve(stream: trio.abc.Stream) -> None:
        async with stream:
            with suppress(*GONE):
                await talk(stream)

    async with trio.open_nursery() as nursery:
        listeners = await net.listen("127.0.0.1", 80)
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        yield net
        nursery.cancel_scope.cancel()


async def silence(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


def dripping(way: Way, first: bytes, every_s: float, drip: bytes) -> Talk:
    """The beginning of a stream of answers, and then so many bytes so often."""

    async def by_1(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(HEAD)
        for data in forever(first, drip):
            await stream.send_all(b"%x\r\n%b\r\n" % (len(data), data))
            await trio.sleep(every_s)

    async def by_2(stream: trio.abc.Stream) -> None:
        wire = Wire(stream)
        stream_id = await wire.asked()
        kind = CONNECT if way is HTTP2 else b"application/grpc"
        wire.h2.send_headers(stream_id, [ANSWER[0], (b"content-type", kind)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.hear_all)  # pings are answered
            for data in forever(first, drip):
                wire.h2.send_data(stream_id, data)
                await wire.send()
                await trio.sleep(every_s)

    return by_1 if way is HTTP1 else by_2


def forever(first: bytes, drip: bytes) -> list[bytes]:
    return [first, *[drip] * 1000]


async def fault_after(
    way: Way, net: MemoryNet, ask: Callable[[Transport], Awaitable[object]]
) -> tuple[CallFailed, float]:
    began = trio.current_time()
    async with way.open("http://127.0.0.1", net=net) as wire:
        with pytest.raises(CallFailed) as raised:
            await ask(wire)
    return raised.value, trio.current_time() - began


async def listen(wire: Transport) -> None:
    async with wire.stream(b"") as messages:
        async for _ in messages:
            pass


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_batch_that_is_not_answered_is_given_up(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    async with served_by(silence) as net:
        fault, after_s = await fault_after(way, net, lambda wire: wire.submit(b""))
    assert fault.code == "UNREACHABLE"
    assert after_s == pytest.approx(ANSWER_S)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_stream_without_a_first_frame_is_given_up(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    """By gRPC sooner: it asks the host whether it is alive."""
    async with served_by(silence) as net:
        fault, after_s = await fault_after(way, net, listen)
    assert fault.code == "UNREACHABLE"
    assert after_s == pytest.approx(45 if way is GRPC else SILENCE_S)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_stream_that_falls_silent_is_dead_after_a_minute(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    async with served_by(dripping(way, FRAME * 2, 1000, b"")) as net:
        fault, after_s = await fault_after(way, net, listen)
    assert fault.code == "UNREACHABLE"
    assert after_s == pytest.approx(SILENCE_S)
    assert "60 s" in fault.text


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_frame_that_comes_in_drips_is_waited_for_as_long_as_silence(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    """Bytes are no sign of life: a frame is."""
    async with served_by(dripping(way, FRAME + b"\0\0\x10\0\0", 1, b"x")) as net:
        fault, after_s = await fault_after(way, net, listen)
    assert fault.code == "UNREACHABLE"
    assert after_s == pytest.approx(SILENCE_S, abs=1)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_stream_with_a_frame_now_and_then_lives(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    async with served_by(dripping(way, FRAME, 50, FRAME)) as net:
        async with way.open("http://127.0.0.1", net=net) as wire, wire.stream(b"") as messages:
            for _ in range(100):
                assert await anext(messages) == b"one"
    assert trio.current_time() >= 99 * 50


@pytest.mark.parametrize("way", [*WAYS, Way()], ids=str)
async def test_a_host_that_does_not_pick_up_is_given_up(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    class Lost(MemoryNet):
        async def connect(
            self, address: str, port: int, source: str = "127.0.0.1"
        ) -> trio.abc.Stream:
            return await trio.sleep_forever()

    fault, after_s = await fault_after(way, Lost(), lambda wire: wire.submit(b""))
    assert fault.code == "UNREACHABLE"
    assert after_s == pytest.approx(CONNECT_S)
    assert "no connection" in fault.text
    assert "within 10 s" in fault.text


@pytest.mark.parametrize("way", [Way(), GRPC], ids=str)
async def test_a_handshake_without_end_is_given_up(
    autojump_clock: trio.testing.MockClock, way: Way
) -> None:
    async with served_by(silence) as net:
        net.listeners["127.0.0.1", 443] = net.listeners["127.0.0.1", 80]
        async with way.open("https://127.0.0.1", net=net) as wire:
            with pytest.raises(CallFailed, match="within 10 s"):
                await wire.submit(b"")
        assert trio.current_time() == pytest.approx(CONNECT_S, abs=0.1)


@pytest.mark.parametrize("way", [HTTP1_ASYNCIO, HTTP2_ASYNCIO], ids=str)
async def test_silence_ends_a_stream_on_asyncio_too(
    monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    lie = Lie(200, {"content-type": "application/connect+proto"}, FRAME, "never")

    async def run() -> list[bytes]:
        heard: list[bytes] = []
        async with way.open(liar.url) as wire, wire.stream(b"") as messages:
            heard.append(await anext(messages))
            monkeypatch.setattr(connect, "SILENCE_S", 0.3)
            with pytest.raises(CallFailed, match=r"nothing whole for 0\.3 s"):
                await anext(messages)
        return heard

    async with lying(telling(lie)) as liar:
        assert await way.run(run) == [b"one"]
        await liar.all_gone()
