"""The client library's wires against whatever may answer in a host's place, on real sockets: each
lie is one clear fault, no event dies of a proxy's error, and no connection stays."""

from __future__ import annotations

import json
import random  # noqa: TID251  (bytes that a server may send; the seed is in the test)
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import trio

from postbox.client.transport.contract import MAX_ANSWER_BYTES, CallFailed, Transport
from postbox.client.transport.faults import MAX_RETRY_S
from support.client_liars import Lie, Talk, lying, saying, telling
from support.client_wires import GRPC, HTTP1, HTTP1_ASYNCIO, HTTP2, HTTP2_ASYNCIO, WAYS, Way

CONNECT_WAYS = (HTTP1, HTTP2, HTTP1_ASYNCIO, HTTP2_ASYNCIO)
PROTO = {"content-type": "application/proto"}
JSON = {"content-type": "application/json"}
STREAM = {"content-type": "application/connect+proto"}
GRPC_TYPE = {"content-type": "application/grpc"}
HTML = {"content-type": "text/html; charset=utf-8"}


class Told(NamedTuple):
    """What a client makes of a lie: the code, a part of the text, and what else it was told."""

    lie: Lie
    code: str
    text: str
    retry_s: float | None = None
    next_number: int | None = None


def error(status: int, code: str, message: str, **headers: str) -> Lie:
    """Of Connect."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Lie(status, JSON | more, json.dumps({"code": code, "message": message}).encode())


def framed(message: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def end(**said: Any) -> bytes:
    return framed(json.dumps(said).encode(), 2)


UNARY: dict[str, Told] = {
    "a page": Told(Lie(200, HTML, b"<html>"), "UNREACHABLE", "no postbox: it sent 'text/html'"),
    "no type": Told(Lie(200, {}, b"x"), "UNREACHABLE", "no postbox: it sent 'no type'"),
    "a stream": Told(Lie(200, STREAM, framed(b"")), "UNREACHABLE", "no postbox"),
    "gzip": Told(Lie(200, PROTO | {"content-encoding": "gzip"}), "UNREACHABLE", "compressed"),
    "cut": Told(Lie(200, PROTO, b"half", "cut"), "UNREACHABLE", "the answer broke off"),
    "too much": Told(
        Lie(200, PROTO, bytes(MAX_ANSWER_BYTES + 1)), "UNREACHABLE", "larger than 4194304 bytes"
    ),
    "a redirect": Told(
        Lie(307, {"location": "https://chat.example/\x1b[2J"}), "UNREACHABLE", "redirects to https:"
    ),
    "a redirect to nowhere": Told(Lie(302, HTML), "UNREACHABLE", "redirects to nowhere"),
    "a proxy's 400": Told(Lie(400, HTML, b"<html>"), "UNREACHABLE", "HTTP status 400 instead"),
    "a bare 401": Told(Lie(401, HTML, b"<html>"), "NO_SESSION", "HTTP status 401"),
    "a 401 with a code": Told(
        error(401, "unauthenticated", "TOKEN_EXPIRED: get another", postbox_code="TOKEN_EXPIRED"),
        "TOKEN_EXPIRED",
        "get another",
    ),
    "a 401 that lost its header": Told(
        error(401, "unauthenticated", "DEVICE_REVOKED: sign in"), "DEVICE_REVOKED", "sign in"
    ),
    "a proxy's 413": Told(Lie(413, HTML), "TOO_LARGE", "HTTP status 413"),
    "a bare 429": Told(Lie(429, {"retry-after": "7"}), "RATE_LIMITED", "HTTP status 429", 7),
    "a 429 with a code": Told(
        error(429, "resource_exhausted", "x", postbox_code="SNAPSHOT_BUSY", retry_after="2"),
        "SNAPSHOT_BUSY",
        "x",
        2,
    ),
    "too much patience": Told(
        Lie(429, {"retry-after": "999999999"}), "RATE_LIMITED", "429", MAX_RETRY_S
    ),
    "patience until a date": Told(
        Lie(429, {"retry-after": "Fri, 13 Nov 2026 00:00:00 GMT"}), "RATE_LIMITED", "429"
    ),
    "patience without end": Told(Lie(429, {"retry-after": "9" * 5000}), "RATE_LIMITED", "429"),
    "a bare 500": Told(Lie(500, HTML), "INTERNAL", "HTTP status 500"),
    "a bare 503": Told(Lie(503, HTML, b"<html>"), "UNAVAILABLE", "HTTP status 503 instead"),
    "a 503 with a code": Told(
        error(503, "unavailable", "STOPPING: later", postbox_code="STOPPING", retry_after="5"),
        "STOPPING",
        "later",
        5,
    ),
    "nothing there": Told(
        Lie(404, {"content-type": "text/plain"}, b"nothing \x1b[2Jis here\n"),
        "UNREACHABLE",
        "HTTP status 404: nothing  [2Jis here",
    ),
    "a refusal without end": Told(
        Lie(404, {"content-type": "text/plain"}, b"no " * 100_000, "never"),
        "UNREACHABLE",
        "HTTP status 404: no no",
    ),
    "a refusal that breaks off": Told(
        Lie(503, {"content-type": "text/plain"}, b"not no", "cut"), "UNAVAILABLE", "status 503"
    ),
    "a wrong request, by whom?": Told(
        error(400, "invalid_argument", "not a frame"), "INTERNAL", "not a frame"
    ),
    "a code of a newer host": Told(
        error(429, "resource_exhausted", "QUOTA: full", postbox_code="QUOTA"),
        "RATE_LIMITED",
        "full",
    ),
    "unreachable, as a host's word": Told(
        error(500, "internal", "x", postbox_code="UNREACHABLE"), "INTERNAL", "x"
    ),
    "a hole with its number": Told(
        error(
            400,
            "failed_precondition",
            "QUEUE_HOLE: next=3: send",
            postbox_code="QUEUE_HOLE",
            postbox_next_queue_number="7",
        ),
        "QUEUE_HOLE",
        "next=3: send",
        None,
        7,
    ),
    "a hole that lost its headers": Told(
        error(400, "failed_precondition", "QUEUE_HOLE: next=3: send"), "QUEUE_HOLE", "", None, 3
    ),
    "a hole without a number": Told(
        error(400, "failed_precondition", "QUEUE_HOLE: where?"), "INTERNAL", "where?"
    ),
    "a hole beyond numbers": Told(
        error(400, "failed_precondition", "QUEUE_HOLE: next=" + "9" * 5000), "INTERNAL", "next="
    ),
    "broken JSON": Told(Lie(503, JSON, b'{"code"'), "UNAVAILABLE", "HTTP status 503"),
    "another JSON": Told(Lie(503, JSON, b'[{"code": 1}]'), "UNAVAILABLE", "HTTP status 503"),
    "deep JSON": Told(Lie(503, JSON, b"[" * 60_000), "UNAVAILABLE", "HTTP status 503"),
    "JSON of numbers": Told(Lie(503, JSON, b'{"code": 1}'), "UNAVAILABLE", "HTTP status 503"),
    "a long story": Told(error(503, "unavailable", "so " * 9000), "UNAVAILABLE", "so so"),
}

STREAMED: dict[str, Told] = {
    "a unary answer": Told(Lie(200, PROTO, b"x"), "UNREACHABLE", "no postbox"),
    "gzip": Told(
        Lie(200, STREAM | {"connect-content-encoding": "gzip"}), "UNREACHABLE", "compressed"
    ),
    "a refusal": Told(
        error(401, "unauthenticated", "x", postbox_code="NO_SESSION"), "NO_SESSION", "x"
    ),
    "four GiB": Told(
        Lie(200, STREAM, b"\0\xff\xff\xff\xff", "never"), "UNREACHABLE", "of 4294967295 bytes"
    ),
    "a compressed frame": Told(Lie(200, STREAM, framed(b"", 1)), "UNREACHABLE", "compressed"),
    "an unknown flag": Told(Lie(200, STREAM, framed(b"", 0x80)), "UNREACHABLE", "compressed"),
    "an end that is compressed": Told(Lie(200, STREAM, framed(b"", 3)), "UNREACHABLE", "compress"),
    "no end": Told(Lie(200, STREAM, framed(b"one")), "UNREACHABLE", "was cut off"),
    "nothing at all": Told(Lie(200, STREAM), "UNREACHABLE", "was cut off"),
    "half a head": Told(Lie(200, STREAM, b"\0\0\0"), "UNREACHABLE", "was cut off"),
    "half a frame": Told(Lie(200, STREAM, framed(b"one")[:-1]), "UNREACHABLE", "was cut off"),
    "a connection that is cut in mid-frame": Told(
        Lie(200, STREAM, framed(b"one")[:-1], "cut"), "UNREACHABLE", "the answer broke off"
    ),
    "a connection that is cut between frames": Told(
        Lie(200, STREAM, framed(b"one"), "cut"), "UNREACHABLE", "the answer broke off"
    ),
    "an end that is none": Told(Lie(200, STREAM, framed(b"[]", 2)), "UNREACHABLE", "the end of"),
    "an end in no JSON": Told(Lie(200, STREAM, framed(b"\xff", 2)), "UNREACHABLE", "the end of"),
    "an error that is none": Told(
        Lie(200, STREAM, end(error=["x"])), "UNREACHABLE", "the end of the stream"
    ),
    "an error without a code": Told(Lie(200, STREAM, end(error={})), "INTERNAL", ""),
    "an error with a code": Told(
        Lie(
            200,
            STREAM,
            end(
                error={"code": "aborted", "message": "DISPLACED: another"},
                metadata={"Postbox-Code": ["DISPLACED"], "Retry-After": ["3"], "x": 1, "y": []},
            ),
        ),
        "DISPLACED",
        "another",
        3,
    ),
    "an error whose code is in the headers": Told(
        Lie(
            200,
            STREAM | {"postbox-code": "STOPPING"},
            end(error={"code": "unavailable", "message": "x"}, metadata=[1]),
        ),
        "STOPPING",
        "x",
    ),
}

OVER_GRPC: dict[str, Told] = {
    "a page": Told(Lie(200, HTML, b"<html>"), "UNREACHABLE", "no gRPC server"),
    "cut": Told(Lie(200, GRPC_TYPE, framed(b"one")[:-1], "cut"), "UNREACHABLE", "broke before"),
    "no status": Told(Lie(200, GRPC_TYPE, framed(b"one")), "UNREACHABLE", "without a status"),
    "a compressed frame": Told(Lie(200, GRPC_TYPE, framed(b"", 1)), "UNREACHABLE", "compressed"),
    "four GiB": Told(
        Lie(200, GRPC_TYPE, b"\0\xff\xff\xff\xff", "never"), "UNREACHABLE", "of 4294967295 bytes"
    ),
    "a redirect": Told(Lie(307, {"location": "/x"}), "UNREACHABLE", "redirects to /x"),
    "a proxy's 400": Told(Lie(400, HTML, b"<html>"), "UNREACHABLE", "HTTP status 400 instead"),
    "a bare 401": Told(Lie(401, HTML), "NO_SESSION", "HTTP status 401"),
    "a bare 429": Told(Lie(429, {"retry-after": "7"}), "RATE_LIMITED", "HTTP status 429", 7),
    "a bare 503": Told(Lie(503, HTML), "UNAVAILABLE", "HTTP status 503"),
    "a proxy's 413": Told(Lie(413, HTML), "TOO_LARGE", "HTTP status 413"),
    "no reason": Told(
        Lie(200, GRPC_TYPE, b"", "whole", {"grpc-status": "3"}), "INTERNAL", "no reason given"
    ),
    "no such service": Told(
        Lie(200, GRPC_TYPE, b"", "whole", {"grpc-status": "12"}), "UNREACHABLE", "no reason given"
    ),
    "a code": Told(
        Lie(
            200,
            GRPC_TYPE,
            b"",
            "whole",
            {
                "grpc-status": "8",
                "grpc-message": "SNAPSHOT_BUSY: wait",
                "postbox-code": "SNAPSHOT_BUSY",
                "retry-after": "2",
            },
        ),
        "SNAPSHOT_BUSY",
        "wait",
        2,
    ),
    "a hole that lost its number": Told(
        Lie(
            200,
            GRPC_TYPE,
            b"",
            "whole",
            {"grpc-status": "9", "grpc-message": "QUEUE_HOLE: next=3: send"},
        ),
        "QUEUE_HOLE",
        "next=3",
        None,
        3,
    ),
}


async def submit(wire: Transport) -> None:
    await wire.submit(b"x" * 1000)


async def listen(wire: Transport) -> None:
    async with wire.stream(b"") as messages:
        async for _ in messages:
            pass


Ask = Callable[[Transport], Awaitable[None]]


async def fault_of(way: Way, talk: Talk, ask: Ask = submit) -> CallFailed:
    """And whoever raised it has closed its connections, or does so when its transport is closed."""

    async def run() -> CallFailed:
        async with way.open(liar.url) as wire:
            with pytest.raises(CallFailed) as raised:
                await ask(wire)
        return raised.value

    async with lying(talk) as liar:
        fault = await way.run(run)
        await liar.all_gone()
    return fault


def check(fault: CallFailed, told: Told) -> None:
    found = (fault.code, fault.retry_s, fault.next_number)
    assert found == (told.code, told.retry_s, told.next_number)
    assert told.text in fault.text
    assert len(fault.text) < 700
    assert fault.text.isprintable()


@pytest.mark.parametrize("name", UNARY)
async def test_a_wrong_answer_to_a_batch_is_one_clear_fault(name: str) -> None:
    for way in CONNECT_WAYS:
        check(await fault_of(way, telling(UNARY[name].lie)), UNARY[name])


@pytest.mark.parametrize("name", STREAMED)
async def test_a_wrong_stream_is_one_clear_fault(name: str) -> None:
    for way in CONNECT_WAYS:
        check(await fault_of(way, telling(STREAMED[name].lie), listen), STREAMED[name])


@pytest.mark.parametrize("name", OVER_GRPC)
async def test_a_wrong_answer_by_grpc_is_one_clear_fault(name: str) -> None:
    for ask in (submit, listen):
        check(await fault_of(GRPC, telling(OVER_GRPC[name].lie), ask), OVER_GRPC[name])


RAW: dict[str, bytes] = {
    "nothing": b"",
    "mail": b"220 mail.example ESMTP\r\n",
    "half a status": b"HTTP/1.1 2",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status beyond": b"HTTP/1.1 999999999 OK\r\ncontent-length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000,
    "a chunk that is none": b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "waiting words": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "alert": b"\x15\x03\x01\0\x02\x02\x28",
    "a frame too large": b"\xff\xff\xff\0\0\0\0\0\1" + bytes(100_000),
    "a status that is no number": bytes.fromhex("00000004000000000000000c010500000001")
    + b"\x08\x03abc\x0f\x10\x03abc",
    "goodbye": bytes.fromhex("0000000400000000000000080700000000000000000000000000"),
}


@pytest.mark.parametrize("name", RAW)
async def test_bytes_that_are_no_answer_are_one_clear_fault(name: str) -> None:
    for way in WAYS:
        fault = await fault_of(way, saying(RAW[name]))
        expected = {"UNREACHABLE"} | ({"UNAVAILABLE"} if b" 503 " in RAW[name] else set())
        assert fault.code in expected, (str(way), fault)
        assert fault.text


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_any_bytes_are_one_clear_fault(way: Way) -> None:
    drawn = random.Random(7)
    settings = bytes.fromhex("000000040000000000")
    for start in (b"", b"HTTP/1.1 200 OK\r\n", settings, settings + b"\0\0\x20\1\4\0\0\0\1") * 3:
        fault = await fault_of(way, saying(start + drawn.randbytes(drawn.randrange(1, 500))))
        assert fault.code == "UNREACHABLE", fault


@pytest.mark.parametrize("way", CONNECT_WAYS, ids=str)
async def test_what_comes_behind_the_end_of_a_stream_is_passed_over(way: Way) -> None:
    body = framed(b"one") + framed(b"") + end() + framed(b"two") + b"\xff"

    async def run() -> list[bytes]:
        async with way.open(liar.url) as wire, wire.stream(b"") as messages:
            heard = [message async for message in messages]
            return heard + [message async for message in messages]

    async with lying(telling(Lie(200, STREAM, body))) as liar:
        assert await way.run(run) == [b"one", b""]
        await liar.all_gone()


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_token_goes_to_the_host_that_was_named_and_to_nobody_else(way: Way) -> None:
    asked: list[bytes] = []
    async with lying(telling(Lie(200, PROTO), asked)) as elsewhere:
        lie = Lie(307, {"location": f"{elsewhere.url}/postbox.v1.EventService/Sync"})
        for ask in (submit, listen):
            fault = await fault_of(way, telling(lie), ask)
            assert fault.code == "UNREACHABLE"
            assert f"redirects to {elsewhere.url}" in fault.text
        assert elsewhere.came == 0


@pytest.mark.parametrize("way", [HTTP1, HTTP1_ASYNCIO], ids=str)
async def test_proxies_and_cookies_of_the_surroundings_are_left_alone(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def run() -> None:
        async with way.open(liar.url) as wire:
            await wire.submit(b"")
            await wire.submit(b"")

    async with lying(telling(Lie(200, PROTO | {"set-cookie": "a=b"}), asked)) as liar:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        await way.run(run)
        assert liar.came == 1, "the second request goes over the same connection"
    assert len(asked) == 2
    assert b"cookie" not in asked[1].lower()


@pytest.mark.parametrize("way", [HTTP1, HTTP2, HTTP1_ASYNCIO, HTTP2_ASYNCIO], ids=str)
async def test_an_unused_connection_that_the_host_ended_is_not_used_again(way: Way) -> None:
    """As one does that is started again; a batch must not be lost to the old connection."""

    async def until_told(stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            ends.append(scope)
            await telling(Lie(200, PROTO))(stream)

    async def end_it() -> None:
        ends[0].cancel()
        await liar.all_ended()

    async def run() -> None:
        async with way.open(liar.url) as wire:
            await wire.submit(b"")
            if way.loop == "trio":
                await end_it()
            else:
                trio.from_thread.run(end_it)
            await wire.submit(b"")

    ends: list[trio.CancelScope] = []
    async with lying(until_told) as liar:
        await way.run(run)
        assert liar.came == 2
        await liar.all_gone()


async def test_tls_that_breaks_off_is_a_fault() -> None:
    for way in (Way(), Way(loop="asyncio"), GRPC):

        async def run(way: Way = way) -> CallFailed:
            async with way.open(liar.url.replace("http:", "https:")) as wire:
                with pytest.raises(CallFailed) as raised:
                    await submit(wire)
            return raised.value

        async with lying(saying(b"\x16\x03\x03\0\x05hello")) as liar:
            fault = await way.run(run)
            await liar.all_gone()
        assert fault.code == "UNREACHABLE"
        assert fault.text.startswith("no connection"), fault
