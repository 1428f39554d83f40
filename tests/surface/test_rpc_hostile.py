"""Our gRPC client against servers that are wrong, slow or hostile, frame by frame, in virtual
time. Whatever they do is an RpcError of the call, in bounded memory, and soon."""

from __future__ import annotations

import random  # noqa: TID251  (bytes that a server may send; the seed is in the test's name)
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import h2.events
import h2.settings
import pytest
import trio
import trio.lowlevel
import trio.testing
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from postbox.rpc.client import Channel
from postbox.rpc.connection import KEEP_S, PING_S, PONG_S, TURN_BYTES
from postbox.rpc.faults import Code, RpcError
from support.h2_server import ANSWER, GOOD, Header, Serve, Wire, channel_served_by

PATH = "/test.Test/Ask"
MESSAGE = b"\0\0\0\0\4good"


async def ask(channel: Channel, message: bytes = b"please", *, deadline_s: float = 20) -> bytes:
    return await channel.unary(PATH, message, deadline_s=deadline_s, max_bytes=1000)


async def fault_of(*serves: Serve, deadline_s: float = 20) -> RpcError:
    async with channel_served_by(*serves) as channel:
        with pytest.raises(RpcError) as raised:
            await ask(channel, deadline_s=deadline_s)
    return raised.value


def answering(
    headers: list[Header], data: bytes | None = None, trailers: list[Header] | None = None
) -> Serve:
    """Whatever is given, and the end of the stream."""

    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, headers, end_stream=data is None and trailers is None)
        if data is not None:
            wire.h2.send_data(stream_id, data, end_stream=trailers is None)
        if trailers is not None:
            wire.h2.send_headers(stream_id, trailers, end_stream=True)
        await wire.send()
        await wire.hear_all()

    return serve


def status(number: bytes, *more: Header) -> list[Header]:
    return [(b":status", number), (b"content-type", b"text/html"), *more]


def failed(number: bytes, text: bytes = b"") -> list[Header]:
    return [(b"grpc-status", number), (b"grpc-message", text)]


