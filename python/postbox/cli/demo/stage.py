"""What the parts of the demo stand on: its homes, the nodes that serve them, and the proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import trio

from postbox.cli.demo.commands import Commands, say, show_command
from postbox.cli.demo.nodes import Nodes, ServingNode
from postbox.cli.demo.proofs import Proofs
from postbox.cli.demo.view import DIGITS
from postbox.cli.demo.watch import Holds, Watch
from postbox.world import World

HOMES = ("north", "south", "east")
IN_STEP_S = 120.0
"""For whatever nodes do by themselves: it takes seconds, on a machine that has time."""


class Stage:
    """`urls`: every home, with the URL of its node."""

    def __init__(
        self, world: World, folder: Path, urls: Mapping[str, str], nursery: trio.Nursery
    ) -> None:
        self.world = world
        self.folder = folder
        self.urls = urls
        self.commands = Commands(folder)
        self.nodes = Nodes(world, self.commands, nursery)
        self.watch = Watch(self.nodes, world.clock, urls)
        self.serving: dict[str, ServingNode] = {}
        self.proofs = Proofs()

    async def start(self, homes: Iterable[str]) -> None:
        for node in await self.nodes.start(list(homes)):
            self.serving[node.home] = node

    async def kill(self, home: str) -> None:
        node = self.serving.pop(home)
        show_command(["kill", "-9", str(node.process.pid)], f"   # {home}")
        await node.kill()
        self.watch.lost(home, "killed")

    async def until(self, holds: Holds, what: str) -> None:
        """Shows the nodes until that holds of them."""
        took_s = await self.watch.until(list(self.serving.values()), holds, what, IN_STEP_S)
        digests = {self.watch.digest_of(home)[:DIGITS] for home in self.serving}
        say(f"  {what} after {took_s:.1f} s, digest {', '.join(digests)}")

    async def stop(self) -> dict[str, int]:
        """All that serve, each with its exit code."""
        nodes = list(self.serving.values())
        show_command(["kill", *(str(node.process.pid) for node in nodes)])
        codes: dict[str, int] = {}

        async def stop(node: ServingNode) -> None:
            codes[node.home] = await node.stop()

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(stop, node)
        self.serving.clear()
        return codes
