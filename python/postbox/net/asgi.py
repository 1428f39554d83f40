"""Bare ASGI in values: a request's headers and body, an answer as one `Reply`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

DISCARD_S = 1.0
DISCARD_BYTES = 256 * 2**10
"""What is still read of a body whose request was refused by its headers: a client that is in the
midst of sending would else find its connection reset, and not its refusal."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


def text(status: int, line: str, **headers: str) -> Reply:
    return Reply(status, line.encode() + b"\n", TEXT, headers)


def headers_of(scope: HTTPScope) -> dict[str, str]:
    """Names in lower case, repeated ones joined by a comma (RFC 9110, 5.3), as the client does:
    whichever of two somebody else looked at, we did not look at the other one alone. Names of
    nodes may hold any letter, so values are read as UTF-8."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("ascii"), raw_value.decode("utf-8", "surrogateescape")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def address_of(scope: HTTPScope) -> str | None:
    """The caller's address as a literal; None for a unix socket."""
    client = scope["client"]
    return None if client is None else str(client[0])


def routed(doors: Iterable[tuple[str, ASGIFramework]], otherwise: ASGIFramework) -> ASGIFramework:
    """The apps of several doors as one: each has the paths that begin with its own word, as they
    were sent."""
    apps = [(prefix.encode(), app) for prefix, app in doors]

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        path = scope["raw_path"] if scope["type"] == "http" else b""
        found = (app for prefix, app in apps if path.startswith(prefix))
        await next(found, otherwise)(scope, receive, send)

    return run


async def read_body(receive: ASGIReceiveCallable, enough_bytes: float = math.inf) -> bytes | None:
    """All of it, or None if the client went away; of a body that has more than `enough_bytes` a
    part that has more, too. `net.limits` bounds its size and its time."""
    body = bytearray()
    while len(body) <= enough_bytes:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event["body"]
        if not event["more_body"]:
            break
    return bytes(body)


async def discard_body(receive: ASGIReceiveCallable) -> None:
    """Before a refusal that needs no body."""
    seen_bytes = 0
    with trio.move_on_after(DISCARD_S):
        while seen_bytes < DISCARD_BYTES:
            event = await receive()
            if event["type"] != "http.request" or not event["more_body"]:
                return
            seen_bytes += len(event["body"])


async def send_reply(send: ASGISendCallable, reply: Reply, *, head: bool = False) -> None:
    """`head`: the request was HEAD, whose answer has headers alone."""
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    body = b"" if head else reply.body
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
