"""HTTP in front of `connectrpc`: what of a request it is given to see.

Of headers it gets those that a door names, and of bodies only whole ones. A deadline that a caller
names is left out: who gives up resets its stream, and virtual time has no other clock. Of what it
answers nothing is said of compression, of which there is none; and a content type that it does not
speak is refused in words, with those that are spoken on that path. Plain HTTP
is for where the wire itself is secure (`Reach.is_home`), since whoever can change what is on it
could do so to keys and tokens; where a request over TLS comes from proves nothing, and is not
asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from postbox.net.addresses import Reach
from postbox.net.asgi import Reply, address_of, discard_body, send_reply, text
from postbox.net.rates import AtOnce, TooMany

if TYPE_CHECKING:
    from connectrpc.request import RequestContext
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

    Receive: TypeAlias = ASGIReceiveCallable
    Send: TypeAlias = ASGISendCallable

HEADERS: Final = (
    b"content-type",
    b"content-encoding",
    b"connect-protocol-version",
    b"connect-content-encoding",
    b"grpc-encoding",
)
"""That choose a codec."""

_GRPC: Final = tuple(
    f"application/grpc{web}{codec}" for web in ("", "-web") for codec in ("", "+proto", "+json")
)
TYPES: Final = ("application/json", "application/proto", *_GRPC)
TYPES_OF_STREAMS: Final = ("application/connect+json", "application/connect+proto", *_GRPC)
"""Of requests that have one answer, and of those that have a stream of them."""

_OF_COMPRESSION: Final = (b"content-encoding", b"vary")


@dataclass(frozen=True)
class Bounds:
    """What one request may be, and how many large ones there may be at once: their bodies are in
    memory before it is known who sent them. Small ones cost as much as headers."""

    max_bytes: int
    small_bytes: int
    large_of_address: int
    large_at_once: int
    headers: tuple[bytes, ...] = HEADERS


class Requests:
    """An ASGI app in front of those of the services, one a path."""

    def __init__(
        self,
        services: Mapping[str, ASGIFramework],
        reach: Reach,
        bounds: Bounds,
        *,
        streams: Collection[str],
        who: str,
        plain_http: str,
    ) -> None:
        """`streams`: the paths that answer with one. `who` answers here, and why it does not do so
        over plain HTTP, for those who are told."""
        self._services = services
        self._streams = streams
        self._reach = reach
        self._bounds = bounds
        self._large = AtOnce(bounds.large_of_address, bounds.large_at_once)
        self._who = who
        self._plain_http = plain_http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            with ExitStack() as places:
                service, body = await self._request(scope, receive, places)
                tell = self._told(scope, send)
                await service(self._narrowed(scope), _Replay(body, receive), tell)
        except _Refused as refused:
            await send_reply(send, refused.reply)

    async def _request(
        self, scope: HTTPScope, receive: Receive, places: ExitStack
    ) -> tuple[ASGIFramework, bytes]:
        refusal = self._refusal(scope)
        if refusal is not None:
            await discard_body(receive)
            raise _Refused(refusal)
        return self._services[_path(scope)], await self._body(scope, receive, places)

    def _refusal(self, scope: HTTPScope) -> Reply | None:
        """What the headers alone deserve."""
        headers = dict(scope["headers"])
        if _path(scope) not in self._services:
            paths = ", ".join(self._services)
            return text(404, f"nothing is here: {self._who} answers {paths}")
        if scope["method"] != "POST":
            return text(405, f"use POST {_path(scope)}", allow="POST")
        if not all(headers.get(name, b"").isascii() for name in self._bounds.headers):
            return text(400, "a header of the request is no ASCII")
        looked_at = [name for name, _ in scope["headers"] if name in self._bounds.headers]
        if len(looked_at) > len(set(looked_at)):  # what stands in front may look at the other one
            return text(400, "a header of the request stands there twice")
        if scope["http_version"] != "2" and _is_grpc(headers.get(b"content-type", b"")):
            return text(505, "gRPC needs HTTP/2; over HTTP/1.1 speak Connect or gRPC-Web")
        if scope["scheme"] != "https" and not self._reach.is_home(address_of(scope)):
            return text(403, self._plain_http)
        return None

    def _narrowed(self, scope: HTTPScope) -> HTTPScope:
        wanted = self._bounds.headers
        headers = [(name, value) for name, value in scope["headers"] if name in wanted]
        return {**scope, "path": _path(scope), "query_string": b"", "headers": headers}

    def _told(self, scope: HTTPScope, send: Send) -> Send:
        is_told = False

        async def tell(event: ASGISendEvent) -> None:
            nonlocal is_told
            if event["type"] == "http.response.start":
                if event["status"] == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
                    is_told = True
                    await send_reply(send, self._not_spoken(scope))
                else:
                    headers = event["headers"]
                    event["headers"] = [each for each in headers if each[0] not in _OF_COMPRESSION]
            if not is_told:
                await send(event)

        return tell

    def _not_spoken(self, scope: HTTPScope) -> Reply:
        types = ", ".join(TYPES_OF_STREAMS if _path(scope) in self._streams else TYPES)
        line = f"this content type is not spoken here: use one of {types}"
        return text(415, line, **{"accept-post": types})

    async def _body(self, scope: HTTPScope, receive: Receive, places: ExitStack) -> bytes:
        body, bounds = bytearray(), self._bounds
        is_large = False
        while True:
            event = await receive()
            if event["type"] != "http.request":  # gone: this task is cancelled where it waits
                await trio.sleep_forever()
                raise AssertionError
            body += event["body"]
            if len(body) > bounds.max_bytes:
                await discard_body(receive)
                raise _Refused(text(413, f"the body is larger than {bounds.max_bytes} bytes"))
            if len(body) > bounds.small_bytes and not is_large:
                is_large = True
                await self._take_place(scope, receive, places)
            if not event["more_body"]:
                return bytes(body)

    async def _take_place(self, scope: HTTPScope, receive: Receive, places: ExitStack) -> None:
        try:
            places.enter_context(self._large.one(self._reach.counts_as(address_of(scope))))
        except TooMany:
            await discard_body(receive)
            reply = text(429, "too many large requests are under way", **{"retry-after": "1"})
            raise _Refused(reply) from None


def address_in(context: RequestContext[Any, Any]) -> str | None:
    """The caller's address as a literal; None for a unix socket."""
    client = context.client_address
    return None if client is None else client.rpartition(":")[0]


class _Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class _Replay:
    """A body that has been read, and then what comes of its client."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> ASGIReceiveEvent:
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


def _path(scope: HTTPScope) -> str:
    """As it was sent: with percent signs it is another one."""
    return scope["raw_path"].decode("ascii")


def _is_grpc(content_type: bytes) -> bool:
    return content_type.startswith(b"application/grpc") and b"-web" not in content_type
