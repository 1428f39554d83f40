"""Whoever is not known yet, as it speaks over the wire of a `Town`; and what a node knows."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import trio

from postbox.mesh.wire import HELLO_PATH, NARA_SYNC_PATH, PING_PATH, SYNC_PATH
from postbox.net.asgi import JSON, Reply
from postbox.net.client import Answer, Client
from postbox.node import Node
from postbox.trust.hello import make_hello
from postbox.trust.keys import Identity
from postbox.trust.signatures import (
    request_headers,
    response_headers,
    sign_digest,
)
from postbox.trust.tables import KnownKey, WaitingName
from support.answer_digest import answer_digest
from support.mesh import NOW_NS
from support.town import Answers

ABOUT = {"version": "1", "modes": [], "url": "", "memory_mode": "short", "uptime_s": 1}


class Held(NamedTuple):
    """All that a node knows of others, to compare."""

    known: list[KnownKey]
    waiting: list[WaitingName]
    core: dict[str, list[bytes]]


def held(node: Node) -> Held:
    known = node.directory.all()
    core = {one.name: node.directory.keys.keys_of(one.name) for one in known}
    return Held(known, node.waiting.all(), core)


def sources(node: Node) -> dict[str, str]:
    return {one.name: str(one.source) for one in node.directory.all()}


def now_ns() -> int:
    """As all worlds of a simulation have it."""
    return NOW_NS + round(trio.current_time() * 1e9)


# -- as callers -----------------------------------------------------------------------------------


def hello_of(who: Identity, age_s: int = 0) -> bytes:
    return make_hello(who, now_ns() - age_s * 10**9)


async def greet(http: Client, url: str, body: bytes) -> Answer:
    return await _post(http, url + HELLO_PATH, body, {"content-type": JSON})


async def ask(http: Client, url: str, who: Identity, path: str = NARA_SYNC_PATH) -> Answer:
    """As a nara asks: it signs, and has introduced itself to nobody."""
    headers = request_headers(who, "POST", path, now_ns() // 10**6)
    body = json.dumps({"from": who.name, "mode": "recent", "services": None}).encode()
    return await _post(http, url + path, body, headers)


async def _post(http: Client, url: str, body: bytes, headers: dict[str, str]) -> Answer:
    return await http.request(
        "POST", url, body=body, headers=headers, max_body_bytes=2**20, deadline_s=60.0
    )


# -- as hosts -------------------------------------------------------------------------------------


def ping_of(who: Identity, **said: Any) -> Reply:
    """nara's own answer to `GET /ping`; with `postbox=ABOUT` that of a postbox."""
    fields = {"t": 1, "from": who.name, "public_key": who.public_key_base64, "mesh_ip": ""}
    return Reply(200, json.dumps(fields | said).encode(), JSON)


def sync_of(who: Identity, *events: bytes) -> Reply:
    """Both signatures are right."""
    ts_s = now_ns() // 10**9
    ids = [json.loads(event)["id"] for event in events]
    sig = sign_digest(who, answer_digest(who.name, ts_s, ids))
    head = json.dumps({"from": who.name, "ts": ts_s, "sig": sig}).encode()
    body = head[:-1] + b',"events":[' + b",".join(events) + b"]}\n"
    return Reply(200, body, JSON, response_headers(who, body, now_ns() // 10**6))


def postbox_of(who: Identity, *events: bytes) -> Answers:
    """An honest one, for `Canned`."""
    return {
        PING_PATH: ping_of(who, postbox=ABOUT),
        HELLO_PATH: lambda: Reply(200, hello_of(who), JSON),
        SYNC_PATH: lambda: sync_of(who, *events),
    }
