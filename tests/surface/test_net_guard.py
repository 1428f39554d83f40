"""Hostile clients against the real server on a real socket: what they do hurts nobody else.

Each test ends with a good client being served, and without a fault of ours in the log.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import h2.events
import pytest
import trio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from postbox.net.faults import Unreachable
from postbox.net.guard import h2 as guard_h2
from postbox.net.guard.h2 import RESETS_BURST, RESETS_PER_MINUTE, STREAM_WINDOW_BYTES
from postbox.net.guard.outgoing import ANSWER_BYTES
from postbox.net.limits import Limits
from support import attackers
from support.attackers import (
    GONE,
    RAW,
    Attack,
    Target,
    connected,
    frame,
    read_to_end,
    request,
    say,
    speaking_h2,
)
from support.serving import Served, logged, read_all, reply, served

PATIENT = Limits(grace_s=0.1)
QUICK = Limits(idle_s=0.3, body_s=0.3, send_s=0.3, handshake_s=0.3, grace_s=0.1)
"""For attackers that must be waited out. A machine that stands still for so long has a good client
hung up on as well."""
CHUNK = bytes(8 * 2**10)
GOOD = 200, b"/good body"


class App:
    """What its paths are good for: see `__call__`. Counts what it did."""

    def __init__(self) -> None:
        self.asked = 0
        self.produced_bytes = 0
        self.entered = trio.Event()
        self.gone = trio.Event()
        self.gone_count = 0
        self.last_scope: HTTPScope
        self._changed = trio.Event()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        self.asked += 1
        self.last_scope = scope
        self._change()
        match scope["path"]:
            case "/early":  # answers, and reads nothing
                await reply(send, b"early")
            case "/ignores":  # neither answers nor reads
                await self._until_gone(trio.sleep_forever)
            case "/streams":
                await self._until_gone(partial(self._stream, send))
            case "/slow":  # answers when a moment has passed
                await read_all(receive)
                await trio.sleep(0.05)
                await reply(send, b"slow")
            case _:
                await reply(send, scope["path"].encode() + b" " + await read_all(receive))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Something was asked, or somebody gone."""
        while not condition():
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _until_gone(self, wait: Callable[[], Awaitable[None]]) -> None:
        self.entered.set()
        try:
            await wait()
        finally:
            self.gone.set()
            self.gone_count += 1
            self._change()

    async def _stream(self, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.produced_bytes += len(CHUNK)


@asynccontextmanager
async def attacked(
    limits: Limits = PATIENT,
    tls: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Served, Target, App]]:
    app = App()
    with logged() as said, trio.fail_after(60):
        async with served(app, limits, tls=tls, trusted=trusted) as server:
            yield server, Target(*server.address, "/"), app
            await good_client_is_served(server, tries=20 if limits == QUICK else 1)
    assert said.getvalue() == ""


async def good_client_is_served(server: Served, tries: int) -> None:
    for _ in range(tries - 1):
        with suppress(Unreachable):
            if await server.post("/good", b"body") == GOOD:
                return
    assert await server.post("/good", b"body") == GOOD


@pytest.mark.parametrize("name", RAW)
async def test_any_bytes_are_answered_or_hung_up_on(name: str) -> None:
    raw = RAW[name]
    async with attacked(QUICK if 0 in raw.statuses else PATIENT) as (_, target, _):
        answer = await say(target, raw.said)
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
    assert status in raw.statuses, answer[:200]


@pytest.mark.parametrize("name", sorted(set(attackers.ATTACKS) - {"opens_too_many_streams"}))
async def test_no_attack_keeps_a_good_client_from_being_served(name: str) -> None:
    async with attacked(QUICK) as (_, target, _):
        await attackers.ATTACKS[name](target)


@pytest.mark.parametrize(
    ("attack", "path"),
    [
        (attackers.resets_rapidly, "/ignores"),
        (attackers.makes_the_server_reset, "/ignores"),
        (attackers.asks_in_bad_words, "/"),
        (attackers.shifts_all_windows, "/streams"),
        (attackers.floods_pings, "/"),
        (attackers.floods_settings, "/"),
        (attackers.floods_priorities, "/"),
        (attackers.floods_windows, "/"),
        (attackers.floods_empty_data, "/"),
        (attackers.floods_unknown_frames, "/"),
        (attackers.bombs_by_hpack, "/"),
        (attackers.dribbles_window, "/streams"),
    ],
)
async def test_a_flood_is_told_to_calm_down(attack: Attack, path: str) -> None:
    """And not hung up on first as idle: between two floods without a request to answer a busy
    machine may be idle for long."""
    begun_s = trio.current_time()
    async with attacked(replace(PATIENT, idle_s=30.0)) as (_, target, app):
        code = await attack(target._replace(path=path))
        took_s = trio.current_time() - begun_s
    assert code == ErrorCodes.ENHANCE_YOUR_CALM
    assert app.asked <= RESETS_BURST + RESETS_PER_MINUTE * took_s / 60 + 20


