"""`postbox serve`."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

import trio
from cyclopts import Parameter

from postbox.cli.node import opened
from postbox.cli.options import Common, Usage, run
from postbox.mesh.server import MeshServer, make_app
from postbox.net.server import TcpAddress
from postbox.net.server import serve as serve_http
from postbox.node import Node


def serve(
    *,
    listen: str = "127.0.0.1:7433",
    name: str | None = None,
    loopback: Annotated[bool, Parameter(negative="")] = False,
    common: Common | None = None,
) -> int:
    """Run a node until SIGTERM or Ctrl-C. Says `ready URL` on stdout when it answers.

    Parameters
    ----------
    listen
        ADDRESS:PORT; port 0 takes a free one.
    name
        What a node that is made now is called; by default a name made from its key.
    loopback
        Allow plain HTTP between nodes on this machine. This version knows no other way.
    """
    options = common or Common()

    async def verb() -> int:
        host, port = _address(listen)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                stop, work = trio.Event(), trio.CancelScope()
                nursery.start_soon(_obey, signals, stop, work)
                with work:
                    async with opened(options, name, forgets=True) as node:
                        await _serve(node, host, port, stop)
                nursery.cancel_scope.cancel()
        return 0

    return run(verb)


async def _obey(signals: AsyncIterator[int], stop: trio.Event, work: trio.CancelScope) -> None:
    """The first signal ends the node in order, a second one at once."""
    async for _ in signals:
        if stop.is_set():
            work.cancel()
        stop.set()


async def _serve(node: Node, host: str, port: int, stop: trio.Event) -> None:
    server = MeshServer(node.world, node.identity, node.directory, node.ledger.index)
    app = make_app(server, node.world, node.identity)
    async with trio.open_nursery() as nursery:
        address = TcpAddress(host, port)
        url = await nursery.start(partial(serve_http, node.world, app, address, stop=stop))
        print(f"ready {url}", flush=True)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise Usage(f"--listen {listen!r}: say ADDRESS:PORT, as in 127.0.0.1:7433")
    return host.removeprefix("[").removesuffix("]"), int(port)
