"""Who is at the other end of the wire, as far as the wire tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postbox.net.asgi import address_of

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope


class Caller(NamedTuple):
    address: str | None  # an IP literal; None: a unix socket
    is_tls: bool


def caller_of(scope: HTTPScope) -> Caller:
    return Caller(address_of(scope), scope["scheme"] == "https")
