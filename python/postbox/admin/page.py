"""Lets the operator into the page of a serving node: a link that is good once."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.errors import Fault


class Opened(Struct, frozen=True):
    """The fields of `open --json`. `url`: lets whoever opens it in a browser in, once, within
    `good_s` seconds."""

    url: str
    good_s: int


class NoPage(Fault):
    """There is no page to open."""


async def _open(desk: Desk, _: Nothing, tell: Tell) -> Opened:
    if desk.serving is None:
        raise NoPage("the node does not serve, so it has no page: postbox serve, then postbox open")
    if desk.serving.doorkeeper is None:
        raise NoPage("this node has no pages: set page.enabled in its config.toml, and restart it")
    secret, good_s = desk.serving.doorkeeper()
    return Opened(f"{from_here(desk.serving.url)}/#{secret}", int(good_s))


def from_here(url: str) -> str:
    """A URL that a browser can call: that of a node on every address of its machine is called on
    the machine itself."""
    parts = urlsplit(url)
    try:
        host = ip_address(parts.hostname or "")
    except ValueError:
        return url
    if not host.is_unspecified:
        return url
    here = "127.0.0.1" if host.version == 4 else "[::1]"
    return urlunsplit(parts._replace(netloc=f"{here}:{parts.port}"))


OPEN_PAGE = Command("open-page", Nothing, Opened, _open)