@pytest.mark.parametrize(
    ("attack", "path"),
    [
        (attackers.opens_too_many_streams, "/ignores"),
        (attackers.continues_without_end, "/"),
        (attackers.sends_data_to_nobody, "/"),
    ],
)
async def test_what_the_protocol_forbids_ends_the_connection(attack: Attack, path: str) -> None:
    limits = Limits(max_streams=100)
    async with attacked(limits) as (_, target, app):
        code = await attack(target._replace(path=path))
        assert app.asked <= 100
    assert code == ErrorCodes.PROTOCOL_ERROR


async def test_a_frame_that_is_too_large_is_not_waited_for() -> None:
    async with attacked(Limits()) as (_, target, _):
        assert await attackers.announces_a_huge_frame(target) == ErrorCodes.FRAME_SIZE_ERROR


async def test_a_busy_client_is_not_taken_for_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Priorities that come with requests are free, and so are windows for what was taken."""
    monkeypatch.setattr(guard_h2, "IDLINGS_BURST", 20)
    monkeypatch.setattr(guard_h2, "IDLINGS_PER_MINUTE", 1)
    async with attacked(Limits()) as (_, target, _), speaking_h2(target) as client:
        for _ in range(100):
            stream_id = client.open(b"/", method=b"POST", ends=False, has_priority=True)
            client.connection.send_data(stream_id, bytes(10_000))
            client.connection.send_data(stream_id, bytes(10_000), end_stream=True)
            await client.flush()
            assert await client.answer(stream_id) == (200, b"/ " + bytes(20_000))
            client.connection.increment_flow_control_window(10_000)


# -- (a) to (g): what stock hypercorn 0.18.0 does not survive, or forgets about --------------------


async def test_data_after_the_answer_leaves_the_connection_alone() -> None:
    """(a) The rest is not wanted (NO_ERROR), and the connection goes on."""
    async with attacked() as (_, target, _), speaking_h2(target) as client:
        early = client.open(b"/early", method=b"POST", ends=False)
        await client.flush()
        assert await client.answer(early) == (200, b"early")
        await client.send_raw(*[frame(attackers.DATA, b"late", stream_id=early)] * 3)
        other = client.open(b"/other")
        await client.flush()
        assert await client.answer(other) == (200, b"/other ")
        over = client.over[early]
    assert isinstance(over, h2.events.StreamReset)
    assert over.error_code == ErrorCodes.NO_ERROR


@pytest.mark.parametrize(
    ("method", "path"),
    [(b"GET", b"/\xff"), (b"G\xcbT", b"/"), (b"GET", "/é".encode()), (b"CONNECT", b"/")],
)
async def test_a_request_that_is_not_ascii_ends_its_stream_alone(
    method: bytes, path: bytes
) -> None:
    """(b)"""
    async with attacked() as (_, target, app), speaking_h2(target) as client:
        bad = client.open(path, method=method)
        await client.flush()
        assert await client.answer(bad) == (None, b"")
        good = client.open(b"/good")
        await client.flush()
        assert await client.answer(good) == (200, b"/good ")
        assert app.asked == 1


@pytest.mark.parametrize("http", [1, 2])
async def test_a_client_that_never_reads_does_not_keep_the_server_from_stopping(http: int) -> None:
    """(c)"""
    app = App()
    with trio.fail_after(20):
        async with served(app, Limits(send_s=3_600.0, grace_s=0.1)) as server:
            target = Target(*server.address)
            async with connected(target) as stream:
                if http == 1:
                    await stream.send_all(request(path=b"/streams"))
                else:
                    client = attackers.Http2(stream)
                    await client.begin({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
                    client.connection.increment_flow_control_window(2**30)
                    client.open(b"/streams")
                    await client.flush()
                await until_unchanging(lambda: app.produced_bytes)
                server.stop.set()
                await server.returned.wait()
    assert app.gone.is_set()


async def until_unchanging(value: Callable[[], int]) -> None:
    """Until it is positive and stays the same for a moment: who produces is stuck."""
    seen = 0
    while value() != seen or not seen:
        seen = value()
        await trio.sleep(0.1)


async def test_an_unread_body_holds_up_its_own_stream_alone() -> None:
    """(d) Its window closes; the siblings have theirs, with bodies too."""
    async with attacked(Limits()) as (_, target, _), speaking_h2(target) as client:
        while client.connection.outbound_flow_control_window == 65_535:
            await client.take()
        stuck = client.open(b"/ignores", method=b"POST", ends=False)
        sent_bytes = 0
        while room := client.connection.local_flow_control_window(stuck):
            part = bytes(min(room, 1_000))
            client.connection.send_data(stuck, part)
            sent_bytes += len(part)
        await client.flush()
        for _ in range(3):
            sibling = client.open(b"/echo", method=b"POST", ends=False)
            client.connection.send_data(sibling, b"x" * 10_000)
            client.connection.end_stream(sibling)
            await client.flush()
            assert await client.answer(sibling) == (200, b"/echo " + b"x" * 10_000)
        assert client.connection.local_flow_control_window(stuck) == 0
    assert sent_bytes == STREAM_WINDOW_BYTES


async def test_what_an_app_leaves_unread_is_given_back_to_the_connection() -> None:
    """Else a thousand bodies that nobody wants would close its window for good."""
    async with attacked() as (_, target, _), speaking_h2(target) as client:
        for _ in range(40):
            early = client.open(b"/early", method=b"POST", ends=False)
            with suppress(ProtocolError):
                for _ in range(6):
                    client.connection.send_data(early, bytes(10_000))
            await client.flush()
            assert await client.answer(early) == (200, b"early")


async def test_an_answer_that_is_not_taken_is_not_made() -> None:
    """(e) and its end: the app waits, and is cancelled when the client had its time."""
    async with attacked(QUICK) as (_, target, app):
        async with speaking_h2(target, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
            unread = client.open(b"/streams")
            await client.flush()
            await app.gone.wait()
            assert app.produced_bytes <= ANSWER_BYTES
            assert await client.answer(unread) == (200, b"")
            over = client.over[unread]
    assert isinstance(over, h2.events.StreamReset)
    assert over.error_code == ErrorCodes.CANCEL


async def test_an_answer_that_is_not_read_is_not_made() -> None:
    """(e) over HTTP/1.1, where the system holds some of it."""
    async with attacked(QUICK) as (_, target, app), connected(target) as stream:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await stream.send_all(request(path=b"/streams"))
        await app.gone.wait()
        assert app.produced_bytes < 32 * 2**20


@pytest.mark.parametrize("goes", ["connection", "stream"])
async def test_the_app_of_a_client_that_goes_away_is_cancelled(goes: str) -> None:
    """(f) It waits in `send` for ever else."""
    async with attacked(Limits()) as (_, target, app):
        async with speaking_h2(target, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
            unread = client.open(b"/streams")
            await client.flush()
            await app.entered.wait()
            if goes == "stream":
                client.connection.reset_stream(unread)
                await client.flush()
                await app.gone.wait()
                good = client.open(b"/")
                client.connection.increment_flow_control_window(100, good)
                await client.flush()
                assert (await client.answer(good))[0] == 200
        await app.gone.wait()


async def test_a_client_that_goes_away_while_its_app_works_cancels_it() -> None:
    async with attacked(Limits()) as (_, target, app):
        async with connected(target) as stream:
            await stream.send_all(request(path=b"/ignores"))
            await app.entered.wait()
        await app.gone.wait()


async def test_a_body_without_end_gets_its_413() -> None:
    """(g) Though the client is still sending."""
    limits = Limits(max_body_bytes=100_000)
    async with attacked(limits) as (_, target, _):
        async with connected(target) as stream, trio.open_nursery() as nursery:
            answers = bytearray()

            async def read() -> None:
                answers.extend(await read_to_end(stream))
                nursery.cancel_scope.cancel()

            nursery.start_soon(read)
            with suppress(*GONE):
                await stream.send_all(
                    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for _ in range(1_000):
                    await stream.send_all(b"c350\r\n" + bytes(50_000) + b"\r\n")
        assert answers.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 100000 bytes" in answers


# -- slow ones -----------------------------------------------------------------------------------


async def test_a_dripping_body_is_answered_408() -> None:
    async with attacked(QUICK) as (_, target, _), connected(target) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\na")
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        attackers.PREFACE[:10],
        attackers.PREFACE,
        attackers.PREFACE + frame(attackers.SETTINGS),
        attackers.PREFACE + frame(attackers.SETTINGS) + frame(attackers.HEADERS, b"", 1, 1),
    ],
)
async def test_a_connection_without_a_request_is_closed(said: bytes) -> None:
    async with attacked(QUICK) as (_, target, _), connected(target) as stream:
        await stream.send_all(said)
        assert not (await read_to_end(stream)).startswith(b"HTTP/1.1 200")


async def test_a_connection_whose_requests_are_over_is_closed() -> None:
    """Whoever ended them."""
    async with attacked(QUICK) as (_, target, _), speaking_h2(target) as client:
        answered = client.open(b"/")
        client.connection.reset_stream(client.open(b"/ignores"))
        await client.flush()
        await client.answer(answered)
        await client.to_the_end()


@pytest.mark.parametrize("path", [b"/streams", b"/"])
async def test_an_answer_to_head_has_no_body_and_blocks_nobody(path: bytes) -> None:
    """Of a streamed answer nothing is sent, so nothing in `send` waits."""
    async with attacked() as (server, target, _), connected(target) as stream:
        await stream.send_all(request(method=b"HEAD", path=path))
        assert (await server.post("/meanwhile"))[0] == 200
        with trio.move_on_after(0.1):
            assert (await read_to_end(stream)).endswith(b"\r\n\r\n")


async def test_a_client_that_goes_away_behind_a_pipeline_leaves_nothing() -> None:
    async with attacked(Limits(max_connections_per_address=2)) as (_, target, _):
        for _ in range(20):
            async with connected(target) as stream:
                asking = request(path=b"/slow").replace(b"Connection: close\r\n", b"")
                await stream.send_all(asking * 50)
                await stream.receive_some()


# -- too many ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [Limits(max_connections_per_address=3), Limits(max_connections=3)]
)
async def test_a_connection_too_many_is_closed_at_once(limits: Limits) -> None:
    async with attacked(limits) as (_, target, app):
        async with AsyncExitStack() as stack:
            for _ in range(3):
                stream = await stack.enter_async_context(connected(target))
                await stream.send_all(request(path=b"/ignores"))
            await app.until(lambda: app.asked == 3)
            assert await say(target, request()) == b""
        await app.until(lambda: app.gone_count == 3)


async def test_a_request_too_many_is_answered_503() -> None:
    async with attacked(Limits(max_requests=2)) as (_, target, app):
        async with speaking_h2(target) as client:
            for _ in range(2):
                client.open(b"/ignores")
            await client.flush()
            await app.until(lambda: app.asked == 2)
            too_many = client.open(b"/")
            await client.flush()
            assert await client.answer(too_many) == (503, b"too many requests are under way\n")
        await app.until(lambda: app.gone_count == 2)


# -- TLS -----------------------------------------------------------------------------------------


async def test_over_tls_requests_are_served_and_the_app_knows(
    tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    async with attacked(tls=tls, trusted=trusted) as (server, _, app):
        assert server.url.startswith("https://127.0.0.1:")
        assert (await server.post("/"))[0] == 200
        assert app.last_scope["scheme"] == "https"
        assert (app.last_scope["client"] or ("",))[0] == "127.0.0.1"


async def test_over_tls_http2_is_offered(tls: ssl.SSLContext, trusted: ssl.SSLContext) -> None:
    async with attacked(tls=tls, trusted=trusted) as (_, target, app):
        trusted.set_alpn_protocols(["h2"])
        async with connected(target) as bottom:
            secured = trio.SSLStream(bottom, trusted, server_hostname="127.0.0.1")
            await secured.do_handshake()
            assert secured.selected_alpn_protocol() == "h2"
            client = attackers.Http2(secured)
            await client.begin()
            stream_id = client.open(b"/two", method=b"POST", ends=False)
            client.connection.send_data(stream_id, b"body", end_stream=True)
            await client.flush()
            assert await client.answer(stream_id) == (200, b"/two body")
            assert app.last_scope["scheme"] == "https"
        trusted.set_alpn_protocols(["http/1.1"])


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 1_000]
)
async def test_what_is_no_tls_is_hung_up_on(
    said: bytes, tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    async with attacked(QUICK, tls=tls, trusted=trusted) as (_, target, app):
        assert b"HTTP/1.1" not in await say(target, said)
        assert app.asked == 0


async def test_a_connection_that_is_cut_inside_tls_hurts_nobody(
    tls: ssl.SSLContext, trusted: ssl.SSLContext
) -> None:
    async with attacked(Limits(), tls=tls, trusted=trusted) as (_, target, app):
        async with connected(target) as bottom:
            secured = trio.SSLStream(bottom, trusted, server_hostname="127.0.0.1")
            await secured.send_all(request(path=b"/ignores"))
            await app.entered.wait()
            await bottom.send_all(b"no record of TLS")
            await app.gone.wait()


# -- fuzz ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
async def test_mutated_conversations_hurt_nobody(seed: int) -> None:
    said = [
        *attackers.mutations(seed, attackers.http1_seed(b"/"), 150),
        *attackers.mutations(seed, attackers.http2_seed(b"/"), 150, keep=len(attackers.PREFACE)),
    ]
    async with attacked() as (_, target, _):
        await attackers.fuzz(target, said)
