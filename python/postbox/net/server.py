"""Serves an ASGI app over listeners that World.net opened. Knows no event.

Three nested lifetimes: listeners inside connections inside the services of whoever calls. To stop
is to close the listeners, give requests under way `Limits.grace_s`, cancel what is left, return.
The app's services are the caller's: it opens them around `serve`, which sends no ASGI lifespan.

hypercorn 0.18.0 parses; `guard/` has what makes it safe, and relies on that very version, so
no other is accepted. Who may ask for what is the app's matter (`addresses.Reach.may_call_us`).
"""

from __future__ import annotations

import errno
import importlib.metadata
import ipaddress
import logging
import ssl
from contextlib import AbstractContextManager, nullcontext
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from postbox.net.addresses import Reach
from postbox.net.counting import counted
from postbox.net.faults import ListenFault
from postbox.net.guard.apps import Serving, log
from postbox.net.guard.connection import Client, Connection, ends_of
from postbox.net.limits import DEFAULT_LIMITS, Limits, bounded
from postbox.net.rates import AtOnce, TooMany

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

    from postbox.metrics import Metrics
    from postbox.world import Clock, World

KEPT_SHARE = 4
"""One in so many connections is for `mesh.networks`."""
NOWHERE = Reach((), loopback=False)

HYPERCORN = "0.18.0"
"""The one version whose inner workings this module relies on."""


class TcpAddress(NamedTuple):
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    """None: plain HTTP."""


class UnixAddress(NamedTuple):
    path: str


async def serve(
    world: World,
    app: ASGIFramework,
    address: TcpAddress | UnixAddress,
    *,
    stop: trio.Event,
    limits: Limits = DEFAULT_LIMITS,
    reach: Reach = NOWHERE,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` at `address` until `stop` is set; port 0 takes a free one.

    `reach`: its networks have a part of the connections for themselves. Reports the URL that
    reaches it (`http://127.0.0.1:7433`) once it listens. Raises ListenFault if it cannot listen
    there.
    """
    require_hypercorn(importlib.metadata.version("hypercorn"))
    listeners, url = await _listen(world, address)
    config = _config(limits)
    context = WorkerContext(max_requests=None)
    wrapped = dated(bounded(app, limits), world.clock)
    if metrics is not None:
        wrapped = counted(wrapped, metrics, world.clock)
    serving = Serving(wrapped, config, context, limits)
    slots = Slots(limits, reach)

    async def talk(stream: trio.abc.Stream) -> None:
        try:
            client, server = ends_of(stream)
            with slots.one(client):
                async with trio.open_nursery() as tasks:
                    await Connection(serving, stream, tasks).run(client, server)
        except OSError:  # gone already
            pass
        except TooMany:
            if metrics is not None:
                metrics.connection_refused()
        except Exception:
            log.exception("a connection ended by a fault of ours")

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as listening:
            listening.start_soon(
                partial(trio.serve_listeners, talk, listeners, handler_nursery=connections)
            )
            task_status.started(url)
            await stop.wait()
            listening.cancel_scope.cancel()
        await context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + limits.grace_s


class Slots:
    """Who may be connected: so many of one address, so many of all, and a part of these is for the
    nodes of `mesh.networks`, so that nobody from elsewhere, who may have many addresses, can shut
    them out. Unix sockets do not count."""

    def __init__(self, limits: Limits, reach: Reach) -> None:
        self._reach = reach
        self._kept = limits.max_connections // KEPT_SHARE
        self._slots = AtOnce(limits.max_connections_per_address, limits.max_connections)

    def one(self, client: Client) -> AbstractContextManager[None]:
        """Raises TooMany."""
        if client is None:
            return nullcontext()
        address = client[0]
        kept = 0 if self._reach.is_network(address) else self._kept
        return self._slots.one(self._reach.counts_as(address), kept)


def require_hypercorn(version: str) -> None:
    """Raises ListenFault unless `version` is the one this module was made for."""
    if version != HYPERCORN:
        raise ListenFault(
            f"postbox serves with hypercorn {HYPERCORN} and found {version}: "
            f"install hypercorn=={HYPERCORN}"
        )


def listening_address(host: str) -> str:
    """The address that `host` is: an IP literal, or localhost. Raises ListenFault."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise ListenFault(
            f"cannot listen on {host!r}: it is no IP address; use 127.0.0.1 for this machine alone,"
            " an address of this machine, or 0.0.0.0 for all of them"
        ) from None


def dated(app: ASGIFramework, clock: Clock) -> ASGIFramework:
    """`app` with a Date header on its answers (RFC 9110, 6.6.1), by our clock and not by
    hypercorn's, which reads the machine's."""

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_dated(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                date = formatdate(clock.now_ns() // 10**9, usegmt=True).encode()
                event["headers"] = [*event["headers"], (b"date", date)]
            await send(event)

        await app(scope, receive, send_dated)

    return run


async def _listen(
    world: World, address: TcpAddress | UnixAddress
) -> tuple[list[trio.abc.Listener[trio.abc.Stream]], str]:
    """Listeners, and the URL that reaches them."""
    where = (
        f"{address.host} port {address.port}" if isinstance(address, TcpAddress) else address.path
    )
    try:
        match address:
            case UnixAddress(path):
                return [await world.net.listen_unix(path)], "http://local"
            case TcpAddress(host, port, tls):
                found = await world.net.listen(listening_address(host), port)
                scheme = "http" if tls is None else "https"
                url = _url(scheme, *found[0].socket.getsockname()[:2])
                if tls is None:
                    return list(found), url
                return [trio.SSLListener(each, tls, https_compatible=True) for each in found], url
    except OSError as error:
        what = _WHAT_TO_DO.get(error.errno or 0) or error.strerror or str(error)
        raise ListenFault(f"cannot listen on {where}: {what}") from error


_WHAT_TO_DO = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port (--listen)",
    errno.EADDRNOTAVAIL: "no address of this machine; name one that is, or 0.0.0.0 for all of them",
    errno.EACCES: "this user may not; choose a port from 1024 on",
}


def _config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("postbox.net")
    config.include_date_header = False
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.max_header_bytes
    # The default of 1,000 cuts long-lived gRPC channels off in the middle of a call.
    config.keep_alive_max_requests = 10**9
    return config


def _url(scheme: str, address: str, port: int) -> str:
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
