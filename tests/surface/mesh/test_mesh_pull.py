"""One node catches up with another over loopback; and with peers that lie."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.errors import Fault
from postbox.mesh.client import Peer, PeerFault, require_safe_url
from postbox.mesh.intake import Report
from postbox.mesh.pull import EndlessPages, Mode, pull
from postbox.net.client import open_client
from postbox.net.faults import BadAnswer, TooLarge, Unreachable
from postbox.node import Node
from postbox.trust.keys import Identity, identity_of
from postbox.trust.signatures import answer_digest, response_headers, sign_digest
from support.homes import Imported
from support.mesh import (
    ANN,
    BOB,
    MALLORY,
    NOW_NS,
    REACH,
    believe,
    digest,
    hey_there,
    node_at,
    pair_of,
    small_history,
    standings,
    stored,
    take,
    tease,
)

NOW_S, NOW_MS = NOW_NS // 10**9, NOW_NS // 10**6
SMALL = small_history(300)


async def pulled(node: Node, peer: Peer, mode: Mode = "page") -> tuple[Report, list[int]]:
    """The report, and the totals that progress had."""
    totals: list[int] = []
    report = await pull(peer, node.intake, mode, lambda so_far: totals.append(so_far.total))
    await node.settle()
    return report, totals


# -- of a good peer -------------------------------------------------------------------------------


async def test_a_pull_of_all_pages_ends_with_an_equal_ledger(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    async with pair_of(copy_of(imported), tmp_path / "client") as pair:
        report, totals = await pulled(pair.client, pair.peer)
        assert report == Report(imported=80_000)
        assert totals == list(range(5_000, 80_001, 5_000))
        assert digest(pair.client) == digest(pair.server) == imported.digest
        again, _ = await pulled(pair.client, pair.peer)
        assert again == Report(duplicates=80_000)
    async with node_at(tmp_path / "client") as client:
        assert digest(client) == imported.digest


async def test_samples_and_the_newest_are_taken_and_the_rest_is_made_up_by_pages(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, SMALL)
        recent, totals = await pulled(pair.client, pair.peer, "recent")
        assert (recent, totals) == (Report(imported=100), [100])
        sample, _ = await pulled(pair.client, pair.peer, "sample")
        assert sample == Report(imported=200, duplicates=100), "fewer than its size: all of them"
        pages, _ = await pulled(pair.client, pair.peer, "page")
        assert pages == Report(duplicates=300)
        assert digest(pair.client) == digest(pair.server)


async def test_an_empty_peer_has_nothing(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        for mode in ("page", "sample", "recent"):
            report, totals = await pulled(pair.client, pair.peer, mode)
            assert (report, totals) == (Report(), [0])


async def test_what_two_nodes_each_had_both_have_in_the_end(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, SMALL[:200])
        await take(pair.client, SMALL[100:])
        report, _ = await pulled(pair.client, pair.peer)
        assert report == Report(imported=100, duplicates=100)
        await take(pair.server, SMALL)
        assert digest(pair.client) == digest(pair.server)


async def test_a_peer_s_copy_that_is_attested_here_takes_the_place_of_hearsay(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await believe(pair.client, ANN)
        await take(pair.client, [tease(1, signer=None)])
        await take(pair.server, [tease(1)])
        assert await pulled(pair.client, pair.peer) == (Report(imported=1), [1])
        assert standings(pair.client) == (1, 0, 0)


async def test_names_in_a_peer_s_answer_are_admitted_and_known_ones_kept(tmp_path: Path) -> None:
    """The server believes another key of Bob's than the client does."""
    false_bob = identity_of("bob", b"false".ljust(32, b"."))
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, [hey_there(ANN), tease(1), hey_there(false_bob)])
        await believe(pair.client, BOB)
        report, _ = await pulled(pair.client, pair.peer)
        assert (report.imported, report.rejected) == (2, {"key_differs": 1})
        known = pair.client.directory
        assert known.key_of("ann") == ANN.public_key
        assert known.key_of("bob") == BOB.public_key
        assert standings(pair.client) == (2, 0, 0)


