"""Opens the node of a home for a verb."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from postbox.cli.options import Common
from postbox.node import Node, open_node
from postbox.world import system_world


@asynccontextmanager
async def opened(
    common: Common, name: str | None = None, *, forgets: bool = False
) -> AsyncIterator[Node]:
    """`forgets`: for the verbs that take events in, see `open_node`."""
    home, capacity = common.home_folder(), common.capacity()
    async with open_node(system_world(), home, capacity, name, forgets=forgets) as node:
        yield node