WRONG: dict[str, tuple[Serve, Code, str]] = {
    "a page": (answering(status(b"200"), b"<html>"), Code.UNKNOWN, "no gRPC server"),
    "grpc-web": (
        answering([(b":status", b"200"), (b"content-type", b"application/grpc-web")], MESSAGE),
        Code.UNKNOWN,
        "no gRPC server",
    ),
    "no content type": (answering([(b":status", b"200")], MESSAGE, GOOD), Code.UNKNOWN, "no gRPC"),
    "no status, after a whole message": (
        answering(ANSWER, MESSAGE),
        Code.UNKNOWN,
        "ended without a status",
    ),
    "no status in the trailers": (
        answering(ANSWER, MESSAGE, [(b"x-else", b"1")]),
        Code.UNKNOWN,
        "ended without a status",
    ),
    "no status, and nothing else": (answering(ANSWER), Code.UNKNOWN, "ended without a status"),
    "a good status in the headers, then a message that ends it": (
        answering([*ANSWER, *GOOD], MESSAGE),
        Code.UNKNOWN,
        "ended without a status",
    ),
    "a status that is no number": (
        answering(ANSWER, MESSAGE, failed(b"fine")),
        Code.UNKNOWN,
        "a status that gRPC does not have: fine",
    ),
    "a status beyond": (answering(ANSWER, None, failed(b"17")), Code.UNKNOWN, "does not have: 17"),
    "a status below": (answering(ANSWER, None, failed(b"-1")), Code.UNKNOWN, "does not have: -1"),
    "a status alone": (
        answering([*ANSWER, *failed(b"8", b"too%20much%")], None),
        Code.RESOURCE_EXHAUSTED,
        "too much%",
    ),
    "a failure without a word": (
        answering(ANSWER, MESSAGE, failed(b"5")),
        Code.NOT_FOUND,
        "no reason given",
    ),
    "good, and no message": (answering(ANSWER, None, GOOD), Code.INTERNAL, "not one message"),
    "good, and alone": (answering([*ANSWER, *GOOD]), Code.INTERNAL, "not one message"),
    "two messages": (answering(ANSWER, MESSAGE * 2, GOOD), Code.INTERNAL, "not one message"),
    "half a prefix": (answering(ANSWER, b"\0\0\0", GOOD), Code.DATA_LOSS, "within a message"),
    "half a message": (answering(ANSWER, MESSAGE[:-1], GOOD), Code.DATA_LOSS, "within a message"),
    "a message and a half": (
        answering(ANSWER, MESSAGE + b"\0", GOOD),
        Code.DATA_LOSS,
        "within a message",
    ),
    "four GiB": (
        answering(ANSWER, b"\0\xff\xff\xff\xff", GOOD),
        Code.RESOURCE_EXHAUSTED,
        "a message of 4294967295 bytes, more than 1000",
    ),
    "compressed": (answering(ANSWER, b"\1\0\0\0\0", GOOD), Code.INTERNAL, "compressed"),
    "an unknown flag": (answering(ANSWER, b"\x80\0\0\0\0", GOOD), Code.INTERNAL, "compressed"),
    "moved": (answering(status(b"301", (b"location", b"/"))), Code.UNKNOWN, "HTTP status 301"),
    "not found": (answering(status(b"404"), b"no"), Code.UNIMPLEMENTED, "HTTP status 404"),
    "too large": (answering(status(b"413"), b"no"), Code.INVALID_ARGUMENT, "HTTP status 413"),
    "too often": (answering(status(b"429"), b"no"), Code.RESOURCE_EXHAUSTED, "HTTP status 429"),
    "unauthorized": (answering(status(b"401")), Code.UNAUTHENTICATED, "HTTP status 401"),
    "forbidden": (answering(status(b"403")), Code.PERMISSION_DENIED, "HTTP status 403"),
    "a proxy's": (answering(status(b"503"), b"no"), Code.UNAVAILABLE, "HTTP status 503"),
    "a reason in plain text": (
        answering(
            [(b":status", b"403"), (b"content-type", b"text/plain")], b"hosts speak\x1b TLS\n"
        ),
        Code.PERMISSION_DENIED,
        "HTTP status 403: hosts speak  TLS",
    ),
    "a long reason that does not end": (
        answering([(b":status", b"404"), (b"content-type", b"text/plain")], b"%41" * 5000),
        Code.UNIMPLEMENTED,
        "HTTP status 404: " + ("%41" * 167)[:500],
    ),
    "a status of HTTP without end": (
        answering(status(b"4" * 5000)),
        Code.UNKNOWN,
        "HTTP status 000",
    ),
    "a status of HTTP that is none": (answering(status(b"abc")), Code.UNKNOWN, "HTTP status 000"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_an_answer_that_is_wrong_is_an_error_with_a_reason(
    autojump_clock: trio.testing.MockClock, name: str
) -> None:
    serve, code, text = WRONG[name]
    fault = await fault_of(serve)
    assert (fault.code, fault.is_transport) == (code, False)
    assert text in fault.text
    assert fault.http_status == (int(text[12:15]) if text.startswith("HTTP status ") else None)


@pytest.mark.parametrize(
    ("said", "retry_after_s"),
    [
        ((b"retry-after", b"30"), 30),
        ((b"grpc-retry-pushback-ms", b"1500"), 1.5),
        ((b"retry-after", b"Fri, 13 Nov 2026 00:00:00 GMT"), None),
        ((b"retry-after", b"9" * 5000), None),
        ((b"grpc-retry-pushback-ms", b"-1"), None),
    ],
)
async def test_when_to_ask_again_is_taken_from_any_refusal(
    autojump_clock: trio.testing.MockClock, said: Header, retry_after_s: float | None
) -> None:
    for refusal in (
        answering(status(b"429", said), b"no"),
        answering([*ANSWER, *failed(b"14"), said]),
        answering(ANSWER, b"", [*failed(b"14"), said]),
    ):
        assert (await fault_of(refusal)).retry_after_s == retry_after_s


async def test_a_reason_is_cut_to_what_fits_a_list(autojump_clock: trio.testing.MockClock) -> None:
    fault = await fault_of(answering([*ANSWER, *failed(b"3", b"x" * 10_000)]))
    assert len(fault.text) == 500


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCodes.NO_ERROR, Code.INTERNAL),
        (ErrorCodes.INTERNAL_ERROR, Code.INTERNAL),
        (ErrorCodes.CANCEL, Code.CANCELLED),
        (ErrorCodes.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCodes.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
        (4711, Code.INTERNAL),
    ],
)
async def test_a_stream_that_is_reset_is_an_error(
    autojump_clock: trio.testing.MockClock, reset: int, code: Code
) -> None:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        wire.h2.send_data(stream_id, MESSAGE)
        frame = RstStreamFrame(stream_id)
        frame.error_code = reset
        await wire.send(frame)
        await wire.hear_all()

    fault = await fault_of(serve)
    assert fault.code is code
    assert "the server broke off with" in fault.text


