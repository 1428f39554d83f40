"""What one caller may cost a mesh node: how often, how many at once, from where, how slowly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)

from postbox.errors import Full, Unavailable
from postbox.mesh.serving.callers import STRANGERS_BURST
from postbox.mesh.wire import HELLO_PATH, PING_PATH, SYNC_PATH
from postbox.net.asgi import DISCARD_BYTES
from postbox.net.client import Answer
from postbox.net.limits import Limits
from postbox.trust.hello import make_hello
from postbox.trust.keys import Identity, identity_of
from postbox.world import Pool
from support.asking import (
    BODY,
    PATIENCE_S,
    Asked,
    Clock,
    asking,
    check_headers,
    connect,
    parsed,
    read_to_end,
    request_bytes,
    signed,
    spoken,
)
from support.homes import Imported
from support.mesh import ANN, BOB, CAT, MALLORY, NOW_NS, believe, fixed_world, take, tease
from support.threads import Broken

GOOD = request_bytes(list(signed(ANN).items()), BODY)
LARGE = b"x" * 3_000_000


@dataclass
class Between:
    """Stands before the door: says from where a caller is, and notes what the door asks for."""

    address: str | None = "127.0.0.1"
    scheme: str = "http"
    read_bytes: int = 0
    """Of bodies."""
    listened: int = 0
    """Requests whose body the door asked for: they have been let in."""

    def __call__(self, app: ASGIFramework) -> ASGIFramework:
        async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            is_first = True

            async def receive_noted() -> ASGIReceiveEvent:
                nonlocal is_first
                self.listened += is_first
                is_first = False
                event = await receive()
                if event["type"] == "http.request":
                    self.read_bytes += len(event["body"])
                return event

            client = None if self.address is None else (self.address, 4_711)
            theirs = {**scope, "client": client, "scheme": self.scheme}
            await app(cast(HTTPScope, theirs), receive_noted, send)

        return run

    async def until(self, listened: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while self.listened < listened:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def asked_at(home: Path, **config: Any) -> AsyncIterator[tuple[Asked, Clock]]:
    """With a clock that the test moves."""
    clock = Clock()
    world = replace(fixed_world(), clock=clock)
    async with asking(home, [tease(1)], world=world, **config) as asked:
        await believe(asked.node, BOB)
        yield asked, clock


async def ask(asked: Asked, who: Identity = ANN) -> Answer:
    return await asked.raw(b'{"from":"%s"}' % who.name.encode(), signed(who))


# -- how often ------------------------------------------------------------------------------------


async def test_a_peer_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    """And another one is not."""
    async with asked_at(tmp_path, requests_per_minute=3) as (asked, clock):
        assert [(await ask(asked)).status for _ in range(3)] == [200, 200, 200]
        refused = await ask(asked)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "20"
        assert refused.body == b"ann asks too often: try again in 20 s\n"
        check_headers(refused, asked.node.identity)
        assert (await ask(asked, BOB)).status == 200
        clock.passed_s += 19.5
        assert (await ask(asked)).headers["retry-after"] == "1"
        clock.passed_s += 0.5
        assert [(await ask(asked)).status for _ in range(2)] == [200, 429]


async def test_an_address_that_proves_nothing_is_told_to_wait_and_its_peers_are_served(
    tmp_path: Path,
) -> None:
    async with asked_at(tmp_path) as (asked, clock):
        for number in range(STRANGERS_BURST):
            if number % 2:
                answer = await asked.raw(b"", {}, "GET", PING_PATH)
            else:
                answer = await asked.raw(BODY, signed(MALLORY))
            assert answer.status in (200, 401)
        for body, headers, method, path in (
            (b"", {}, "GET", PING_PATH),
            (BODY, {}, "POST", SYNC_PATH),
            (BODY, signed(MALLORY), "POST", SYNC_PATH),
            (make_hello(CAT, NOW_NS), {}, "POST", HELLO_PATH),
        ):
            refused = await asked.raw(body, headers, method, path)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert b"too many requests from this address that prove nothing" in refused.body
            assert "x-nara-signature" not in refused.headers
        assert (await ask(asked)).status == 200
        clock.passed_s += 1
        assert (await asked.raw(b"", {}, "GET", PING_PATH)).status == 200


async def test_a_seventh_introduction_within_a_minute_waits(tmp_path: Path) -> None:
    async with asked_at(tmp_path) as (asked, clock):
        answers = [
            await asked.raw(
                make_hello(identity_of(f"n{number}", b"%031d." % number), NOW_NS),
                {},
                path=HELLO_PATH,
            )
            for number in range(7)
        ]
        assert [answer.status for answer in answers] == [200] * 6 + [429]
        assert answers[-1].headers["retry-after"] == "10"
        assert b"too many introductions from this address" in answers[-1].body
        assert asked.node.directory.key_of("n5") is not None
        assert asked.node.directory.key_of("n6") is None
        clock.passed_s += 10
        again = await asked.raw(make_hello(CAT, NOW_NS), {}, path=HELLO_PATH)
        assert again.status == 200
        assert (await ask(asked, CAT)).status == 200


# -- how many at once, how slowly -----------------------------------------------------------------


OFTEN: dict[str, Any] = {"requests_per_minute": 1_000_000}


async def until_served(asked: Asked) -> None:
    """Whoever had the place has given it back."""
    with trio.fail_after(PATIENCE_S):
        while (await ask(asked)).status == 429:
            pass
    assert (await ask(asked)).status == 200


async def test_more_at_once_than_a_peer_may_have_is_refused(tmp_path: Path) -> None:
    between = Between()
    async with (
        asking(tmp_path, wrap=between, concurrent_requests=2, **OFTEN) as asked,
        await connect(asked.url) as one,
        await connect(asked.url) as other,
    ):
        await believe(asked.node, BOB)
        for stream in (one, other):
            await stream.send_all(GOOD[:-1])
        await between.until(listened=2)
        refused = await ask(asked)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.body == b"too many requests are under way: try again in 1 s\n"
        check_headers(refused, asked.node.identity)
        assert (await ask(asked, BOB)).status == 200
        for stream in (one, other):
            await stream.send_all(GOOD[-1:])
            assert parsed(await read_to_end(stream)).status == 200
            await until_served(asked)


async def test_a_caller_that_leaves_in_the_middle_gives_its_place_back(tmp_path: Path) -> None:
    async with asking(tmp_path, concurrent_requests=1, **OFTEN) as asked:
        for end in (10, len(GOOD) - len(BODY), len(GOOD) - 1, len(GOOD)):
            async with await connect(asked.url) as stream:
                await stream.send_all(GOOD[:end])
            await until_served(asked)


async def test_a_slow_body_is_a_408_and_gives_its_place_back(tmp_path: Path) -> None:
    limits = Limits(body_s=0.2)
    async with asking(tmp_path, limits=limits, concurrent_requests=1, **OFTEN) as asked:
        refused = parsed(await spoken(asked.url, GOOD[:-1]))
        said = b"the request's body did not come within 0.2 s\n"
        assert (refused.status, refused.body) == (408, said)
        assert "x-nara-signature" not in refused.headers
        await until_served(asked)


async def test_a_slow_reader_is_left_and_gives_its_place_back(
    imported: Imported, copy_of: Callable[[Imported], Path]
) -> None:
    body = b'{"from":"ann","mode":"page","page_size":5000}'
    said = request_bytes(list(signed(ANN).items()), body)
    between, limits = Between(), Limits(send_s=0.2)
    async with (
        asking(
            copy_of(imported), limits=limits, wrap=between, concurrent_requests=1, **OFTEN
        ) as asked,
        await connect(asked.url) as stream,
    ):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await stream.send_all(said)
        await between.until(listened=1)
        await until_served(asked)
        answer = bytearray()
        with suppress(trio.BrokenResourceError):
            async for part in stream:
                answer += part
        cut = parsed(bytes(answer))
        assert len(cut.body) < int(cut.headers["content-length"])


# -- who proves nothing is not listened to --------------------------------------------------------


async def test_a_stranger_s_body_is_not_read(tmp_path: Path) -> None:
    """But for what it has sent before it could know (256 KiB, and one read more)."""
    between = Between()
    async with asking(tmp_path, [tease(1)], wrap=between, requests_per_minute=1) as asked:
        assert (await ask(asked)).status == 200
        for said, status in (
            (request_bytes([], LARGE), 401),
            (request_bytes(list(signed(MALLORY).items()), LARGE), 401),
            (request_bytes(list(signed(ANN, path="/x").items()), LARGE), 401),
            (request_bytes(list(signed(ANN).items()), LARGE), 429),
            (request_bytes([], LARGE, path=HELLO_PATH), 413),
        ):
            between.read_bytes = 0
            assert parsed(await spoken(asked.url, said)).status == status
            assert between.read_bytes <= DISCARD_BYTES + 2**17
        between.address, between.read_bytes = "8.8.8.8", 0
        assert parsed(await spoken(asked.url, request_bytes([], LARGE))).status == 403
        assert between.read_bytes <= DISCARD_BYTES + 2**17


# -- from where -----------------------------------------------------------------------------------


CALLERS: list[tuple[str | None, str, bool, int, str]] = [
    # address, scheme, --loopback, status, what is said
    ("127.0.0.1", "http", True, 200, ""),
    ("127.0.0.1", "http", False, 403, "start the node with --loopback"),
    ("127.0.0.1", "https", False, 403, "add 127.0.0.1/32 to its mesh.networks"),
    ("::1", "http", False, 403, "--loopback"),
    ("::ffff:127.0.0.1", "http", False, 403, "--loopback"),
    ("192.168.1.7", "http", True, 200, ""),
    ("192.168.1.7", "http", False, 403, "add its network there"),
    ("100.64.0.7", "http", False, 200, ""),
    ("fd7a:115c:a1e0::7", "http", False, 200, ""),
    ("8.8.8.8", "http", False, 403, "https"),
    ("8.8.8.8", "http", True, 403, "https"),
    ("8.8.8.8", "https", False, 200, ""),
    ("2a00::1", "http", False, 403, "https"),
    ("2a00::1", "https", False, 200, ""),
    ("169.254.169.254", "https", True, 403, "an address that no node has"),
    (None, "http", False, 200, ""),
]


@pytest.mark.parametrize(("address", "scheme", "loopback", "status", "text"), CALLERS)
async def test_who_may_not_call_is_told_what_to_do(
    tmp_path: Path, address: str | None, scheme: str, loopback: bool, status: int, text: str
) -> None:
    """However well it signs; and whoever asks may know who is here."""
    between = Between(address, scheme)
    async with asking(tmp_path, [tease(1)], wrap=between, loopback=loopback) as asked:
        answer = parsed(await spoken(asked.url, GOOD))
        assert answer.status == status
        hello = request_bytes([], make_hello(CAT, NOW_NS), path=HELLO_PATH)
        introduced = parsed(await spoken(asked.url, hello))
        if status == 403:
            assert introduced.status == 403
            for refused in (answer, introduced):
                assert text in refused.body.decode()
                assert "x-nara-signature" not in refused.headers
            assert asked.node.directory.key_of("cat") is None
            assert asked.node.waiting.all() == []
        else:
            assert introduced.status in (200, 202)
        ping = parsed(await spoken(asked.url, request_bytes(method="GET", path=PING_PATH)))
        assert ping.status == 200


# -- what is wrong with us ------------------------------------------------------------------------


async def test_a_fault_of_ours_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    threads = Broken(fixed_world().threads)
    world = replace(fixed_world(), threads=threads)
    async with asking(tmp_path, [tease(1)], world=world) as asked:
        threads.fault = Unavailable("/var/lib/ann/postbox.db is gone")
        refused = await asked.raw(b'{"from":"ann","mode":"page"}', signed(ANN))
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.body == b"this node cannot do that now\n"
        check_headers(refused, asked.node.identity)

        threads.pool, threads.fault = Pool.WRITER, Full("/var/lib/ann/postbox.db is full")
        refused = await asked.raw(make_hello(CAT, NOW_NS), {}, path=HELLO_PATH)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.body == b"this node cannot do that now\n"
        assert asked.node.directory.key_of("cat") is None

        threads.fault = None
        assert (await ask(asked)).status == 200
        again = await asked.raw(make_hello(CAT, NOW_NS), {}, path=HELLO_PATH)
        assert again.status == 200


async def test_the_newest_few_are_answered_without_a_thread_unless_they_are_large(
    tmp_path: Path,
) -> None:
    """A thread is not worth its hop for them; 200 of 64 KiB would hold all others up."""
    threads = Broken(fixed_world().threads)
    world = replace(fixed_world(), threads=threads)
    large = [tease(n).replace(b"{", b'{"x":"' + b"x" * 60_000 + b'",', 1) for n in range(5, 15)]
    small = [tease(n) for n in (1, *range(20, 420))]

    async def statuses(asked: Asked, *requests: dict[str, Any]) -> list[int]:
        threads.fault = Unavailable("no thread is there")
        bodies = [json.dumps({"from": "ann", **fields}).encode() for fields in requests]
        answers = [await asked.raw(body, signed(ANN)) for body in bodies]
        threads.fault = None
        return [answer.status for answer in answers]

    async with asking(tmp_path, small, world=world) as asked:
        few: list[dict[str, Any]] = [{}, {"limit": 0}, {"limit": 1}, {"limit": 200}]
        assert await statuses(asked, *few) == [200] * 4
        many: list[dict[str, Any]] = [
            {"limit": 201},
            {"mode": "page", "page_size": 1},
            {"mode": "sample"},
        ]
        filtered: list[dict[str, Any]] = [
            {"limit": 1, "subjects": ["bob"]},
            {"limit": 1, "services": ["social"]},
        ]
        assert await statuses(asked, *many, *filtered) == [503] * 5
        await take(asked.node, large)
        assert await statuses(asked, {"limit": 4}, {"limit": 11}, {}) == [200, 503, 503]
