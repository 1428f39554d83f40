"""The operator's page of a node in this process, asked without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from hypercorn.typing import ASGIFramework

from postbox.admin.command import Desk, Serving
from postbox.clients.door import Clients
from postbox.mesh.door import Mesh
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.node import Node
from postbox.page.gathering import Gathering
from postbox.page.sessions import Sessions
from postbox.page.site import Site
from support.asgi_call import Call, call

HOST = "127.0.0.1:7433"
ORIGIN = f"http://{HOST}"
REACH = Reach((), loopback=False)


@dataclass
class Browser:
    """Has at most one cookie. `is_htmx`: its requests are those of the page's own script."""

    site: Site
    sessions: Sessions
    mesh: Mesh
    clients: Clients
    cookie: str = ""
    origin: str = ORIGIN
    host: str = HOST
    is_htmx: bool = False

    async def ask(self, path: str, method: str = "GET", *body: bytes | None, **scope: Any) -> Call:
        headers = [(b"host", self.host.encode()), (b"cookie", self.cookie.encode())]
        if method == "POST":
            headers.append((b"origin", self.origin.encode()))
        if self.is_htmx:
            headers.append((b"hx-request", b"true"))
        path, _, query = path.partition("?")
        return await call(
            cast("ASGIFramework", self.site),
            path,
            *body,
            method=method,
            headers=tuple(headers),
            content_type="application/x-www-form-urlencoded",
            query_string=query.encode(),
            **scope,
        )

    async def post(self, path: str, **form: str) -> Call:
        return await self.ask(path, "POST", urlencode(form).encode())

    async def log_in(self, link: str | None = None, **scope: Any) -> Call:
        body = urlencode({"link": link or self.sessions.link()}).encode()
        answer = await self.ask("/page/login", "POST", body, **scope)
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer


@asynccontextmanager
async def page_of(
    node: Node, *, actions: bool = False, reach: Reach = REACH
) -> AsyncIterator[Browser]:
    """Somebody who looks at it, and is not logged in."""
    async with (
        node.open_mesh(Metrics()) as mesh,
        node.open_hosts(Metrics()) as hosts,
        node.open_clients(Metrics()) as clients,
    ):
        sessions = Sessions(node.world.clock, node.world.random)
        serving = Serving(ORIGIN, 0.0, mesh, hosts, clients, sessions.doorkeeper)
        desk = Desk(node, serving)
        gathering = Gathering(desk, serving, Metrics())
        site = Site(desk, gathering, sessions, reach, actions=actions)
        yield Browser(site, sessions, mesh, clients)
