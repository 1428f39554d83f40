"""Whoever asks a serving node: as the mesh's client library does, and byte by byte."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio
from nacl.signing import VerifyKey

from postbox.mesh.door import Mesh
from postbox.mesh.wire import SYNC_PATH
from postbox.net.client import Answer, Client, open_client
from postbox.net.limits import DEFAULT_LIMITS, Limits
from postbox.node import Node
from postbox.trust.keys import Identity
from postbox.trust.signatures import request_headers
from postbox.world import World
from support.mesh import ANN, NOW_NS, Wrap, believe, fixed_world, node_at, serving_mesh, take
from support.serving import REACH

NOW_MS = NOW_NS // 10**6
BODY = b'{"from":"ann","mode":"recent"}'
PATIENCE_S = 60.0


@dataclass
class Clock:
    """The wall stands still; what has passed is told by the test."""

    passed_s: float = 0.0
    at_ns: int = NOW_NS

    def now_ns(self) -> int:
        return self.at_ns

    def elapsed_s(self) -> float:
        return self.passed_s


@dataclass
class Asked:
    """A node that serves, and a caller that it knows as Ann."""

    node: Node
    url: str
    http: Client
    mesh: Mesh
    """The node's door."""

    async def raw(
        self,
        body: bytes,
        headers: Mapping[str, str],
        method: str = "POST",
        path: str = SYNC_PATH,
    ) -> Answer:
        return await self.http.request(
            method,
            self.url + path,
            body=body,
            headers=headers,
            max_body_bytes=64 * 2**20,
            deadline_s=PATIENCE_S,
        )

    async def ask(self, path: str = SYNC_PATH, **fields: Any) -> dict[str, Any]:
        """A request of Ann's, whose answer is checked as a stranger would check it."""
        body = json.dumps({"from": "ann", **fields}).encode()
        answer = await self.raw(body, signed(ANN, path=path), path=path)
        assert answer.status == 200, answer.body[:200]
        assert answer.headers["content-type"] == "application/json"
        return checked(answer, self.node.identity)

    async def events(self, **fields: Any) -> list[str]:
        """The ids of the answer, in its order."""
        return [event["id"] for event in (await self.ask(**fields))["events"] or ()]


@asynccontextmanager
async def asking(
    home: Path,
    events: Sequence[bytes] = (),
    *,
    limits: Limits = DEFAULT_LIMITS,
    wrap: Wrap = lambda app: app,
    world: World | None = None,
    **config: Any,
) -> AsyncIterator[Asked]:
    """`config`: as `config_of` takes it."""
    async with node_at(home, world=world, **config) as node:
        await believe(node, ANN)
        await take(node, events)
        async with (
            serving_mesh(node, limits, wrap) as (url, mesh),
            open_client(fixed_world().net, reach=REACH) as http,
        ):
            yield Asked(node, url, http, mesh)


def signed(
    who: Identity, at_ms: int = NOW_MS, method: str = "POST", path: str = SYNC_PATH
) -> dict[str, str]:
    return request_headers(who, method, path, at_ms)


# -- checking, with PyNaCl and hashlib alone, from the words of the specification -----------------


def checked(answer: Answer, by: Identity) -> dict[str, Any]:
    """The content of an answer in JSON, after both signatures were checked."""
    check_headers(answer, by)
    content: dict[str, Any] = json.loads(answer.body)
    check_inside(content, [event["id"] for event in content["events"] or ()], by)
    assert answer.body.endswith(b"}\n")
    return content


def check_headers(answer: Answer, by: Identity, at_ms: int = NOW_MS) -> None:
    name, ts = answer.headers["x-nara-name"], answer.headers["x-nara-timestamp"]
    assert (name, ts) == (by.name, str(at_ms))
    body_hash = base64.b64encode(hashlib.sha256(answer.body).digest()).decode()
    signature = base64.b64decode(answer.headers["x-nara-signature"])
    VerifyKey(by.public_key).verify(f"{name}{ts}{body_hash}".encode(), signature)


def check_inside(content: Mapping[str, Any], ids: Sequence[str], by: Identity) -> None:
    head = f"{content['from']}:{content['ts']}:"
    digest = hashlib.sha256((head + "".join(ids)).encode()).digest()
    VerifyKey(by.public_key).verify(digest, base64.b64decode(content["sig"]))
    assert (content["from"], content["ts"]) == (by.name, NOW_NS // 10**9)


# -- byte by byte ---------------------------------------------------------------------------------


def request_bytes(
    headers: Sequence[tuple[str, str | bytes]] = (),
    body: bytes = b"",
    method: str = "POST",
    path: str = SYNC_PATH,
) -> bytes:
    """With a Host, a Content-Length and a Connection that ends, unless they are among `headers`."""
    given = {name.lower() for name, _ in headers}
    ours = {"Host": "x", "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1".encode()]
    for name, value in (
        *((name, value) for name, value in ours.items() if name.lower() not in given),
        *headers,
    ):
        value_bytes = value if isinstance(value, bytes) else value.encode()
        lines.append(name.encode() + b": " + value_bytes)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def connect(url: str) -> trio.SocketStream:
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return await trio.open_tcp_stream(where.hostname, where.port)


async def spoken(url: str, request: bytes) -> bytes:
    """All that is answered until the server ends the connection."""
    async with await connect(url) as stream:
        with trio.fail_after(PATIENCE_S):
            with suppress(trio.BrokenResourceError):  # of a request that nobody reads to its end
                await stream.send_all(request)
            return await read_to_end(stream)


async def read_to_end(stream: trio.SocketStream) -> bytes:
    answer = bytearray()
    async for part in stream:
        answer += part
    return bytes(answer)


def parsed(answer: bytes) -> Answer:
    """An answer to one request on a connection of its own."""
    head, end, body = answer.partition(b"\r\n\r\n")
    assert end, answer[:200]
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body)