async def test_a_peer_that_does_not_know_us_is_named_with_what_its_operator_can_do(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await believe(pair.server, ANN)
        async with node_at(tmp_path / "stranger") as stranger:
            await believe(stranger, pair.server.identity)
            me = stranger.identity
            peer = Peer(stranger.world.clock, pair.http, me, stranger.directory, pair.url)
            with pytest.raises(PeerFault) as refused:
                await pull(peer, stranger.intake, "page", lambda _: None)
            assert "answered 401: 'Authentication failed: unknown sender" in str(refused.value)
            command = f"postbox trust add {me.name} {me.public_key_base64} --id {me.id}"
            assert command in str(refused.value)


async def test_a_peer_whose_key_we_do_not_know_is_not_believed(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, [tease(1)])
        async with node_at(tmp_path / "third") as third:
            await believe(pair.server, third.identity)
            peer = Peer(third.world.clock, pair.http, third.identity, third.directory, pair.url)
            with pytest.raises(PeerFault, match=r"can not be believed: .*unknown sender"):
                await pull(peer, third.intake, "page", lambda _: None)
            assert await stored(third) == []


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, open_client(node.world.net, reach=REACH) as http:
        peer = Peer(node.world.clock, http, node.identity, node.directory, "http://127.0.0.1:9")
        with pytest.raises(Unreachable):
            await pull(peer, node.intake, "page", lambda _: None)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:7433", "http://example.org", "http://100.64.0.1", "http://[fe80::1]"]
)
def test_plain_http_to_anywhere_else_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(PeerFault, match="over plain HTTP this version asks loopback"):
        require_safe_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:7433"])
def test_loopback_may_be_asked_in_plain_http(url: str) -> None:
    require_safe_url(url)


# -- of a peer that lies --------------------------------------------------------------------------


Reply = tuple[int, dict[str, str], bytes]
Answering = Callable[["Liar", dict[str, Any]], Reply]
Ask = Callable[[], Awaitable[tuple[Report, list[int]]]]


@dataclass
class Liar:
    """A server on a real socket that knows HTTP and signing, and answers as it likes."""

    answering: Answering
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def talk(self, stream: trio.abc.Stream) -> None:
        async with stream:
            data = bytearray()
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some()
            head, _, body = bytes(data).partition(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            while len(body) < length:
                body += await stream.receive_some()
            request = json.loads(body)
            self.asked.append(request)
            status, headers, answer = self.answering(self, request)
            headers = {"Content-Length": str(len(answer)), "Connection": "close"} | headers
            lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
            await stream.send_all(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + answer)


def content_of(
    events: list[bytes],
    sender: Identity = BOB,
    ts: int = NOW_S,
    signer: Identity | None = None,
    cursor: str | None = None,
    ids: list[str] | None = None,
) -> bytes:
    """An answer's body, by default as an honest Bob would give it."""
    if ids is None:
        ids = [json.loads(event)["id"] for event in events]
    signature = sign_digest(signer or sender, answer_digest(sender.name, ts, ids))
    more = b"" if cursor is None else b',"next_cursor":' + json.dumps(cursor).encode()
    listed = b"[" + b",".join(events) + b"]"
    return (
        b'{"from":"%s","events":%s,"ts":%d,"sig":"%s"'
        % (sender.name.encode(), listed, ts, signature.encode())
        + more
        + b"}\n"
    )


def signed(body: bytes, by: Identity = BOB, at_ms: int = NOW_MS) -> Reply:
    return 200, response_headers(by, body, at_ms), body


@asynccontextmanager
async def asking(home: Path, answering: Answering) -> AsyncIterator[tuple[Node, Ask, Liar]]:
    """A node that knows Ann and Bob and asks the liar, who says that he is Bob."""
    liar = Liar(answering)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, liar.talk, listeners))
        port = listeners[0].socket.getsockname()[1]
        async with node_at(home) as node, open_client(node.world.net, reach=REACH) as http:
            await believe(node, ANN, BOB)
            url = f"http://127.0.0.1:{port}"
            peer = Peer(node.world.clock, http, node.identity, node.directory, url)
            yield node, lambda: pulled(node, peer), liar
        nursery.cancel_scope.cancel()


GOOD = [tease(2), tease(1)]
LATER_BOB = identity_of("bob", b"later".ljust(32, b"."))
WITHOUT_ID = tease(1).replace(b'"id":', b'"x":')


def honest(events: list[bytes], **how: Any) -> Answering:
    return lambda _liar, _request: signed(content_of(events, **how))


def tampered(_liar: Liar, _request: dict[str, Any]) -> Reply:
    status, headers, body = signed(content_of(GOOD))
    return status, headers, body.replace(b"random", b"comebk")


def unsigned(_liar: Liar, _request: dict[str, Any]) -> Reply:
    return 200, {}, content_of(GOOD)


def plainly(status: int, body: bytes) -> Answering:
    return lambda _liar, _request: (status, {"Content-Type": "text/plain"}, body)


