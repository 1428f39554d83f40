"""Who is at the other end of the wire, as far as the wire tells, and what it counts as where
something is limited by address."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from postbox.net.addresses import Reach
from postbox.net.asgi import address_of
from postbox.net.rates import address_key

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope


class Caller(NamedTuple):
    address: str | None  # an IP literal; None: a unix socket
    is_tls: bool


def caller_of(scope: HTTPScope) -> Caller:
    return Caller(address_of(scope), scope["scheme"] == "https")


def limit_key(address: str | None, reach: Reach) -> str:
    """Inside `mesh.networks` every address is a node of its own: Tailscale and Headscale give all
    nodes of a network addresses of one /64, and none can take another's. Elsewhere a /64 is what
    one household has."""
    if address is not None and reach.is_network(address):
        return address.partition("%")[0]
    return address_key(address)
