"""What one request may cost, held before any door sees it.

`bounded` wraps an ASGI app: a body that is too large is answered 413, one that comes too slowly
408, and the app is cancelled where it waits for more. hypercorn itself knows no such limits
(its own hold headers and idle connections: `server.py` sets them from the same `Limits`).
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
    """`app`, never given more than `limits` allows. WebSockets are refused: no door speaks them."""

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await _Exchange(receive, send, limits).run(app, scope)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})

    return run


class _Exchange:
    """One request and its answer, between hypercorn and the app."""

    def __init__(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, limits: Limits
    ) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._taken_bytes = 0
        self._complete = False
        self._answering = False
        self._refusal: int | None = None
        self._app_scope = trio.CancelScope()
        self._body_deadline = trio.current_time() + limits.body_s

    async def run(self, app: ASGIFramework, scope: HTTPScope) -> None:
        if _declared_bytes(scope) > self._limits.max_body_bytes:
            self._refusal = 413
        else:
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
            408: f"the request's body did not come within {self._limits.body_s:g} s\n",
            413: f"the request's body is larger than {self._limits.max_body_bytes} bytes\n",
        }[status].encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": text, "more_body": False})


def _declared_bytes(scope: HTTPScope) -> int:
    """The request's Content-Length, 0 without one. h11 and h2 have refused malformed ones."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    declared = headers.get(b"content-length", b"")
    return int(declared) if declared.isdigit() else 0
