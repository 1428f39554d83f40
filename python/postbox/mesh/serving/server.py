"""The mesh's side of HTTP: `POST /api/sync` (and nara's path of it), `POST /api/hello`,
`GET /ping`.

Who asks is settled before the body is read: a stranger costs one look at the headers. Everything
is answered from memory; only an introduction writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from postbox.core import Ledger
from postbox.errors import Fault, WireError
from postbox.mesh import wire
from postbox.mesh.calling.introductions import Introductions
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.replies import BodyTooLarge, NotAllowed, WrongMethod, reply_to
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.asgi import (
    JSON,
    Reply,
    address_of,
    discard_body,
    headers_of,
    read_body,
    send_reply,
    text,
)
from postbox.net.rates import AtOnce, Rate, TooMany, TooOften
from postbox.trust import signatures
from postbox.trust.directory import Directory
from postbox.trust.hello import HELLO_BYTES
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

REQUESTS_AT_ONCE = 1_000
"""Of all peers together: as many as there may be connections."""

ANSWERS_AT_ONCE, ANSWERS_OF_ADDRESS = 32, 8
"""In all, and to one address, whatever names it goes by: an answer of up to 16 MiB stays in memory
until its peer has read it."""

STRANGERS_PER_MINUTE = 300
"""Requests an address that prove nothing: pings, hellos, and those that end with 401. Each costs
less than a tenth of a millisecond; this is a hundredth of a core."""
STRANGERS_BURST = 300


_BUSY = TooOften("too many requests are under way", 1)

NOTHING_HERE = (
    "nothing is here: a node of the mesh answers "
    f"{', '.join(f'POST {path}' for path in (*wire.SYNC_PATHS, wire.HELLO_PATH))}"
    f" and GET {wire.PING_PATH}"
)


class MeshServer:
    def __init__(
        self,
        world: World,
        identity: Identity,
        directory: Directory,
        ledger: Ledger,
        introductions: Introductions,
        peers: Roster,
        reach: Reach,
        about: Callable[[], wire.About],
        metrics: Metrics,
        *,
        requests_per_minute: int,
        concurrent_requests: int,
    ) -> None:
        self._world = world
        self._identity = identity
        self._directory = directory
        self._ledger = ledger
        self._introductions = introductions
        self._peers = peers
        self._reach = reach
        self._about = about
        self._metrics = metrics
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_BURST)
        self._rate = Rate(requests_per_minute, requests_per_minute)
        self._under_way = AtOnce(concurrent_requests, REQUESTS_AT_ONCE)
        self._answers = AtOnce(ANSWERS_OF_ADDRESS, ANSWERS_AT_ONCE)

    # -- /api/sync ------------------------------------------------------------------------------

    async def sync(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Everything after the authentication is signed, a refusal too."""
        try:
            requester = await self._authenticate(scope)
        except WireError:
            await discard_body(receive)
            raise
        try:
            with self._under_way.one(requester):
                await self._sync(requester, scope, receive, send)
        except TooMany:
            await discard_body(receive)
            await send_reply(send, self._signed(reply_to(_BUSY)))

    async def _authenticate(self, scope: HTTPScope) -> str:
        self._require_allowed(scope)
        try:
            return self._signer(scope, self._directory.key_of)
        except signatures.UnknownSender as error:
            self._require_patience(scope)
            proves = partial(self._is_signed_with, scope)
            if not await self._introductions.call_back(error.sender, address_of(scope), proves):
                raise
            return self._signer(scope, self._directory.key_of)
        except signatures.AuthFailed:
            self._require_patience(scope)
            raise

    def _signer(self, scope: HTTPScope, key_of: signatures.KeyOf) -> str:
        return signatures.check_request(
            headers_of(scope), scope["method"], scope["path"], self._now_ms(), key_of
        )

    def _is_signed_with(self, scope: HTTPScope, key: bytes) -> bool:
        try:
            self._signer(scope, lambda _: key)
        except signatures.AuthFailed:
            return False
        return True

    async def _sync(self, requester: str, scope: HTTPScope, receive: Receive, send: Send) -> None:
        try:
            self._require_rate(requester)
        except TooOften as error:
            await discard_body(receive)
            await send_reply(send, self._signed(reply_to(error)))
            return
        body = await read_body(receive, wire.REQUEST_BYTES)
        if body is None:
            return
        if len(body) > wire.REQUEST_BYTES:
            await discard_body(receive)
            await send_reply(send, self._signed(reply_to(BodyTooLarge(wire.REQUEST_BYTES))))
            return
        packed = wire.is_msgpack(headers_of(scope).get("accept", ""))
        try:
            with self._answers.one(self._reach.counts_as(address_of(scope))):
                await send_reply(send, await self._reply(body, requester, packed=packed))
        except TooMany:
            await send_reply(send, self._signed(reply_to(_BUSY)))

    async def _reply(self, body: bytes, requester: str, *, packed: bool) -> Reply:
        try:
            return await self._answer(body, requester, packed=packed)
        except (WireError, Fault) as error:
            return self._signed(reply_to(error))

    async def _answer(self, body: bytes, requester: str, *, packed: bool) -> Reply:
        request = wire.decode_request(body)
        if request.sender != requester:
            raise signatures.AuthFailed(f"from is not {requester}")
        now_ns = self._world.clock.now_ns()
        seed = self._world.random.bytes(SEED_BYTES)
        me = self._identity.name
        draw = wire.Draw(seed, now_ns, me, requester)

        def work() -> tuple[int, Reply]:
            found = wire.select(self._ledger, request, draw)
            ts = now_ns // 10**9
            signature = signatures.sign_digest(self._identity, found.digest(me, ts))
            encode = found.encode_msgpack if packed else found.encode
            reply = Reply(200, encode(me, ts, signature), wire.MSGPACK if packed else JSON)
            return len(found), self._signed(reply)

        is_small = wire.is_small(self._ledger, request, draw)
        count, reply = work() if is_small else await self._world.threads.run(Pool.READER, work)
        self._metrics.events_served(count)
        self._peers.asked_us(requester, count, now_ns)
        return reply

    def _signed(self, reply: Reply) -> Reply:
        proof = signatures.response_headers(self._identity, reply.body, self._now_ms())
        return Reply(reply.status, reply.body, reply.content_type, {**reply.headers, **proof})

    # -- the others -----------------------------------------------------------------------------

    async def hello(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        try:
            self._require_allowed(scope)
            self._require_patience(scope)
        except WireError:
            await discard_body(receive)
            raise
        body = await read_body(receive, HELLO_BYTES)
        if body is not None:
            if len(body) > HELLO_BYTES:
                await discard_body(receive)
                raise BodyTooLarge(HELLO_BYTES)
            is_known = await self._introductions.hello(body, address_of(scope))
            mine = self._introductions.own_hello()
            await send_reply(send, Reply(200 if is_known else 202, mine, JSON))

    def ping(self, scope: HTTPScope) -> wire.Ping:
        self._require_patience(scope)
        return wire.Ping(
            sender=self._identity.name,
            public_key=self._identity.public_key_base64,
            t=self._world.clock.now_ns(),
            postbox=self._about(),
        )

    # -- limits ---------------------------------------------------------------------------------

    def _require_allowed(self, scope: HTTPScope) -> None:
        is_tls = scope["scheme"] == "https"
        refusal = self._reach.may_call_us(address_of(scope), is_tls=is_tls)
        if refusal is not None:
            raise NotAllowed(refusal)

    def _require_patience(self, scope: HTTPScope) -> None:
        key = self._reach.counts_as(address_of(scope))
        wait_s = self._strangers.wait_s(key, self._world.clock.elapsed_s())
        if wait_s:
            raise TooOften("too many requests from this address that prove nothing", wait_s)

    def _require_rate(self, requester: str) -> None:
        wait_s = self._rate.wait_s(requester, self._world.clock.elapsed_s())
        if wait_s:
            raise TooOften(f"{requester} asks too often", wait_s)

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000


Receive: TypeAlias = "ASGIReceiveCallable"
Send: TypeAlias = "ASGISendCallable"
_Handler: TypeAlias = "Callable[[HTTPScope, Receive, Send], Awaitable[None]]"


def make_app(server: MeshServer) -> ASGIFramework:
    """Large bodies on bare ASGI, whose answers are signed as a whole; what is small by quart."""
    pages = make_pages(server)
    routes: dict[str, _Handler] = {
        **dict.fromkeys(wire.SYNC_PATHS, server.sync),
        wire.HELLO_PATH: server.hello,
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (path := _path_as_sent(scope)) not in routes:
            await pages(scope, receive, send)
            return
        try:
            if scope["method"] != "POST":
                raise WrongMethod(path, "POST")
            await routes[path](scope, receive, send)
        except (WireError, Fault) as error:
            await send_reply(send, reply_to(error))

    return app


def make_pages(server: MeshServer) -> QuartTrio:
    pages = QuartTrio("postbox.mesh", static_folder=None)

    @pages.get(wire.PING_PATH, provide_automatic_options=False)
    async def ping() -> Response:
        answer = server.ping(cast("HTTPScope", request.scope))
        return Response(msgspec.json.encode(answer), content_type=JSON)

    @pages.errorhandler(WireError)
    async def refuse(error: WireError) -> Response:
        return _response(reply_to(error))

    @pages.errorhandler(HTTPException)
    async def explain(error: HTTPException) -> Response:
        match error:
            case MethodNotAllowed():
                return _response(reply_to(WrongMethod(wire.PING_PATH, "GET", "HEAD")))
            case NotFound():
                return _response(text(404, NOTHING_HERE))
            case _:
                return _response(text(error.code or 500, error.name))

    return pages


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), content_type=reply.content_type)


def _path_as_sent(scope: HTTPScope) -> str:
    """Without the query. Percent signs stay: of `/api%2fsync` somebody in front of us may have
    thought otherwise than we would."""
    return scope["raw_path"].decode("ascii")
