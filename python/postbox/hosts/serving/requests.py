"""The hosts' side of HTTP, in front of `connectrpc`: what of a request it is given to see.

Of headers it gets those that choose a codec, and of bodies only whole ones. A deadline that a
caller names is left out: who gives up resets its stream, and virtual time has no other clock. Plain
HTTP is for nodes under `--loopback` alone, since whoever can change what is on the wire could give
out another key; where a request over TLS comes from proves nothing, and is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import trio

from postbox.hosts.wire import MAX_REQUEST_BYTES, PATHS
from postbox.net.addresses import Reach
from postbox.net.asgi import Reply, address_of, discard_body, send_reply, text
from postbox.net.rates import AtOnce, TooMany

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGIReceiveEvent,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

    Receive: TypeAlias = ASGIReceiveCallable
    Send: TypeAlias = ASGISendCallable

HEADERS = (
    b"content-type",
    b"content-encoding",
    b"connect-protocol-version",
    b"connect-content-encoding",
    b"grpc-encoding",
)
SMALL_BODY_BYTES = 16 * 2**10
"""A token and a small event. What is larger takes one of the places below, since the body is in
memory before it is known who sent it."""
LARGE_OF_ADDRESS, LARGE_AT_ONCE = 16, 128
"""Large bodies in memory, of one address and in all: 192 MiB at the most."""


class Requests:
    """An ASGI app in front of those of the services, one a path."""

    def __init__(self, services: Mapping[str, ASGIFramework], reach: Reach) -> None:
        self._services = services
        self._reach = reach
        self._large = AtOnce(LARGE_OF_ADDRESS, LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            with ExitStack() as places:
                service, body = await self._request(scope, receive, places)
                await service(_narrowed(scope), _Replay(body, receive), send)
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
            return text(404, f"nothing is here: a host answers {', '.join(PATHS.values())}")
        if scope["method"] != "POST":
            return text(405, f"use POST {_path(scope)}", allow="POST")
        if not all(headers.get(name, b"").isascii() for name in HEADERS):
            return text(400, "a header of the request is no ASCII")
        if scope["http_version"] != "2" and _is_grpc(headers.get(b"content-type", b"")):
            return text(505, "gRPC needs HTTP/2; over HTTP/1.1 speak Connect or gRPC-Web")
        if scope["scheme"] != "https":
            return self._refusal_of_plain_http(scope)
        return None

    def _refusal_of_plain_http(self, scope: HTTPScope) -> Reply | None:
        if self._reach.is_home(address_of(scope)):
            return None
        return text(
            403,
            "hosts speak TLS: give this node a certificate (serve.tls_cert), or start it with"
            " --loopback to be called by this machine and private addresses over plain HTTP",
        )

    async def _body(self, scope: HTTPScope, receive: Receive, places: ExitStack) -> bytes:
        body = bytearray()
        is_large = False
        while True:
            event = await receive()
            if event["type"] != "http.request":  # gone: this task is cancelled where it waits
                await trio.sleep_forever()
                raise AssertionError
            body += event["body"]
            if len(body) > MAX_REQUEST_BYTES:
                await discard_body(receive)
                raise _Refused(text(413, f"the body is larger than {MAX_REQUEST_BYTES} bytes"))
            if len(body) > SMALL_BODY_BYTES and not is_large:
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


async def without_a_name(scope: Scope, receive: Receive, send: Send) -> None:
    """What a node answers that has no name among hosts."""
    await discard_body(receive)
    await send_reply(send, text(404, "this node has no name among hosts: serve --host DOMAIN:PORT"))


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


def _narrowed(scope: HTTPScope) -> HTTPScope:
    headers = [(name, value) for name, value in scope["headers"] if name in HEADERS]
    return {**scope, "path": _path(scope), "query_string": b"", "headers": headers}


def _path(scope: HTTPScope) -> str:
    """As it was sent: with percent signs it is another one."""
    return scope["raw_path"].decode("ascii")


def _is_grpc(content_type: bytes) -> bool:
    return content_type.startswith(b"application/grpc") and b"-web" not in content_type
