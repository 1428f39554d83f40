"""`postbox sync URL`."""

from __future__ import annotations

from typing import Annotated

from postbox.admin.sync import SYNC, Pull
from postbox.cli.import_file import show_report
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, Usage, run
from postbox.cli.progress import progress
from postbox.config.kinds import URL_EXPECTED, url_of
from postbox.mesh.calling.pull import Mode
from postbox.world import SystemClock


def sync(
    url: str,
    /,
    *,
    mode: Mode = "page",
    loopback: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Pull once from the peer at URL (http://100.64.0.7:7433). Nodes that do not know each other
    introduce themselves.

    Parameters
    ----------
    url
        The peer's, as http://100.64.0.7:7433.
    mode
        page: all it has. sample: 5,000 by weight. recent: the newest 100.
    loopback
        Allow plain HTTP to this machine and to private addresses. A node that serves calls whom
        it was started to call.
    """
    options = common or Common()

    async def verb() -> int:
        try:
            peer = url_of(url)
        except ValueError as error:
            raise Usage(f"expected the URL of a peer, {URL_EXPECTED}, {error}") from error
        async with operated(options, forgets=True, loopback=loopback) as operator:
            with progress(f"pulling from {peer}", SystemClock()) as show:
                taken = await operator.call(
                    SYNC, Pull(peer, mode), lambda so_far: show(so_far.count)
                )
        show_report(taken.report(), taken.forgotten, options.json)
        return 0

    return run(verb, as_json=options.json)