async def good(wire: Wire) -> None:
    while True:
        await wire.answer(await wire.asked())


async def refuse(wire: Wire) -> None:
    wire.h2.reset_stream(await wire.asked(), ErrorCodes.REFUSED_STREAM)
    await wire.send()
    await wire.answer(await wire.asked())
    await wire.hear_all()


async def leave(wire: Wire) -> None:
    stream_id = await wire.asked()
    await wire.send(GoAwayFrame(0, last_stream_id=stream_id - 1))
    await wire.hear_all()


@pytest.mark.parametrize("serves", [(refuse,), (leave, good)])
async def test_a_call_that_the_server_never_began_is_asked_once_more(
    autojump_clock: trio.testing.MockClock, serves: tuple[Serve, ...]
) -> None:
    async with channel_served_by(*serves) as channel:
        assert await ask(channel) == b"good"


async def test_a_call_is_asked_twice_at_most(autojump_clock: trio.testing.MockClock) -> None:
    fault = await fault_of(leave, leave, good)
    assert not fault.was_begun
    assert "closed the connection before it began this (NO_ERROR)" in fault.text


async def test_calls_that_a_leaving_server_has_begun_are_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Both lines of a graceful end: one that names no call, then one that names the last."""

    async def serve(wire: Wire) -> None:
        first = await wire.asked()
        await wire.send(GoAwayFrame(0, last_stream_id=2**31 - 1), PingFrame(0, b"are you?"))
        await wire.hear_until(h2.events.PingAckReceived)
        await wire.send(GoAwayFrame(0, last_stream_id=first))
        await trio.sleep(1)
        await wire.answer(first)
        await wire.hear_all()

    async with channel_served_by(serve, good) as channel, trio.open_nursery() as nursery:
        nursery.start_soon(ask, channel)
        await trio.sleep(0.5)
        assert await ask(channel) == b"good"  # on another connection


FLOODS: dict[str, Callable[[int], Frame]] = {
    "pings": lambda _: PingFrame(0, b"12345678"),
    "settings": lambda _: SettingsFrame(0, settings={3: 100}),
    "priorities": lambda stream_id: PriorityFrame(stream_id, depends_on=0, stream_weight=1),
    "windows": lambda stream_id: WindowUpdateFrame(stream_id, window_increment=1),
    "empty data": lambda stream_id: DataFrame(stream_id, b""),
    "padding": lambda stream_id: DataFrame(stream_id, b"", pad_length=255, flags=["PADDED"]),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_of_frames_that_answer_nothing_ends_the_connection(
    autojump_clock: trio.testing.MockClock, name: str
) -> None:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        for _ in range(100):
            await wire.send(*[FLOODS[name](stream_id)] * 100)
        await wire.hear_all()

    fault = await fault_of(serve)
    assert fault.is_transport
    assert "floods" in fault.text


async def test_a_server_that_opens_windows_bit_by_bit_is_not_taken_for_a_flood(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As gRPC's own do while a large request comes in."""

    async def serve(wire: Wire) -> None:
        heard = 0
        while heard < 3_000_000:
            await wire.hear()
            more = len(wire.bodies.get(1, b"")) - heard
            heard += more
            opening = WindowUpdateFrame(0, window_increment=1)
            await wire.send(*[opening] * (more // 1500))
        await wire.answer(await wire.asked())

    async with channel_served_by(serve) as channel:
        assert await ask(channel, bytes(3_000_000)) == b"good"


async def test_a_server_that_takes_all_at_once_gets_a_turn_at_a_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What waits to be sent stays little, whatever frames and windows a server has."""

    async def serve(wire: Wire) -> None:
        codes = h2.settings.SettingCodes
        wire.h2.update_settings({codes.INITIAL_WINDOW_SIZE: 2**30, codes.MAX_FRAME_SIZE: 2**24 - 1})
        wire.h2.increment_flow_control_window(2**30)
        await wire.send()
        await wire.answer(await wire.asked())
        stream_id = await wire.asked()
        frames = [event for event in wire.heard if isinstance(event, h2.events.DataReceived)]
        assert max(len(frame.data or b"") for frame in frames) == TURN_BYTES
        await wire.answer(stream_id)

    async with channel_served_by(serve) as channel:
        assert await ask(channel) == b"good"
        assert await ask(channel, bytes(3_000_000)) == b"good"


async def test_a_flood_of_headers_that_are_none_yet_ends_the_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        for _ in range(3000):
            wire.h2.send_headers(stream_id, [(b":status", b"103")])
        await wire.send()
        await wire.hear_all()

    assert "floods" in (await fault_of(serve)).text


def plain(size: int) -> bytes:
    """HPACK: a header "x" with a value of so many bytes (at least 255), which is not remembered."""
    rest = size - 127
    return b"\0\1x\x7f" + bytes([rest % 128 + 128, rest // 128]) + b"v" * size


TOO_MANY_HEADERS: dict[str, list[Frame]] = {
    "without end": [HeadersFrame(1, b"\x88" + plain(16_000))]
    + [ContinuationFrame(1, plain(16_000))] * 1000,
    "too long": [
        HeadersFrame(1, b"\x88" + plain(16_000)),
        ContinuationFrame(1, plain(1000), flags=["END_HEADERS"]),
    ],
    "one that is remembered, again and again": [
        HeadersFrame(1, b"\x88\x40" + plain(3900)[1:] + b"\xbe" * 4000, flags=["END_HEADERS"])
    ],
}


@pytest.mark.parametrize("name", TOO_MANY_HEADERS)
async def test_headers_are_not_gathered_beyond_what_an_answer_has(
    autojump_clock: trio.testing.MockClock, name: str
) -> None:
    async def serve(wire: Wire) -> None:
        await wire.asked()
        for frame in TOO_MANY_HEADERS[name]:
            await wire.send(frame)
        await wire.hear_all()

    tracemalloc.start()
    try:
        fault = await fault_of(serve)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert fault.is_transport


RAW: dict[str, bytes] = {
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
    "text": b"220 mail.example ESMTP\r\n",
    "zeros": bytes(1000),
    "a frame of 16 MiB": b"\xff\xff\xff\0\0\0\0\0\1",
    "a push": bytes.fromhex("000004050400000001") + b"\0\0\0\2",
    "data for nobody": bytes.fromhex("000004000100000063") + b"abcd",
    "data before headers": bytes.fromhex("000009000100000001") + MESSAGE,
    "a window of nothing": bytes.fromhex("000004080000000001") + bytes(4),
    "a window that overflows": bytes.fromhex("000004080000000000") + b"\x7f\xff\xff\xff",
    "a stream's window that overflows": bytes.fromhex("000004080000000001") + b"\x7f\xff\xff\xff",
    "a setting that cannot be": bytes.fromhex("000006040000000000") + b"\0\4\xff\xff\xff\xff",
    "headers that do not decode": bytes.fromhex("000002010400000001") + b"\xff\xff",
    "an even stream": bytes.fromhex("000001010400000002") + b"\x88",
}


@pytest.mark.parametrize("name", RAW)
async def test_what_is_no_http2_ends_the_call_with_a_reason(
    autojump_clock: trio.testing.MockClock, name: str
) -> None:
    async def serve(wire: Wire) -> None:
        await wire.asked()
        await wire.send(RAW[name])
        await wire.hear_all()

    fault = await fault_of(serve)
    assert fault.code in (Code.UNAVAILABLE, Code.INTERNAL)
    assert fault.text
    if name == "HTTP/1.1":
        assert "speaks HTTP/1" in fault.text


@pytest.mark.parametrize("seed", range(30))
async def test_noise_in_a_good_answer_is_an_error_or_does_no_harm(
    autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    noise = random.Random(seed)

    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        wire.h2.send_data(stream_id, MESSAGE)
        wire.h2.send_headers(stream_id, GOOD, end_stream=True)
        data = bytearray(wire.h2.data_to_send())
        for _ in range(noise.randint(1, 8)):
            data[noise.randrange(len(data))] = noise.randrange(256)
        await wire.send(bytes(data))
        with trio.move_on_after(1):
            await wire.stream.receive_some()

    async with channel_served_by(serve, serve) as channel:
        try:
            answer = await ask(channel)
            assert len(answer) <= 1000
        except RpcError:
            pass


@pytest.mark.parametrize("cut", range(0, 60, 7))
async def test_a_connection_that_ends_anywhere_in_an_answer_is_an_error(
    autojump_clock: trio.testing.MockClock, cut: int
) -> None:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        await wire.send()
        wire.h2.send_headers(stream_id, ANSWER)
        wire.h2.send_data(stream_id, MESSAGE)
        wire.h2.send_headers(stream_id, GOOD, end_stream=True)
        await wire.stream.send_all(wire.h2.data_to_send()[:cut])

    fault = await fault_of(serve)
    assert (fault.code, fault.is_transport) == (Code.UNAVAILABLE, True)
    assert "the connection broke before the answer was complete" in fault.text


async def shut_windows(wire: Wire) -> None:
    """And answer one call, so that the client knows."""
    wire.opens_windows = False
    wire.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    await wire.send()
    await wire.hear_until(h2.events.SettingsAcknowledged)
    await wire.hear_until(h2.events.RequestReceived)
    wire.h2.increment_flow_control_window(1000, 1)
    await wire.send()
    await wire.answer(await wire.asked())


async def test_a_window_that_opens_byte_by_byte_lets_the_request_through(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        await shut_windows(wire)
        await wire.hear_until(h2.events.RequestReceived)
        for number in range(25):
            assert len(wire.bodies.get(3, b"")) == number
            wire.h2.increment_flow_control_window(1, 3)
            await wire.send()
            await wire.hear()
        stream_id = await wire.asked()
        assert wire.bodies[stream_id] == b"\0\0\0\0\x14" + b"a" * 20
        await wire.answer(stream_id)

    async with channel_served_by(serve) as channel:
        assert await ask(channel, b"1") == b"good"
        assert await ask(channel, b"a" * 20) == b"good"


async def test_a_window_that_stays_shut_ends_at_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        await shut_windows(wire)
        await wire.hear_all()

    async with channel_served_by(serve) as channel:
        await trio.lowlevel.checkpoint()
        with pytest.raises(RpcError) as raised:
            await ask(channel, b"a" * 100_000)
        assert raised.value.code is Code.DEADLINE_EXCEEDED


async def test_a_refusal_ends_a_request_that_is_still_being_sent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        await wire.hear_until(h2.events.RequestReceived)
        wire.h2.send_headers(1, [*ANSWER, *failed(b"16", b"who are you?")], end_stream=True)
        await wire.send()
        reset = await wire.hear_until(h2.events.StreamReset)
        assert isinstance(reset, h2.events.StreamReset)
        assert reset.error_code == ErrorCodes.CANCEL
        await wire.answer(await wire.asked())

    async with channel_served_by(serve) as channel:
        with pytest.raises(RpcError, match="who are you"):
            await ask(channel, bytes(10**6))
        assert await ask(channel) == b"good"


async def test_what_is_not_taken_is_not_sent_and_padding_is_given_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A stream is given a window, and more of it only as messages are taken."""
    sent = 0

    async def serve(wire: Wire) -> None:
        nonlocal sent
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        while sent < 2000:
            while wire.h2.local_flow_control_window(stream_id) < 1256:
                await wire.hear()
            wire.h2.send_data(stream_id, b"\0\0\0\3\xe8" + bytes(1000), pad_length=250)
            await wire.send()
            sent += 1
        wire.h2.send_headers(stream_id, GOOD, end_stream=True)
        await wire.send()
        await wire.hear_all()

    async with channel_served_by(serve) as channel:
        async with channel.stream(PATH, b"", idle_s=20, max_bytes=1000) as messages:
            assert len(await anext(messages)) == 1000
            await trio.sleep(10)
            held = sent
            assert held < 300
            count = 1
            async for _ in messages:
                count += 1
        assert count == sent == 2000


async def test_a_server_that_takes_one_call_at_a_time_is_asked_one_by_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Also where one has a lot to send, and others wait for its place."""
    at_once = 0

    async def serve(wire: Wire) -> None:
        nonlocal at_once
        wire.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        await wire.send()
        await wire.hear_until(h2.events.SettingsAcknowledged)
        while True:
            stream_id = await wire.asked()
            at_once = max(at_once, wire.h2.open_inbound_streams)
            await wire.answer(stream_id)

    async with channel_served_by(serve) as channel:
        assert await ask(channel) == b"good"
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask, channel, bytes(300_000))
    assert at_once == 1


@pytest.mark.parametrize("steps", range(16))
async def test_a_call_that_is_cancelled_anywhere_leaves_its_place_to_others(steps: int) -> None:
    """At whichever step, of a unary call or of a stream; on one connection."""

    async def serve(wire: Wire) -> None:
        wire.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        await wire.send()
        while True:
            stream_id = await wire.asked()
            with suppress(ProtocolError):  # it was given up
                await wire.answer(stream_id)

    async def take_one(channel: Channel) -> None:
        async with channel.stream(PATH, b"please", idle_s=20, max_bytes=1000) as messages:
            await anext(messages)

    async with channel_served_by(serve) as channel:
        assert await ask(channel) == b"good"
        for kind in (ask, take_one) * 4:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kind, channel)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        with trio.fail_after(10):
            assert await ask(channel) == b"good"


async def test_a_server_that_never_answers_costs_the_deadline_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        await wire.hear_all()

    first = trio.current_time()
    fault = await fault_of(serve, deadline_s=7)
    assert fault.code is Code.DEADLINE_EXCEEDED
    assert trio.current_time() - first == pytest.approx(7, abs=0.01)


async def test_a_stream_has_to_say_something_now_and_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However long it lasts; what its reader takes of the time does not count, nor does a part of
    a message."""

    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        for _ in range(10):
            await trio.sleep(9)
            wire.h2.send_data(stream_id, MESSAGE)
            await wire.send()
        for byte in MESSAGE:
            await trio.sleep(4)
            wire.h2.send_data(stream_id, bytes([byte]))
            await wire.send()

    async with channel_served_by(serve) as channel:
        async with channel.stream(PATH, b"", idle_s=10, max_bytes=1000) as messages:
            for _ in range(10):
                assert await anext(messages) == b"good"
                await trio.sleep(5)
            with pytest.raises(RpcError, match="no message within 10 s") as raised:
                await anext(messages)
        assert raised.value.code is Code.DEADLINE_EXCEEDED
        assert not raised.value.is_transport


async def test_a_server_that_is_dead_is_asked_whether_it_lives_and_then_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        await wire.asked()
        await trio.sleep(1000)

    first = trio.current_time()
    fault = await fault_of(serve, deadline_s=500)
    assert fault.is_transport
    assert "the server said nothing for 45 s" in fault.text
    assert trio.current_time() - first == pytest.approx(PING_S + PONG_S, abs=2)


async def test_a_silent_stream_lives_on_while_the_server_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        with trio.move_on_after(300):
            await wire.hear_all()
        await wire.answer(stream_id)

    async with channel_served_by(serve) as channel:
        assert await ask(channel, deadline_s=400) == b"good"


async def test_an_answer_is_heard_though_nothing_more_can_be_said(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A server may answer a request that it has not read to its end, and close."""

    async def serve(wire: Wire) -> None:
        await wire.hear_until(h2.events.RequestReceived)
        wire.h2.send_headers(1, [*ANSWER, *failed(b"16", b"who are you?")], end_stream=True)
        await wire.send()

    near, far = trio.testing.memory_stream_pair()
    hears = trio.Event()

    class Broken(trio.abc.Stream):
        """Takes one piece, and lets nothing be heard before it is broken."""

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            if hears.is_set():
                raise trio.BrokenResourceError
            await near.send_all(data)
            hears.set()

        async def wait_send_all_might_not_block(self) -> None: ...

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            await hears.wait()
            await trio.sleep(1)
            return await near.receive_some(max_bytes)

        async def aclose(self) -> None:
            await near.aclose()

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return Broken()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Wire(far))
        channel = Channel(dial, "b.example", is_tls=True, nursery=nursery)
        with pytest.raises(RpcError, match="who are you"):
            await ask(channel, bytes(100_000))
        nursery.cancel_scope.cancel()


async def test_a_connection_that_is_not_used_is_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    closed_at = 0.0

    async def serve(wire: Wire) -> None:
        nonlocal closed_at
        await wire.answer(await wire.asked())
        await wire.hear_all()
        closed_at = trio.current_time()

    async with channel_served_by(serve, good) as channel:
        await ask(channel)
        answered = trio.current_time()
        await trio.sleep(60)
        assert closed_at - answered == pytest.approx(KEEP_S, abs=1.5)
        assert await ask(channel) == b"good"


async def test_a_server_that_asks_and_does_not_listen_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What we would have to answer it is bounded."""
    near, far = trio.testing.memory_stream_pair()

    class Deaf(trio.abc.Stream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await trio.sleep_forever()

        async def wait_send_all_might_not_block(self) -> None: ...

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            return await near.receive_some(max_bytes)

        async def aclose(self) -> None:
            await near.aclose()

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return Deaf()

    async def shout() -> None:
        wire = Wire(far)
        await wire.send()
        while True:
            await wire.send(*[PingFrame(0, b"12345678")] * 50)
            await trio.sleep(1)  # slow enough to be no flood

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shout)
        channel = Channel(dial, "b.example", is_tls=True, nursery=nursery)
        with pytest.raises(RpcError, match="floods"):
            await ask(channel, deadline_s=10_000)
        nursery.cancel_scope.cancel()
