"""The mesh's side of HTTP: a table of routes, and what they have in common.

Who asks is settled before the body is read: a stranger costs one look at the headers. Everything
that is said to whoever proved its name is signed, a refusal too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import parse_qsl

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from postbox.errors import Fault, WireError
from postbox.mesh.serving.callers import Callers
from postbox.mesh.serving.replies import BodyTooLarge, WrongMethod, reply_to
from postbox.mesh.serving.routes import Call, OpenGet, OpenPost, Query, Routes, SignedPost
from postbox.net.asgi import (
    Reply,
    address_of,
    discard_body,
    headers_of,
    read_body,
    send_reply,
    text,
)
from postbox.net.rates import TooMany, TooOften
from postbox.trust import signatures
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

SIGNED_ON_THE_LOOP_BYTES = 256 * 2**10
"""Hashed in a quarter of a millisecond; a longer answer is hashed in a thread."""

_BUSY = TooOften("too many requests are under way", 1)


class MeshServer:
    def __init__(self, world: World, identity: Identity, callers: Callers, routes: Routes) -> None:
        self._world = world
        self._identity = identity
        self._callers = callers
        self.routes = routes

    async def post(self, path: str, scope: HTTPScope, receive: Receive, send: Send) -> None:
        match self.routes.posts[path]:
            case SignedPost() as route:
                await self._signed_post(route, scope, receive, send)
            case OpenPost() as route:
                await self._open_post(route, scope, receive, send)

    # -- for whoever proves its name ------------------------------------------------------------

    async def _signed_post(
        self, route: SignedPost, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        try:
            sender = await self._callers.authenticate(scope)
        except WireError:
            await discard_body(receive)
            raise
        try:
            with self._callers.one_request(sender):
                await self._answer(route, sender, scope, receive, send)
        except TooMany:
            await discard_body(receive)
            await send_reply(send, await self._signed(reply_to(_BUSY)))

    async def _answer(
        self, route: SignedPost, sender: str, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        gate = nullcontext() if route.gate is None else route.gate.enter(sender)
        try:
            self._callers.require_rate(sender)
            with gate:
                body = await _whole_body(receive, route.max_body_bytes)
                if body is not None:
                    call = Call(sender, address_of(scope), headers_of(scope), body)
                    await self._reply_to(route, call, send)
        except (TooOften, BodyTooLarge) as error:
            await discard_body(receive)
            await send_reply(send, await self._signed(reply_to(error)))

    async def _reply_to(self, route: SignedPost, call: Call, send: Send) -> None:
        try:
            with self._callers.one_answer(call.address):
                await send_reply(send, await self._reply(route, call))
        except TooMany:
            await send_reply(send, await self._signed(reply_to(_BUSY)))

    async def _reply(self, route: SignedPost, call: Call) -> Reply:
        try:
            reply = await route.answer(call)
        except (WireError, Fault) as error:
            reply = reply_to(error)
        return await self._signed(reply)

    async def _signed(self, reply: Reply) -> Reply:
        def work() -> Reply:
            now_ms = self._world.clock.now_ns() // 1_000_000
            proof = signatures.response_headers(self._identity, reply.body, now_ms)
            headers = {**reply.headers, **proof}
            return Reply(reply.status, reply.body, reply.content_type, headers)

        if len(reply.body) <= SIGNED_ON_THE_LOOP_BYTES:
            return work()
        return await self._world.threads.run(Pool.READER, work)

    # -- for anybody ----------------------------------------------------------------------------

    async def _open_post(
        self, route: OpenPost, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        try:
            self._callers.require_allowed(scope)
            self._callers.require_patience(scope)
            body = await _whole_body(receive, route.max_body_bytes)
        except WireError:
            await discard_body(receive)
            raise
        if body is not None:
            call = Call("", address_of(scope), headers_of(scope), body)
            await send_reply(send, await route.answer(call))

    async def get(self, route: OpenGet, scope: HTTPScope) -> Reply:
        if not route.from_anywhere:
            self._callers.require_allowed(scope)
        self._callers.require_patience(scope)
        return await route.answer(Query(address_of(scope), request.args.to_dict()))

    async def large_get(self, route: OpenGet, scope: HTTPScope, send: Send) -> None:
        self._callers.require_allowed(scope)
        self._callers.require_patience(scope)
        address = address_of(scope)
        try:
            with self._callers.one_answer(address):
                reply = await route.answer(Query(address, _arguments_of(scope)))
                await send_reply(send, reply, head=scope["method"] == "HEAD")
        except TooMany:
            await send_reply(send, reply_to(_BUSY))

    def nothing_here(self) -> Reply:
        posts = ", ".join(f"POST {path}" for path in self.routes.posts)
        gets = ", ".join(f"GET {path}" for path in self.routes.gets)
        return text(404, f"nothing is here: a node of the mesh answers {posts}, {gets}")


async def _whole_body(receive: Receive, max_bytes: int) -> bytes | None:
    """None if the caller went away. Raises BodyTooLarge."""
    body = await read_body(receive, max_bytes)
    if body is not None and len(body) > max_bytes:
        raise BodyTooLarge(max_bytes)
    return body


Receive: TypeAlias = "ASGIReceiveCallable"
Send: TypeAlias = "ASGISendCallable"


def make_app(server: MeshServer) -> ASGIFramework:
    """What is large on bare ASGI, both ways; what is small by quart."""
    pages = make_pages(server)
    posts = server.routes.posts
    larges = {path: route for path, route in server.routes.gets.items() if route.is_large}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = _path_as_sent(scope) if scope["type"] == "http" else ""
        if scope["type"] != "http" or not (path in posts or path in larges):
            await pages(scope, receive, send)
            return
        try:
            if path in posts:
                _require_method(scope, path, "POST")
                await server.post(path, scope, receive, send)
            else:
                _require_method(scope, path, "GET", "HEAD")
                await server.large_get(larges[path], scope, send)
        except (WireError, Fault) as error:
            await send_reply(send, reply_to(error))

    return app


def make_pages(server: MeshServer) -> QuartTrio:
    pages = QuartTrio("postbox.mesh", static_folder=None)
    for path, route in server.routes.gets.items():
        view = _view(server, route)
        pages.add_url_rule(path, path, view, provide_automatic_options=False)

    @pages.errorhandler(WireError)
    @pages.errorhandler(Fault)
    async def refuse(error: WireError | Fault) -> Response:
        return _response(reply_to(error))

    @pages.errorhandler(HTTPException)
    async def explain(error: HTTPException) -> Response:
        match error:
            case MethodNotAllowed():
                return _response(reply_to(WrongMethod(request.path, "GET", "HEAD")))
            case NotFound():
                return _response(server.nothing_here())
            case _:
                return _response(text(error.code or 500, error.name))

    return pages


def _view(server: MeshServer, route: OpenGet) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        return _response(await server.get(route, cast("HTTPScope", request.scope)))

    return view


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), content_type=reply.content_type)


def _require_method(scope: HTTPScope, path: str, *allowed: str) -> None:
    if scope["method"] not in allowed:
        raise WrongMethod(path, *allowed)


def _arguments_of(scope: HTTPScope) -> dict[str, str]:
    try:
        found = parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=100
        )
    except ValueError as error:
        raise WireError(f"the query cannot be read: {error}") from error
    return dict(reversed(found))


def _path_as_sent(scope: HTTPScope) -> str:
    """Without the query. Percent signs stay: of `/api%2fsync` somebody in front of us may have
    thought otherwise than we would."""
    return scope["raw_path"].decode("ascii")
