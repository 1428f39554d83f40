"""What the pages of a browser need: leave to call another origin than their own, and a stream in a
form that every page can read (server-sent events; WHATWG HTML, 9.2).

Such a stream is asked for by the JSON of a SyncFromServerRequest with `accept: text/event-stream`.
Each frame is an event: `data` is its JSON, `id` its resume token, and who comes back says the last
one in the header `last-event-id`. What ends a stream is an event `error`, with the code and the
text of any other refusal. Pages are let in by the origins that the operator names; there are no
cookies, so a page that has no token has nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from connectrpc.code import Code

from postbox.clients import wire
from postbox.clients.serving.codecs import Request, request_in_json
from postbox.clients.serving.replies import METADATA, OK, Refusal, refusal
from postbox.clients.serving.requests import ACCEPT, HEADERS, LAST_EVENT_ID, Asking, asking_in
from postbox.metrics import Metrics
from postbox.net.asgi import JSON as JSON_TYPE
from postbox.net.asgi import Reply, discard_body, headers_of, read_body, send_reply, text
from postbox.rpc.codecs import to_tree
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

    Receive: TypeAlias = ASGIReceiveCallable
    Send: TypeAlias = ASGISendCallable
    Headers: TypeAlias = list[tuple[bytes, bytes]]

EVENT_STREAM: Final = "text/event-stream"
ANY: Final = "*"
"""In place of an origin: pages of all of them."""

MAX_AGE_S = 7_200
"""For which a browser believes what it may do: the most that browsers take."""

_RESUME_TOKEN = 2  # of SyncFromServerRequest in proto/postbox/v1/clients.proto

_STATUS: Final = {
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.INVALID_ARGUMENT: 400,
    Code.ABORTED: 409,
    Code.UNAVAILABLE: 503,
}
"""As Connect has it; what is not here is 500."""

_ASKED_WITH: Final = (
    *(name.decode() for name in HEADERS),
    "connect-timeout-ms",
    "grpc-timeout",
    "x-grpc-web",
    "x-user-agent",
)
"""Headers that a page may send: those that are looked at, and what its library for Connect or
gRPC-Web adds to each request."""

_HEADERS: Headers = [
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep frames until it has many
]


class EventStream:
    """An ASGI app for the path of SyncFromServer, in front of the one for all other protocols."""

    def __init__(
        self,
        frames: Callable[[Request, Asking], AsyncGenerator[bytes]],
        otherwise: ASGIFramework,
        metrics: Metrics,
    ) -> None:
        self._frames = frames
        self._otherwise = otherwise
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        headers = headers_of(scope)
        if EVENT_STREAM not in headers.get(ACCEPT, ""):
            await self._otherwise(scope, receive, send)
            return
        body = await read_body(receive) or b""
        events = self._events(body, headers, asking_in(scope, headers))
        async with aclosing(events):
            await _send_all(events, send)

    async def _events(
        self, body: bytes, headers: dict[str, str], asked: Asking
    ) -> AsyncGenerator[bytes | Refusal]:
        """The last one may be a refusal."""
        told = None
        try:
            request = partial(_request, body, headers)
            async with aclosing(self._frames(request, asked)) as frames:
                async for frame in frames:
                    yield event_of(frame)
        except Exception as error:
            told = refusal(error)
            yield told
        self._metrics.client_request(wire.SYNC_FROM_SERVER, told.name if told else OK)


async def _send_all(events: AsyncGenerator[bytes | Refusal], send: Send) -> None:
    has_begun = False
    async for event in events:
        if isinstance(event, Refusal):
            if not has_begun:
                await send_reply(send, _reply(event))
                return
            event = b"event: error\ndata: %b\n\n" % _said(event)
        if not has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            has_begun = True
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_of(frame: bytes) -> bytes:
    """A frame as a server-sent event. Without a token it leaves the page's as it was."""
    event = pb.Event.from_binary(frame)
    token = f"id: {event.resumeToken}\n".encode() if event.resumeToken else b""
    return b"%bdata: %b\n\n" % (token, msgspec.json.encode(to_tree(event)))


def _request(body: bytes, headers: dict[str, str]) -> bytes:
    """A SyncFromServerRequest; the header says what is newer than the page's own text."""
    message = request_in_json(body or b"{}", pb.SyncFromServerRequest)
    token = headers.get(LAST_EVENT_ID, "")
    return message + bytes_field(_RESUME_TOKEN, token.encode()) if token else message


def _reply(told: Refusal) -> Reply:
    return Reply(_STATUS.get(told.code, 500), _said(told), JSON_TYPE, told.metadata)


def _said(told: Refusal) -> bytes:
    """As an error of Connect's."""
    return msgspec.json.encode({"code": told.code.value, "message": told.line})


class Cors:
    """An ASGI app in front of all others (WHATWG Fetch, 3.2). A page of another origin than those
    named is told nothing that its browser would let it read."""

    def __init__(self, app: ASGIFramework, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin")
        if origin is None or scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await discard_body(receive)
            await send_reply(send, self._preflight(origin))
        else:
            await self._app(scope, receive, self._allowing(origin, send))

    def _preflight(self, origin: bytes) -> Reply:
        if not self._is_named(origin):
            return text(403, "pages of this origin are not let in: clients.origins names those")
        return Reply(
            204,
            b"",
            headers={
                "access-control-allow-origin": origin.decode("latin-1"),
                "access-control-allow-methods": "POST",
                "access-control-allow-headers": ", ".join(_ASKED_WITH),
                "access-control-max-age": str(MAX_AGE_S),
                "vary": "origin",
            },
        )

    def _allowing(self, origin: bytes, send: Send) -> Send:
        if not self._is_named(origin):
            return send

        async def send_allowed(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], *_allowed(origin)]
            await send(event)

        return send_allowed

    def _is_named(self, origin: bytes) -> bool:
        return ANY in self._origins or origin.decode("latin-1") in self._origins


def _allowed(origin: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"access-control-allow-origin", origin
    yield b"access-control-expose-headers", ", ".join(METADATA).encode()
    yield b"vary", b"origin"
