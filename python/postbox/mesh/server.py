"""The mesh's side of HTTP: `POST /api/sync` for peers, `GET /ping` for whoever asks.

`/api/sync` is bare ASGI, since answers are large and the body is read under the limits of
`net.limits`; `/ping` and what else is small go through quart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quart import request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from postbox.core import Ledger
from postbox.errors import WireError
from postbox.mesh import wire
from postbox.trust import signatures
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.world import Pool, World

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

SEED_BYTES = 16
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = _TEXT
    headers: Mapping[str, str] | None = None


def refusal(status: int, text: str) -> Reply:
    return Reply(status, text.encode() + b"\n")


class MeshServer:
    """Answers from the ledger; writes nothing."""

    def __init__(
        self, world: World, identity: Identity, directory: Directory, ledger: Ledger
    ) -> None:
        self._world = world
        self._identity = identity
        self._directory = directory
        self._ledger = ledger

    async def sync(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """One request, whole. Every authenticated answer is signed, a refusal too."""
        try:
            requester = signatures.check_request(
                headers, "POST", wire.PATH, self._now_ms(), self._directory.key_of
            )
        except signatures.AuthFailed as error:
            return refusal(401, str(error))
        try:
            request = wire.decode_request(body)
            if request.sender != requester:
                reply = refusal(401, f"Authentication failed: from is not {requester}")
            else:
                reply = Reply(200, await self._answer(request, requester), "application/json")
        except WireError as error:
            reply = refusal(400, str(error))
        return self._signed(reply)

    async def _answer(self, request: wire.SyncRequest, requester: str) -> bytes:
        now_ns = self._world.clock.now_ns()
        seed = self._world.random.bytes(SEED_BYTES)
        me = self._identity.name
        draw = wire.Draw(seed, now_ns, me, requester)

        def work() -> bytes:
            found = wire.select(self._ledger, request, draw)
            ts = now_ns // 10**9
            signature = signatures.sign_digest(self._identity, found.digest(me, ts))
            return found.encode(me, ts, signature)

        return await self._world.threads.run(Pool.READER, work)

    def _signed(self, reply: Reply) -> Reply:
        headers = signatures.response_headers(self._identity, reply.body, self._now_ms())
        return Reply(reply.status, reply.body, reply.content_type, headers)

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000


def make_app(server: MeshServer, world: World, identity: Identity) -> ASGIFramework:
    """The mesh's ASGI app."""
    pages = QuartTrio("postbox.mesh")

    @pages.get("/ping")
    async def ping() -> dict[str, object]:
        return {
            "from": identity.name,
            "mesh_ip": "",
            "public_key": identity.public_key_base64,
            "t": world.clock.now_ns(),
        }

    @pages.errorhandler(HTTPException)
    async def refuse(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        return f"{error.name}: {request.path}\n", error.code or 500, {"content-type": _TEXT}

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http" and scope["path"] == wire.PATH:
            await _answer_sync(server, scope, receive, send)
        else:
            await pages(scope, receive, send)

    return app


async def _answer_sync(
    server: MeshServer, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    if scope["method"] != "POST":
        await _send(send, refusal(405, f"use POST {wire.PATH}"), (b"allow", b"POST"))
        return
    body = await _body(receive)
    if body is not None:
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        await _send(send, await server.sync(headers, body))


async def _body(receive: ASGIReceiveCallable) -> bytes | None:
    """All of it, or None if the client went away. `net.limits` bounds its size and its time."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event["body"]
        if not event["more_body"]:
            return bytes(body)


async def _send(send: ASGISendCallable, reply: Reply, *more: tuple[bytes, bytes]) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *more,
        *((name.lower().encode(), text.encode()) for name, text in (reply.headers or {}).items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