def outside(**how: Any) -> Answering:
    return lambda _liar, _request: signed(content_of(GOOD), **how)


LIES: dict[str, tuple[Answering, type[Fault], str]] = {
    "no header signature": (unsigned, PeerFault, "missing auth headers"),
    "a header signature by another key": (
        outside(by=LATER_BOB),
        PeerFault,
        "signature verification failed",
    ),
    "a header signature of a stranger": (outside(by=MALLORY), PeerFault, "unknown sender: mallory"),
    "headers of a minute ago": (outside(at_ms=NOW_MS - 60_000), PeerFault, "too old or in future"),
    "a body changed on the way": (tampered, PeerFault, "signature verification failed"),
    "another peer's name inside": (
        honest(GOOD, sender=ANN),
        PeerFault,
        "signed by bob and says it is from 'ann'",
    ),
    "another peer's signature inside": (
        honest(GOOD, signer=ANN),
        PeerFault,
        "signature inside does not fit",
    ),
    "a signature inside over other events": (
        honest(GOOD, ids=[json.loads(GOOD[0])["id"]]),
        PeerFault,
        "signature inside does not fit",
    ),
    "a signature inside over another order": (
        honest(GOOD, ids=[json.loads(event)["id"] for event in reversed(GOOD)]),
        PeerFault,
        "signature inside does not fit",
    ),
    "a time inside of an hour ago": (honest(GOOD, ts=NOW_S - 3_600), PeerFault, "time is off"),
    "a time inside of an hour ahead": (honest(GOOD, ts=NOW_S + 3_600), PeerFault, "time is off"),
    "an event that is no JSON object": (honest([*GOOD, b"5"], ids=[]), PeerFault, "no objects"),
    "an event whose id is no text": (
        honest([*GOOD, tease(1).replace(b'"id":"', b'"id":5,"x":"')], ids=[]),
        PeerFault,
        "with an id of text",
    ),
    "a 401": (plainly(401, b"unknown sender"), PeerFault, "answered 401: 'unknown sender'. If it"),
    "a 500": (plainly(500, b"oh no"), PeerFault, "answered 500: 'oh no'"),
    "a 404 of a page": (plainly(404, b"<html>" * 1_000), PeerFault, "answered 404: '<html>"),
    "a redirect": (plainly(307, b""), PeerFault, "answered 307"),
    "signed nonsense": (
        lambda _liar, _request: signed(b"<html>"),
        PeerFault,
        "the answer is none to a sync request",
    ),
    "signed JSON of something else": (
        lambda _liar, _request: signed(b'{"ok":true}'),
        PeerFault,
        "the answer is none to a sync request",
    ),
    "more than anyone has to take": (
        lambda _liar, _request: (200, {"Content-Length": "99999999999"}, b""),
        TooLarge,
        "more than 20971520",
    ),
    "no HTTP": (
        lambda _liar, _request: (200, {"Bad\x00Name": "x"}, b""),
        BadAnswer,
        "illegal header",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_ends_the_pull_with_its_name_and_nothing_is_stored(
    tmp_path: Path, lie: str
) -> None:
    answering, kind, text = LIES[lie]
    async with asking(tmp_path, answering) as (node, ask, liar):
        head = node.tail.head
        with pytest.raises(kind) as told:
            await ask()
        assert text in str(told.value)
        assert len(liar.asked) == 1, "a lie is not asked about again"
        assert (node.tail.head, await stored(node)) == (head, [])


@pytest.mark.parametrize(
    ("bad", "claimed", "verdict"),
    [
        (WITHOUT_ID, "", "missing"),
        (tease(9).replace(b'"ts":', b'"ts":1,"ts":'), None, "duplicate_key"),
        (tease(9).replace(b"{", b'{"x":' + b"[" * 99 + b"]" * 99 + b",", 1), None, "too_deep"),
        (tease(9).replace(b"{", b'{"x":"' + b"x" * 65_536 + b'",', 1), None, "too_large"),
    ],
)
async def test_an_event_that_is_refused_at_sight_does_not_spoil_its_answer(
    tmp_path: Path, bad: bytes, claimed: str | None, verdict: str
) -> None:
    ids = [json.loads(event)["id"] for event in GOOD]
    ids.insert(1, json.loads(bad)["id"] if claimed is None else claimed)
    answer = honest([GOOD[0], bad, GOOD[1]], ids=ids)
    async with asking(tmp_path, answer) as (node, ask, _liar):
        report, _ = await ask()
        assert report.rejected == {verdict: 1}
        assert [entry.body for entry in await stored(node)] == GOOD


async def test_the_liar_s_honest_answer_is_believed(tmp_path: Path) -> None:
    """So that the lies above fail for what is wrong with them."""
    async with asking(tmp_path, honest(GOOD)) as (node, ask, liar):
        assert await ask() == (Report(imported=2), [2])
        assert [entry.body for entry in await stored(node)] == GOOD
        me = node.identity.name
        assert liar.asked == [{"from": me, "mode": "page", "page_size": 5_000}]


async def test_an_answer_s_time_may_be_five_minutes_off(tmp_path: Path) -> None:
    async with asking(tmp_path, honest(GOOD, ts=NOW_S - 300)) as (_, ask, _liar):
        assert await ask() == (Report(imported=2), [2])


async def test_a_tampered_event_in_a_well_signed_answer_is_refused_alone(tmp_path: Path) -> None:
    """The peer signs ids, so that it can change what stands under one: the id tells."""
    bad = [GOOD[0].replace(b"random", b"comebk"), tease(3, signer=LATER_BOB)]
    async with asking(tmp_path, honest([tease(4), *bad, tease(5)])) as (node, ask, _liar):
        report, _ = await ask()
        assert report.rejected == {"id_mismatch": 1, "bad_signature": 1}
        assert [entry.body for entry in await stored(node)] == [tease(4), tease(5)]


def cursors(*given: str | None, events: bool = True) -> Answering:
    """Pages with these cursors, then with the last of them for ever."""

    def answering(liar: Liar, _request: dict[str, Any]) -> Reply:
        number = len(liar.asked)
        cursor = given[min(number, len(given)) - 1]
        page = [tease(1_000 - number)] if events else []
        return signed(content_of(page, cursor=cursor))

    return answering


@pytest.mark.parametrize(
    ("given", "pages", "why"),
    [
        (["7", "7"], 2, "does not go forward"),
        (["7", "6"], 2, "does not go forward"),
        (["7", "8", "7"], 3, "does not go forward"),
        (["7", f"7.{'0' * 32}"], 2, "does not go forward"),
        ([f"7.{'b' * 32}", f"7.{'a' * 32}"], 2, "does not go forward"),
        (["7", "next please"], 2, "which is none"),
        (["-1"], 1, "which is none"),
        (["9" * 30], 1, "which is none"),
    ],
)
async def test_cursors_that_do_not_go_forward_end_the_pull(
    tmp_path: Path, given: list[str], pages: int, why: str
) -> None:
    async with asking(tmp_path, cursors(*given)) as (node, ask, liar):
        with pytest.raises(EndlessPages, match=f"{why}: .*What came before was taken"):
            await ask()
        assert len(liar.asked) == pages
        assert len(await stored(node)) == pages, "all that came in pages that were good"


async def test_ever_new_cursors_without_events_end_the_pull(tmp_path: Path) -> None:
    given = [str(number) for number in range(1_000)]
    async with asking(tmp_path, cursors(*given, events=False)) as (_, ask, liar):
        with pytest.raises(EndlessPages, match="after a page without events"):
            await ask()
        assert len(liar.asked) == 1


async def test_cursors_inside_a_tie_and_after_it_go_forward(tmp_path: Path) -> None:
    given = ["7", f"8.{'a' * 32}", f"8.{'b' * 32}", "8", "9", None]
    async with asking(tmp_path, cursors(*given)) as (_, ask, liar):
        report, _ = await ask()
        assert report == Report(imported=6)
        assert [request.get("cursor") for request in liar.asked] == [None, *given[:-1]]


async def test_what_came_before_a_lie_stays(tmp_path: Path) -> None:
    def answering(liar: Liar, request: dict[str, Any]) -> Reply:
        first = len(liar.asked) == 1
        return honest(GOOD, cursor="7")(liar, request) if first else unsigned(liar, request)

    async with asking(tmp_path, answering) as (node, ask, _):
        with pytest.raises(PeerFault):
            await ask()
        assert [entry.body for entry in await stored(node)] == GOOD


async def test_a_peer_that_breaks_off_is_named(tmp_path: Path) -> None:
    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, talk, listeners))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with node_at(tmp_path) as node, open_client(node.world.net, reach=REACH) as http:
            peer = Peer(node.world.clock, http, node.identity, node.directory, url)
            with pytest.raises(Unreachable):
                await pull(peer, node.intake, "page", lambda _: None)
        nursery.cancel_scope.cancel()
