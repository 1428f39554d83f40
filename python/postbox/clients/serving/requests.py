"""What of a device's request is looked at, beside its message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from connectrpc.request import RequestContext

from postbox.net.asgi import address_of
from postbox.net.requests import HEADERS as CODEC_HEADERS
from postbox.net.requests import Bounds, address_in

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

AUTHORIZATION: Final = "authorization"
DEVICE: Final = "postbox-device"
ACCEPT: Final = "accept"
LAST_EVENT_ID: Final = "last-event-id"

HEADERS: Final = (
    *CODEC_HEADERS,
    *(name.encode() for name in (AUTHORIZATION, DEVICE, ACCEPT, LAST_EVENT_ID)),
)

BOUNDS: Final = Bounds(
    2 * 2**20,
    32 * 2**10,
    large_of_address=32,
    large_at_once=128,
    headers=HEADERS,
)
"""A batch of 1 MiB, in base64 as JSON has it, and names around it. Small is a batch of messages; of
large bodies there are 256 MiB at the most. An address may be that of a whole office."""

PLAIN_HTTP: Final = (
    "devices speak TLS, since their tokens are secret: give this node a certificate"
    " (serve.tls_cert), or start it with --loopback to be called by this machine and private"
    " addresses over plain HTTP"
)


class Asking(NamedTuple):
    """Who asks, as it says."""

    authorization: str | None
    device: str | None
    address: str | None
    """A literal; None for a unix socket."""


def asking(context: RequestContext[Any, Any]) -> Asking:
    headers = context.request_headers
    return Asking(headers.get(AUTHORIZATION), headers.get(DEVICE), address_in(context))


def asking_in(scope: HTTPScope, headers: dict[str, str]) -> Asking:
    return Asking(headers.get(AUTHORIZATION), headers.get(DEVICE), address_of(scope))
