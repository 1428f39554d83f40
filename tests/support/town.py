"""Nodes at addresses of a network in memory, on virtual time, with the real server and client.

A node here is what it is in `app.run`, without the operator's socket: `open_node`, the mesh's
door, hypercorn. Homes lie in a folder; databases are those of a `MemoryDisk` each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.mesh.door import Mesh
from postbox.mesh.wire import MODES, About
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.asgi import Reply, discard_body, send_reply, text
from postbox.net.client import Client, open_client
from postbox.net.server import TcpAddress, serve
from postbox.node import Node, open_node
from postbox.world import World
from support.mesh import Wrap, config_of
from support.networks import DEFAULT_NETWORKS
from support.simulate import MemoryDisk, Simulation, simulate
from support.simulate import Node as Life

PORT = 7433
REACH = Reach(DEFAULT_NETWORKS, loopback=False)


def address_of(number: int) -> str:
    """Of the nodes of a mesh, the first of which is 0."""
    return f"100.64.{1 + number // 200}.{1 + number % 200}"


def url_of(number: int) -> str:
    return f"http://{address_of(number)}:{PORT}"


def number_of(address: str) -> int:
    third, fourth = map(int, address.split(".")[2:])
    return (third - 1) * 200 + fourth - 1


@dataclass(frozen=True)
class House:
    """A node that serves, and its door."""

    node: Node
    mesh: Mesh
    url: str


@dataclass
class Town:
    simulation: Simulation
    homes: Path
    disks: dict[str, MemoryDisk] = field(default_factory=dict)

    def life(self, address: str) -> Life:
        """A new life of what is at that address, on the disk that it had before."""
        return self.simulation.node(self.disks.setdefault(address, MemoryDisk()), address)

    def world(self, address: str) -> World:
        return self.life(address).world

    @asynccontextmanager
    async def house(
        self,
        address: str,
        name: str,
        *,
        world: World | None = None,
        tls: SSLContext | None = None,
        loopback: bool = False,
        wrap: Wrap = lambda app: app,
        **mesh: Any,
    ) -> AsyncIterator[House]:
        """The node `name` serves at `address`; `mesh`: keys of that section of its configuration.
        `wrap`: what stands between the server and the door."""
        world = world or self.world(address)
        config = config_of(loopback=loopback, **mesh)
        async with open_node(world, self.homes / name, config, name) as node:
            place = f"{'https' if tls else 'http'}://{address}:{PORT}"
            async with node.open_mesh(Metrics(), place) as door:
                app = wrap(door.make_app(lambda: About("1", list(MODES), place, "custom", 0)))
                async with self.serving(address, app, world=world, tls=tls) as url:
                    yield House(node, door, url)

    @asynccontextmanager
    async def serving(
        self,
        address: str,
        app: ASGIFramework,
        *,
        world: World | None = None,
        tls: SSLContext | None = None,
    ) -> AsyncIterator[str]:
        world = world or self.world(address)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            where = TcpAddress(address, PORT, tls)
            url = await nursery.start(partial(serve, world, app, where, stop=stop))
            try:
                yield str(url)
            finally:
                stop.set()

    @asynccontextmanager
    async def caller(
        self, address: str, trusted: SSLContext | None = None
    ) -> AsyncIterator[Client]:
        """Somebody at that address who has no node."""
        async with open_client(self.world(address).net, trusted, reach=REACH) as http:
            yield http


Answers = Mapping[str, Reply | Callable[[], Reply]]


@dataclass
class Canned:
    """A host that answers each path as it was told, whatever it is asked, and notes what was."""

    answers: Answers
    pause_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        self.asked.append(scope["path"])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await discard_body(receive)
            await trio.sleep(self.pause_s)
            answer = self.answers.get(scope["path"], text(404, "404 page not found"))
            await send_reply(send, answer if isinstance(answer, Reply) else answer())
        finally:
            self.under_way -= 1


def after(seconds: float) -> Wrap:
    """Every answer takes so long."""

    def wrap(app: ASGIFramework) -> ASGIFramework:
        async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            await trio.sleep(seconds)
            await app(scope, receive, send)

        return run

    return wrap


def in_town(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test, whose first parameter is `town`, under `simulate`."""
    signature = inspect.signature(test)
    town, *others = signature.parameters.values()
    assert town.name == "town"

    @functools.wraps(test)
    def run(tmp_path: Path, **fixtures: object) -> None:
        async def main(simulation: Simulation) -> None:
            await test(Town(simulation, tmp_path), **fixtures)

        simulate(1, main)

    homes = inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*others, homes])  # type: ignore[attr-defined]
    return run
