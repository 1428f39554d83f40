"""The nodes of the demo: processes that serve, their configuration, their ends.

A node that ends without being told to ends the demo, with the last lines of its log.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from postbox.admin.command import Operator
from postbox.admin.place import serving_socket
from postbox.admin.remote import RemoteOperator
from postbox.cli.demo.commands import Commands, DemoFailed, lines, postbox, say, show_command
from postbox.net.client import open_local_client
from postbox.world import Net, World

READY_S = 60.0  # it reads its log, in a second or two
STOP_S = 15.0  # a node stops within 10
PORTS = range(20_000, 30_000)
"""Below those that systems give to whoever asks for any: the ports of a node that is down for a
while are not given away, and it can be called again where it was."""
HOST = "127.0.0.1"
PULL_EVERY_S = 2
LOG_LINES = 5


async def free_urls(world: World, count: int) -> list[str]:
    """Addresses that nobody listens on, for nodes that must know each other's before they start."""
    urls: list[str] = []
    while len(urls) < count:
        drawn = int.from_bytes(world.random.bytes(4), "big")
        url = f"http://{HOST}:{PORTS[drawn % len(PORTS)]}"
        if url not in urls and await _is_free(world.net, int(url.rpartition(":")[2])):
            urls.append(url)
    return urls


async def _is_free(net: Net, port: int) -> bool:
    try:
        listeners = await net.listen(HOST, port)
    except OSError:
        return False
    for listener in listeners:
        await listener.aclose()
    return True


def configure(home: Path, url: str, peers: Sequence[str], memory: str) -> None:
    quoted = ", ".join(f'"{peer}"' for peer in peers)
    text = (
        f'node.memory = "{memory}"\n'
        f'serve.listen = "{url.removeprefix("http://")}"\n'
        "serve.loopback = true\n"
        f"mesh.peers = [{quoted}]\n"
        f"mesh.pull_every = {PULL_EVERY_S}\n"
    )
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(text, encoding="utf-8")


@dataclass
class ServingNode:
    """A `postbox serve` that was ready, and may have ended since."""

    home: str
    url: str
    process: trio.Process
    may_end: bool = False

    async def stop(self) -> int:
        """Its exit code after a SIGTERM."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        self.may_end = True
        self.process.send_signal(number)
        with trio.move_on_after(STOP_S):
            return await self.process.wait()
        raise DemoFailed(f"{self.home} was told to stop, and still ran {STOP_S:.0f} s later")


class Nodes:
    """Starts nodes; they end with the nursery at the latest."""

    def __init__(self, world: World, commands: Commands, nursery: trio.Nursery) -> None:
        self._world = world
        self._commands = commands
        self._nursery = nursery

    async def start(self, homes: Sequence[str]) -> list[ServingNode]:
        """At once. Returned when all are ready."""
        started: dict[str, ServingNode] = {}

        async def start(home: str) -> None:
            started[home] = await self._start(home)

        for home in homes:
            show_command(_serve(home), f"2>> {home}.log &")
        async with trio.open_nursery() as nursery:
            for home in homes:
                nursery.start_soon(start, home)
        for home in homes:
            say(f"    {home:<6} ready {started[home].url}")
        return [started[home] for home in homes]

    async def _start(self, home: str) -> ServingNode:
        with self._log(home).open("ab") as log:
            run = partial(
                trio.run_process,
                self._commands.arguments(_serve(home)),
                cwd=self._commands.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
            process: trio.Process = await self._nursery.start(run)
        node = ServingNode(home, await self._ready(home, process), process)
        self._nursery.start_soon(self._guard, node)
        return node

    async def _ready(self, home: str, process: trio.Process) -> str:
        assert process.stdout is not None
        with trio.move_on_after(READY_S):
            async with aclosing(lines(process.stdout)) as said:
                async for line in said:
                    return line.removeprefix("ready ")
            raise DemoFailed(f"{home} ended before it was ready: {self._last_words(home)}")
        raise DemoFailed(f"{home} was not ready after {READY_S:.0f} s: {self._last_words(home)}")

    async def _guard(self, node: ServingNode) -> None:
        code = await node.process.wait()
        if not node.may_end:
            raise DemoFailed(f"{node.home} ended by itself ({code}): {self._last_words(node.home)}")

    def _last_words(self, home: str) -> str:
        said = self._log(home).read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(said[-LOG_LINES:]) or "its log is empty"

    def _log(self, home: str) -> Path:
        return self._commands.folder / f"{home}.log"

    @asynccontextmanager
    async def operator(self, node: ServingNode) -> AsyncIterator[Operator]:
        """Asks the node what its operator may ask, without a process for each question."""
        net, home = self._world.net, self._commands.folder / node.home
        socket = await serving_socket(net, home)
        if socket is None:
            raise DemoFailed(f"{node.home} serves, and its operator cannot reach it")
        async with open_local_client(net, socket) as http:
            yield RemoteOperator(http, home)


def _serve(home: str) -> list[str]:
    return postbox("serve", home=home)
