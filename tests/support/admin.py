"""A node whose operator is served over its socket, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Serving, Tell
from postbox.admin.commands import COMMANDS
from postbox.admin.place import serving_socket
from postbox.admin.remote import RemoteOperator
from postbox.admin.server import serve_operator
from postbox.metrics import Metrics
from postbox.net.client import open_local_client
from postbox.node import Node

URL = "http://127.0.0.1:7433"


@asynccontextmanager
async def attended(
    node: Node, commands: Mapping[str, Command[Any, Any]] = COMMANDS
) -> AsyncIterator[RemoteOperator]:
    """The socket is served until the end; who uses it is handed out."""
    stop = trio.Event()
    async with (
        node.open_mesh(Metrics()) as mesh,
        node.open_hosts(Metrics()) as hosts,
        trio.open_nursery() as nursery,
    ):
        desk = Desk(node, Serving(URL, node.world.clock.elapsed_s(), mesh, hosts))
        await nursery.start(partial(serve_operator, desk, commands, stop=stop))
        try:
            async with operator_of(node) as operator:
                yield operator
        finally:
            stop.set()


@asynccontextmanager
async def operator_of(node: Node) -> AsyncIterator[RemoteOperator]:
    """One more of them, with a connection of its own."""
    socket = await serving_socket(node.world.net, node.home)
    assert socket is not None
    async with open_local_client(node.world.net, socket) as http:
        yield RemoteOperator(http, node.home)


class Words(Struct, frozen=True):
    words: str


def command(
    name: str, run: Callable[[Desk, Nothing, Tell], Awaitable[Words]]
) -> Command[Nothing, Words]:
    """One of the test's own."""
    return Command(name, Nothing, Words, run)
