"""Finds whom a verb speaks to: the node that serves its home, or else the home itself, opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from postbox.admin.command import Desk, Operator
from postbox.admin.local import LocalOperator
from postbox.admin.place import serving_socket
from postbox.cli.options import Common
from postbox.cli.output import complain, events, note
from postbox.errors import HomeInUse
from postbox.world import system_world

if TYPE_CHECKING:
    from postbox.config import Config
    from postbox.node import Node

IN_USE_S = 5.0
"""How long a home that another process has open, and does not serve, is tried again: a verb like
`trust add` has it for less than a second, a node that starts with a million events for three."""
TRY_AGAIN_S = 0.1


@asynccontextmanager
async def operated(
    common: Common, *, forgets: bool = False, loopback: bool = False
) -> AsyncIterator[Operator]:
    """Whoever carries out commands for this home. `forgets`: for the verbs that take events in,
    see `open_node`. Raises HomeInUse if another process has the home and does not serve it."""
    home, world = common.home_folder(), system_world()
    deadline = trio.current_time() + IN_USE_S
    async with AsyncExitStack() as stack:
        while True:
            socket = await serving_socket(world.net, home)
            if socket is not None:
                # HTTP takes a fifth of what a verb takes to load, and few nodes serve meanwhile.
                from postbox.admin.remote import RemoteOperator
                from postbox.net.client import open_local_client

                _tell_unused(common, loopback=loopback)
                http = await stack.enter_async_context(open_local_client(world.net, socket))
                yield RemoteOperator(http, home)
                return
            try:
                config = common.config({"serve.loopback": loopback or None})
                opening = opened(home, config, forgets=forgets)
                node = await stack.enter_async_context(opening)
                _tell_forgotten(node)
            except HomeInUse:
                if trio.current_time() >= deadline:
                    raise
                await trio.sleep(TRY_AGAIN_S)
            else:
                yield LocalOperator(Desk(node))
                return


def _tell_unused(common: Common, *, loopback: bool) -> None:
    """Options of the node that this command was given, and that node was started with others."""
    given = {
        "--memory": common.memory is not None,
        "--store": common.store is not None,
        "--loopback": loopback,
    }
    for option in (option for option, is_given in given.items() if is_given):
        complain(f"{option} has no effect: the node serves, with its own")


def _tell_forgotten(node: Node) -> None:
    """Of a log that has more events than this node has memory for; see `ledger._tell_evicted`."""
    from postbox.mesh.ledger import RETENTION

    ledger = node.ledger
    if ledger.surplus and node.leases.is_held(RETENTION):
        size, capacity = len(ledger.index) + ledger.surplus, ledger.index.capacity
        complain(
            f"{ledger.surplus:,} of {events(size)} left the log: --memory"
            f" {node.config.node.memory} keeps {capacity:,}"
        )


@asynccontextmanager
async def opened(
    home: Path, config: Config, name: str | None = None, *, forgets: bool = False
) -> AsyncIterator[Node]:
    """The home's node, in this process; made, and said so, if there is none."""
    from postbox.node import open_node  # all that a node is of: not for who asks one that serves
    from postbox.trust.keyfile import has_key

    is_new = not has_key(home)
    async with open_node(system_world(), home, config, name, forgets=forgets) as node:
        if is_new:
            note(f"made a new node {node.identity.name} in {home}")
        yield node
