"""The operator's page by HTTP: who may ask, and which path answers.

Nothing about the node is said to who is not logged in. A session is a cookie that scripts cannot
read and that other sites cannot send; what changes something is a POST that our own page made
(`Origin`), with the configuration's leave. Plain HTTP is for this machine, and for networks where
the wire itself is secure.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlsplit

from postbox.admin.command import Desk
from postbox.admin.recent import Asked, judged, recent
from postbox.errors import Fault
from postbox.event import Service
from postbox.net.addresses import Reach
from postbox.net.asgi import (
    Reply,
    address_of,
    discard_body,
    headers_of,
    read_body,
    send_reply,
    text,
)
from postbox.net.rates import Rate
from postbox.page.acts import ACTS, act
from postbox.page.event_view import brief_view, event_view
from postbox.page.files import POLICY
from postbox.page.gathering import Gathering
from postbox.page.rendering import Pages
from postbox.page.sessions import SESSION_S, Sessions
from postbox.page.showing import Showing
from postbox.page.stream import MOST, Streams
from postbox.world import Clock

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

HOME: Final = "/"
STREAM: Final = "/page/stream"
EVENTS: Final = "/page/events"
EVENT: Final = "/page/event/"
LOGIN: Final = "/page/login"
LOGOUT: Final = "/page/logout"
ACT: Final = "/page/act/"

HTML: Final = "text/html; charset=utf-8"
HEADERS: Final[Mapping[str, str]] = {**POLICY, "cache-control": "no-store"}
MAX_BODY_BYTES = 4_096
TRIES_PER_MINUTE, TRIES_AT_ONCE = 10, 10
"""Of an address, to log in. A link cannot be guessed; this bounds what trying costs."""


class Refused(Exception):
    """With what is answered instead."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Site:
    """An ASGI app."""

    def __init__(
        self,
        desk: Desk,
        gathering: Gathering,
        sessions: Sessions,
        reach: Reach,
        *,
        actions: bool,
    ) -> None:
        self._desk = desk
        self._clock: Clock = desk.node.world.clock
        self._sessions = sessions
        self._reach = reach
        self._actions = actions
        self._pages = Pages(actions=actions)
        self._tries = Rate(TRIES_PER_MINUTE, TRIES_AT_ONCE)
        self._showing = Showing(gathering, self._pages)
        self.streams = Streams(self._showing)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            return
        try:
            request = _Request(scope)
        except Refused as refused:
            await send_reply(send, refused.reply)
            return
        try:
            self._require_wire(scope)
            if scope["method"] == "POST":
                reply = await self._post(request, receive)
            else:
                await discard_body(receive)
                self._require_get(request)
                if (request.method, request.path) == ("GET", STREAM):
                    await self._stream(request, receive, send)
                    return
                reply = await self._get(request)
        except Refused as refused:
            reply = refused.reply
        except Fault as fault:
            reply = _text(503, str(fault))
        if request.is_ours:
            reply = _shown(reply)
        await send_reply(send, reply, head=scope["method"] == "HEAD")

    # -- looking --------------------------------------------------------------------------------

    def _require_get(self, request: _Request) -> None:
        path, method = request.path, request.method
        is_post = path in (LOGIN, LOGOUT) or path.startswith(ACT)
        if is_post or method not in ("GET", "HEAD"):
            allowed = "POST" if is_post else "GET, HEAD"
            raise Refused(_text(405, f"use {allowed} {path}", allow=allowed))

    async def _get(self, request: _Request) -> Reply:
        path = request.path
        if path == HOME:
            return await self._home(request)
        self._require_login(request)
        if path == EVENTS:
            return await self._events(request)
        if path.startswith(EVENT):
            return await self._event(request)
        raise Refused(_text(404, "there is no such page"))

    async def _home(self, request: _Request) -> Reply:
        if not self._is_in(request):
            return _html(self._pages.page("login"))
        shown = await self._showing.look()
        sections = {one.name: one.html for one in shown.sections}
        services = [service.wire_name for service in Service]
        its = {"view": shown.view, "sections": sections, "services": services}
        return _html(self._pages.page("page", **its, asked=_asked(request)))

    async def _events(self, request: _Request) -> Reply:
        asked = _asked(request)
        found = await recent(self._desk, asked)
        now_ms = self._clock.now_ns() // 1_000_000
        rows = [brief_view(each, now_ms) for each in found.events]
        filters = {"service": asked.service, "author": asked.author, "text": asked.text}
        older = "&".join(f"{name}={quote(value, safe='')}" for name, value in filters.items())
        context = {"found": found, "rows": rows, "older": older, "before": asked.before}
        return _html(self._pages.page("events", **context))

    async def _event(self, request: _Request) -> Reply:
        found = await judged(self._desk, request.path.removeprefix(EVENT))
        if found is None:
            raise Refused(_text(404, "no such event is stored here; it may have been forgotten"))
        template = "event" if request.is_ours else "event_page"
        return _html(self._pages.page(template, event=event_view(found)))

    async def _stream(
        self, request: _Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        self._require_login(request)
        session = request.session
        self.streams.make_room(session)
        if self.streams.is_full:
            why = f"{MOST} browsers look already: close one"
            raise Refused(_text(503, why, **{"retry-after": "30"}))
        await self._showing.look()  # whose fault is an answer yet
        await self.streams.send(session, lambda: self._sessions.is_open(session), receive, send)

    # -- logging in, and changing something -----------------------------------------------------

    async def _post(self, request: _Request, receive: ASGIReceiveCallable) -> Reply:
        try:
            self._require_own_page(request)
            if request.path != LOGIN:
                self._require_login(request)
        except Refused:
            await discard_body(receive)
            raise
        body = await read_body(receive, MAX_BODY_BYTES)
        if body is None or len(body) > MAX_BODY_BYTES:
            return _text(413, f"a request here has at most {MAX_BODY_BYTES} bytes")
        form = _fields(body.decode("utf-8", "replace"))
        if request.path == LOGIN:
            return self._login(request, form)
        if request.path == LOGOUT:
            self._sessions.end(request.session)
            return Reply(303, b"", HTML, {**HEADERS, "location": HOME})
        return await self._act(request.path.removeprefix(ACT), form)

    def _login(self, request: _Request, form: Mapping[str, str]) -> Reply:
        """Whoever has a link gets in, whatever others tried from there: behind a proxy all have one
        address."""
        session = self._sessions.redeem(form.get("link", ""))
        if session is None:
            who = self._reach.counts_as(request.address)
            wait_s = self._tries.wait_s(who, self._clock.elapsed_s())
            if not wait_s:
                return _text(403, "this link was used, or is too old: postbox open makes a new one")
            again = max(1, round(wait_s))
            return _text(429, f"too many tries: again in {again} s", **{"retry-after": str(again)})
        secure = "; Secure" if request.is_tls else ""
        cookie = f"{request.cookie_name}={session}; Path=/; Max-Age={SESSION_S:.0f}"
        headers = {**HEADERS, "set-cookie": f"{cookie}; HttpOnly; SameSite=Strict{secure}"}
        return Reply(204, b"", HTML, headers)

    async def _act(self, name: str, form: Mapping[str, str]) -> Reply:
        if name not in ACTS:
            return _text(404, "there is no such thing to do")
        if not self._actions:
            why = "this page only shows: page.actions in config.toml lets it change something"
            return _text(403, why)
        done = await act(self._desk, name, form)
        return _html(self._pages.page("told", told=done))

    # -- who may --------------------------------------------------------------------------------

    def _is_in(self, request: _Request) -> bool:
        return bool(request.session) and self._sessions.is_open(request.session)

    def _require_login(self, request: _Request) -> None:
        if not self._is_in(request):
            raise Refused(_text(401, "log in first: postbox open prints a link"))

    def _require_own_page(self, request: _Request) -> None:
        """Whoever makes a browser send this has its cookies; but not our page's origin."""
        origin = urlsplit(request.headers.get("origin", ""))
        is_plain = request.is_tls and origin.scheme != "https"
        if is_plain or origin.netloc != request.headers.get("host"):
            raise Refused(_text(403, "this is for the page's own forms: the Origin is another"))

    def _require_wire(self, scope: HTTPScope) -> None:
        address = address_of(scope)
        if scope["scheme"] != "https" and not self._reach.is_near(address):
            why = "the operator's page is not for plain HTTP from elsewhere: use https, or a tunnel"
            raise Refused(_text(403, f"{why} as ssh -L"))


class _Request:
    def __init__(self, scope: HTTPScope) -> None:
        self.path = scope["path"]
        self.method = scope["method"]
        self.address = address_of(scope)
        self.headers = headers_of(scope)
        self.is_tls = scope["scheme"] == "https"
        self.is_ours = "hx-request" in self.headers
        self.arguments = _fields(scope["query_string"].decode("ascii", "replace"))
        # Cookies know no ports: nodes of one machine would log each other out.
        port = (scope.get("server") or ("", 0))[1]
        self.cookie_name = f"{'__Host-' if self.is_tls else ''}postbox-{port}"
        self.session = self._cookie(scope)

    def _cookie(self, scope: HTTPScope) -> str:
        """Of HTTP/2 there may be several headers."""
        raw = b";".join(value for name, value in scope["headers"] if name == b"cookie")
        for part in raw.decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie_name:
                return value
        return ""


def _asked(request: _Request) -> Asked:
    """Which events: as the page's filter says, which its address has, too."""
    arguments = request.arguments
    before = arguments.get("before", "0")
    return Asked(
        before=int(before) if before.isdigit() and len(before) < 19 else 0,
        service=arguments.get("service", ""),
        author=arguments.get("author", "").strip(),
        text=arguments.get("text", "").strip(),
    )


def _fields(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=20))
    except ValueError as error:
        raise Refused(_text(400, f"the fields cannot be read: {error}")) from error


def _shown(reply: Reply) -> Reply:
    """htmx takes whatever comes for HTML, and does what it says: a refusal may name what a stranger
    wrote."""
    if reply.content_type == HTML:
        return reply
    body = escape(reply.body.decode()).encode()
    return Reply(reply.status, body, HTML, reply.headers)


def _html(body: bytes) -> Reply:
    return Reply(200, body, HTML, HEADERS)


def _text(status: int, line: str, **headers: str) -> Reply:
    return text(status, line, **HEADERS, **headers)
