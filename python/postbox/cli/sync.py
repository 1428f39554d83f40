"""`postbox sync URL`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from postbox.cli.import_file import show_report
from postbox.cli.node import opened
from postbox.cli.options import Common, run
from postbox.cli.progress import progress
from postbox.mesh.client import Peer
from postbox.mesh.pull import Mode, pull
from postbox.net.client import open_client


def sync(
    url: str,
    /,
    *,
    mode: Mode = "page",
    loopback: Annotated[bool, Parameter(negative="")] = False,
    common: Common | None = None,
) -> int:
    """Pull once from the peer at URL (http://127.0.0.1:7433), whose key must be known here, as
    ours must be there.

    Parameters
    ----------
    mode
        page: all it has. sample: 5,000 by weight. recent: the newest 100.
    loopback
        Allow plain HTTP to this machine. This version calls nothing else.
    """
    options = common or Common()

    async def verb() -> int:
        async with opened(options, forgets=True) as node, open_client(node.world.net) as http:
            peer = Peer(node.world.clock, http, node.identity, node.directory, url)
            with progress(f"pulling from {url}", node.world.clock) as show:
                report = await pull(peer, node.intake, mode, lambda so_far: show(so_far.total))
            await node.settle()
        show_report(report, options.json)
        return 0

    return run(verb)
