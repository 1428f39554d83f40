"""The pages of a node, put together: which paths are theirs, and who answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from postbox.admin.command import Desk, Serving
from postbox.metrics import Metrics
from postbox.net.addresses import reach_of
from postbox.page.files import FOLDERS, ICON, Files
from postbox.page.gathering import Gathering
from postbox.page.sessions import Sessions
from postbox.page.site import HOME, Site

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        Scope,
    )

PATHS: Final = (HOME, ICON, "/page/", *(f"/{folder}/" for folder in FOLDERS))
"""Of pages, and folders of them; for who counts requests."""


def open_site(desk: Desk, serving: Serving, metrics: Metrics, sessions: Sessions) -> Site:
    """The operator's page."""
    config = desk.node.config
    gathering = Gathering(desk, serving, metrics)
    reach = reach_of(config)
    site = Site(desk, gathering, sessions, reach, actions=config.page.actions)
    metrics.watch("page_streams", "Browsers that look at the operator's page.", site.streams.count)
    return site


def paged(app: ASGIFramework, site: Site) -> ASGIFramework:
    """`app`, with the pages in front of it."""
    files = Files()

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        folder = f"/{path.split('/', 2)[1]}/" if path.startswith("/") else ""
        if path == HOME or folder == "/page/":
            await site(scope, receive, send)
        elif path == ICON or folder in PATHS:
            await files(scope, receive, send)
        else:
            await app(scope, receive, send)

    return cast("ASGIFramework", run)
