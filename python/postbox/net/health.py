"""What a process answers by itself, before any door: is it alive, is it ready, what does it count.

`/healthz` is 200 as long as the process can answer at all: restart it when not. `/readyz` is 200
while it takes requests, else 503: send nobody there. The doors' routes answer 503 until then.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from postbox.net.asgi import Reply, address_of, discard_body, send_reply, text

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: dict[int, ipaddress.IPv4Address | ipaddress.IPv6Address] = {
    4: ipaddress.IPv4Address("127.0.0.1"),
    6: ipaddress.IPv6Address("::1"),
}

PATHS = ("/healthz", "/readyz", "/metrics")

RETRY_S = 2
"""A node that starts reads its log: a second or two, unless it is a large one."""


class Front:
    """An ASGI app in front of the doors', which come when the node is open."""

    def __init__(self, metrics: Callable[[], Reply], metrics_networks: Sequence[Network]) -> None:
        self._metrics = metrics
        self._networks = metrics_networks
        self._doors: ASGIFramework | None = None
        self._why_not = "starting"
        self.was_open = False

    def open(self, doors: ASGIFramework) -> None:
        self._doors = doors
        self.was_open = True

    def begin_again(self, why: str) -> None:
        """As before the first `open`."""
        self._doors, self._why_not, self.was_open = None, why, False

    def close(self, why: str) -> None:
        """From now on nobody gets in; who is in goes on."""
        self._doors, self._why_not = None, why

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        own = self._own(scope) if scope["type"] == "http" else None
        if own is not None and scope["type"] == "http":
            await discard_body(receive)
            await send_reply(send, own, head=scope["method"] == "HEAD")
        elif self._doors is not None:
            await self._doors(scope, receive, send)

    def _own(self, scope: HTTPScope) -> Reply | None:
        if scope["path"] not in PATHS:
            return self._not_ready() if self._doors is None else None
        if scope["method"] not in ("GET", "HEAD"):
            return text(405, f"use GET {scope['path']}", allow="GET, HEAD")
        match scope["path"]:
            case "/healthz":
                return text(200, "alive")
            case "/readyz":
                return self._not_ready() if self._doors is None else text(200, "ready")
            case _:
                return self._metrics() if self._may_measure(scope) else _not_here()

    def _not_ready(self) -> Reply:
        return text(503, f"this node is {self._why_not}", **{"retry-after": str(RETRY_S)})

    def _may_measure(self, scope: HTTPScope) -> bool:
        address = address_of(scope)
        if address is None:  # the operator's own socket
            return True
        caller = ipaddress.ip_address(address.partition("%")[0])
        server = scope.get("server")
        if server is not None and server[0] == address:
            # Who calls from the address that it calls is this machine, as on a loopback address;
            # a node that listens on one address of a network is reached from here by no other.
            caller = LOOPBACK[caller.version]
        return any(caller in network for network in self._networks)


def _not_here() -> Reply:
    return text(403, "metrics are for the networks that the configuration names: metrics.networks")
