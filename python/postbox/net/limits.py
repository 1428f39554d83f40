"""What a client may cost, and what one request may, held before any door sees it.

`bounded` wraps an ASGI app: a body that is too large is answered 413, one that comes too slowly
408, and the app is cancelled where it waits for more. A body in an encoding is answered 415, for
it could grow without bound when decoded; one whose length is told in two ways 400, for others may
read it otherwise; and a request too many 503. The other limits are held by `net/guard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )


SEND_BYTES = 256 * 2**10


@dataclass(frozen=True)
class Limits:
    """Defaults suit all three doors; a route may be stricter in its own code."""

    max_body_bytes: int = 4 * 2**20
    """Of a request. 5,000 events are 2.5 MB of JSON; nothing larger is ever asked or offered."""
    max_header_bytes: int = 16 * 2**10
    """Of a request line with its headers (HTTP/1.1), or of a header list (HTTP/2)."""
    max_streams: int = 1000
    """At once on one HTTP/2 connection: a host's gateway opens one a subscription."""
    body_s: float = 30.0
    """From the headers to the end of the body: 4 MiB at 140 kB/s."""
    handshake_s: float = 10.0
    """For TLS: two round trips, and a phone's slow arithmetic."""
    send_s: float = 30.0
    """In which a client takes a piece of an answer (SEND_BYTES); of several answers over one
    HTTP/2 connection each has its share of the wire, and so that much more time."""
    max_connections: int = 1000
    """At once, of all addresses together; unix sockets do not count."""
    max_connections_per_address: int = 100
    """Of IPv6 of a /64. A house of telephones is behind one address."""
    max_requests: int = 10_000
    """Under way at once, of all connections together: each has a task and some buffers, 20 KB."""
    idle_s: float = 15.0
    """A connection on which nothing is asked, a fresh one too. Above the client's 5 s, so that
    our own client never asks on a connection that is just being closed."""
    grace_s: float = 5.0
    """For requests under way when the server stops; `postbox serve` has 10 s in all."""


DEFAULT_LIMITS = Limits()

DRAIN_S = 1.0
"""How long a refused body is still read, so that the client gets to read its refusal instead of a
reset connection. At most as much as the limit is drained."""


def bounded(app: ASGIFramework, limits: Limits) -> ASGIFramework:
    """`app`, never given more than `limits` allows. It is told of requests alone."""
    under_way = 0

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal under_way
        if scope["type"] == "http":
            under_way += 1
            try:
                refusal = 503 if under_way > limits.max_requests else _refusal_of(scope, limits)
                await _Exchange(receive, send, limits, refusal).run(app, scope)
            finally:
                under_way -= 1

    return run


class _Exchange:
    """One request and its answer, between hypercorn and the app."""

    def __init__(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        limits: Limits,
        refusal: int | None,
    ) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._taken_bytes = 0
        self._complete = False
        self._answering = False
        self._refusal = refusal
        self._app_scope = trio.CancelScope()
        self._body_deadline = trio.current_time() + limits.body_s

    async def run(self, app: ASGIFramework, scope: HTTPScope) -> None:
        if self._refusal is None:
            with self._app_scope:
                await app(scope, self.receive, self.send)
        if self._refusal is not None and not self._answering:
            await self._drain()
            await self._refuse(self._refusal)

    async def receive(self) -> ASGIReceiveEvent:
        """What the app calls. It does not return once the request is refused."""
        event = await self._next()
        if event is None:
            await self._cancel_app(408)
        elif event["type"] == "http.request" and self._taken_bytes > self._limits.max_body_bytes:
            await self._cancel_app(413)
        else:
            return event
        raise AssertionError("unreachable: the app is cancelled")

    async def send(self, event: ASGISendEvent) -> None:
        self._answering = True
        await self._send(event)

    async def _next(self) -> ASGIReceiveEvent | None:
        """The next event, None if the body does not come in time. After the body there is no
        deadline: all that can follow is the client's going away."""
        if self._complete:
            return await self._receive()
        with trio.move_on_at(self._body_deadline):
            event = await self._receive()
            if event["type"] == "http.request":
                self._taken_bytes += len(event["body"])
                self._complete = not event["more_body"]
            else:
                self._complete = True
            return event
        return None

    async def _cancel_app(self, status: int) -> None:
        self._refusal = status
        self._app_scope.cancel()
        await trio.sleep_forever()

    async def _drain(self) -> None:
        enough = self._taken_bytes + self._limits.max_body_bytes
        with trio.move_on_after(DRAIN_S):
            while not self._complete and self._taken_bytes < enough:
                if await self._next() is None:
                    return

    async def _refuse(self, status: int) -> None:
        text = {
            400: "the length of the request's body is told in two ways\n",
            408: f"the request's body did not come within {self._limits.body_s:g} s\n",
            413: f"the request's body is larger than {self._limits.max_body_bytes} bytes\n",
            415: "send the request's body without a Content-Encoding\n",
            501: "this is no proxy\n",
            503: "too many requests are under way\n",
        }[status].encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
        ]
        if status == 400:  # what follows might be part of the body (RFC 9112, 6.1)
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text, "more_body": False})


def _refusal_of(scope: HTTPScope, limits: Limits) -> int | None:
    """The status that the headers alone deserve. h11 and h2 have refused malformed lengths."""
    if scope["method"] == "CONNECT":
        return 501
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    if length and b"transfer-encoding" in headers:
        return 400
    encodings = (value for name, value in scope["headers"] if name == b"content-encoding")
    if any(value.strip().lower() != b"identity" for value in encodings):
        return 415
    return 413 if length.isdigit() and int(length) > limits.max_body_bytes else None
