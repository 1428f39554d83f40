"""A node inside an application's own process: what `postbox serve` runs, and a `Host` to use it by.

host = postbox.Host()
host.on(GuildJoined, handler)
async with postbox.open_host("home", host, {"hosts.name": "a.example"}):
    await host.post("b.example", event)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TextIO

import trio

from postbox.app import run
from postbox.config import load, overridden
from postbox.home import home_at
from postbox.hosts.applications.host import Host
from postbox.logs import configure
from postbox.world import World, system_world


@asynccontextmanager
async def open_host(
    home: str | Path,
    host: Host | None = None,
    settings: Mapping[str, object] = {},
    *,
    name: str | None = None,
    log_to: TextIO | None = None,
    world: World | None = None,
) -> AsyncIterator[Host]:
    """The node of this home, made if there is none, serves until the end of the block. It ends as
    by SIGTERM: requests under way get their time.

    `settings`: over those of the home's `config.toml`, as on a command line, by names like
    "serve.listen". `name`: of a node that is made now. `log_to`: where the node says what it does.
    Raises BadConfig, HomeInUse and other faults, with texts for the operator; what ends the node
    ends the block, too.
    """
    world, folder, host = world or system_world(), home_at(str(home)), host or Host()
    config = overridden(load(folder), settings)
    stop, is_ready = trio.Event(), trio.Event()

    async def serve() -> None:
        with trio.CancelScope(shield=True):  # however the block ends, the node ends in order
            await run(
                world,
                folder,
                config,
                name,
                stop=stop,
                ready=lambda _url: is_ready.set(),
                host=host,
            )

    with ExitStack() as stack:
        if log_to is not None:
            stack.enter_context(closing(configure(config.log, world.clock, log_to)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                await is_ready.wait()
                yield host
            finally:
                stop.set()
