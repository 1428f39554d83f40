"""What our server and our client really send, held against what a nara 0.2.0 sent: its requests and
answers, made by its own code with known keys at known times, are in `data/nara/vectors.json`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.mesh.wire import NARA_SYNC_PATH, PING_PATH, SYNC_PATH, SyncRequest
from postbox.net.asgi import JSON, Reply, headers_of, read_body, send_reply
from postbox.net.client import Answer
from postbox.net.server import TcpAddress, serve
from postbox.node import Node
from postbox.trust.keyfile import FILE_NAME
from postbox.trust.keys import Identity, identity_of
from postbox.trust.signatures import response_headers, sign_digest
from support.answer_digest import answer_digest
from support.asking import parsed, request_bytes, spoken
from support.mesh import (
    NARA,
    NOW_NS,
    believe,
    fixed_world,
    mesh_of,
    node_at,
    serving,
    take,
)

VECTORS = json.loads((NARA / "vectors.json").read_bytes())
ALICE, BOB = (identity_of(one["name"], bytes.fromhex(one["seed"])) for one in VECTORS["identities"])
ASKED_MS = 1768780001234
ANSWERED_MS = 1768780001500
EMPTY = VECTORS["empty_response_json"].encode() + b"\n"
GO_REQUEST = (
    b'{"from":"bob","services":null,"subjects":null,"mode":"page","page_size":5000,"cursor":""}\n'
)


def put_key(home: Path, who: Identity) -> None:
    home.mkdir()
    (home / FILE_NAME).write_text(json.dumps({"name": who.name, "soul": who.soul_text}))
    (home / FILE_NAME).chmod(0o600)


@asynccontextmanager
async def node_of(home: Path, who: Identity, at_ms: int) -> AsyncIterator[Node]:
    """A node that has this nara's soul, at that time."""
    put_key(home, who)
    async with node_at(home, world=fixed_world(at_ms * 10**6)) as node:
        await believe(node, ALICE, BOB)
        yield node


async def ask_as_go(url: str) -> Answer:
    """Bob's golden request, byte for byte: Go's spelling of headers, its chunks and its nulls."""
    headers = [
        ("User-Agent", "Go-http-client/1.1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "application/json"),
        ("X-Nara-Name", "bob"),
        ("X-Nara-Signature", VECTORS["mesh_request"]["sig"]),
        ("X-Nara-Timestamp", str(ASKED_MS)),
        ("Accept-Encoding", "gzip"),
    ]
    pieces = (GO_REQUEST[at : at + 1] for at in range(len(GO_REQUEST)))
    chunked = b"".join(b"1\r\n" + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    head = request_bytes(headers, path=NARA_SYNC_PATH).replace(b"Content-Length: 0\r\n", b"")
    return parsed(await spoken(url, head + chunked))


async def test_a_naras_golden_request_gets_a_naras_golden_answer(tmp_path: Path) -> None:
    """Of a node without events: all of it is the same, byte for byte."""
    async with node_of(tmp_path / "alice", ALICE, ANSWERED_MS) as node, serving(node) as url:
        answer = await ask_as_go(url)
    assert (answer.status, answer.body) == (200, EMPTY)
    proof = response_headers(ALICE, EMPTY, ANSWERED_MS)
    assert {name: answer.headers[name.lower()] for name in proof} == proof


async def test_a_naras_events_are_served_as_it_made_them_and_signed_as_it_signs(
    tmp_path: Path,
) -> None:
    """All but the oldest of its six pings, of which five are kept."""
    made = [json.dumps(event, separators=(",", ":")).encode() for event in VECTORS["events"]]
    kept = [event for event in VECTORS["events"] if event != VECTORS["events"][2]]
    async with node_of(tmp_path / "alice", ALICE, ANSWERED_MS) as node:
        assert (await take(node, made)).imported == len(made)
        async with serving(node) as url:
            content = json.loads((await ask_as_go(url)).body)
    ts = VECTORS["sync_response"]["ts"]
    digest = answer_digest("alice", ts, [event["id"] for event in kept])
    assert content == {
        "from": "alice",
        "events": kept,
        "ts": ts,
        "sig": sign_digest(ALICE, digest),
    }


def test_the_signatures_around_and_inside_an_answer_are_a_naras() -> None:
    """What `response_headers` and `sign_digest` make is what the answers above are held against."""
    around, inside = VECTORS["mesh_response"], VECTORS["sync_response"]
    sent = response_headers(ALICE, around["body"].encode(), ANSWERED_MS)
    assert sent["X-Nara-Signature"] == around["sig"]
    ids = [event["id"] for event in VECTORS["events"]]
    assert sign_digest(ALICE, answer_digest("alice", inside["ts"], ids)) == inside["sig"]


class Nara:
    """A peer that answers as the golden alice did, and keeps the sync requests that it got."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        body = await read_body(receive)
        if scope["path"] == PING_PATH:
            ping = {"from": "alice", "t": 0, "public_key": ALICE.public_key_base64, "mesh_ip": ""}
            await send_reply(send, Reply(200, json.dumps(ping).encode(), JSON))
            return
        assert body is not None
        self.asked.append((scope["method"], scope["path"], headers_of(scope), body))
        proof = response_headers(ALICE, EMPTY, ANSWERED_MS)
        await send_reply(send, Reply(200, EMPTY, JSON, proof))


async def test_the_client_asks_a_nara_with_the_golden_request_and_believes_its_answer(
    tmp_path: Path,
) -> None:
    nara, stop = Nara(), trio.Event()
    run = partial(serve, fixed_world(NOW_NS), nara, TcpAddress("127.0.0.1", 0), stop=stop)
    async with (
        node_of(tmp_path / "bob", BOB, ASKED_MS) as node,
        trio.open_nursery() as nursery,
        mesh_of(node) as mesh,
    ):
        peer = mesh.peer(await nursery.start(run))
        heard = await peer.ask(SyncRequest(mode="page", page_size=5_000), node.intake)
        stop.set()
    assert (heard.peer, len(heard.batch), heard.next_cursor) == ("alice", 0, None)
    [(method, path, headers, body)] = nara.asked
    assert f"bob{ASKED_MS}{method}{path}" == VECTORS["mesh_request"]["message"]
    assert headers["x-nara-name"] == "bob"
    assert headers["x-nara-timestamp"] == str(ASKED_MS)
    assert headers["x-nara-signature"] == VECTORS["mesh_request"]["sig"]
    assert body == (
        b'{"from":"bob","services":null,"subjects":null,"mode":"page","page_size":5000}'
    )


async def test_the_golden_request_does_not_open_the_other_path(tmp_path: Path) -> None:
    async with node_of(tmp_path / "alice", ALICE, ANSWERED_MS) as node, serving(node) as url:
        headers = [
            ("X-Nara-Name", "bob"),
            ("X-Nara-Signature", VECTORS["mesh_request"]["sig"]),
            ("X-Nara-Timestamp", str(ASKED_MS)),
        ]
        answer = parsed(await spoken(url, request_bytes(headers, GO_REQUEST, path=SYNC_PATH)))
    assert (answer.status, answer.body) == (
        401,
        b"Authentication failed: signature verification failed\n",
    )
