"""Hosts as an operator runs them: processes of `postbox serve`, asked over their sockets."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio
import trustme

from hosts_bench.events import TYPE_URL, VALUE
from postbox.admin.command import Command, Nothing, Req, Res
from postbox.admin.links import LINKS, LinkSeen
from postbox.admin.place import serving_socket
from postbox.admin.posting import POST, Post, Posted
from postbox.admin.remote import RemoteOperator
from postbox.cli.bench.children import cpu_s
from postbox.cli.demo.nodes import free_urls
from postbox.home import DATABASE
from postbox.net.client import open_local_client
from postbox.store.application import execute, open_for_application
from postbox.world import system_world

POLL_S = 0.05  # a look takes the node two milliseconds
AT_ONCE = 1_000
WORLD = system_world()


@dataclass
class Host:
    name: str
    home: Path
    nursery: trio.Nursery
    database: str
    _process: trio.Process | None = None

    async def start(self) -> None:
        """Returned when it says that it is ready."""
        words = [sys.executable, "-m", "postbox", "serve", "--home", str(self.home)]
        with self.home.with_suffix(".log").open("ab") as log:
            run = partial(trio.run_process, words, stdout=subprocess.PIPE, stderr=log, check=False)
            process: trio.Process = await self.nursery.start(run)
        assert process.stdout is not None
        line = await process.stdout.receive_some()
        assert line.startswith(b"ready "), self.home.with_suffix(".log").read_text()
        self._process = process

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def cpu_s(self) -> float:
        assert self._process is not None
        return cpu_s(self._process.pid)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[RemoteOperator]:
        socket = await serving_socket(WORLD.net, self.home)
        assert socket is not None, f"{self.name} is not served"
        async with open_local_client(WORLD.net, socket) as http:
            yield RemoteOperator(http, self.home)

    async def ask(self, command: Command[Req, Res], request: Req) -> Res:
        async with self.operator() as operator:
            return await operator.call(command, request)

    async def post(self, to: str, count: int) -> Posted:
        return await self.ask(POST, Post(to, TYPE_URL, [VALUE] * count))

    async def post_many(self, to: str, count: int) -> None:
        """Two calls under way at any time."""
        left = iter(range(0, count, AT_ONCE))

        async def post() -> None:
            for _ in left:
                await self.post(to, AT_ONCE)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(post)
            nursery.start_soon(post)

    async def link(self, other: str) -> LinkSeen:
        seen = await self.ask(LINKS, Nothing())
        [link] = [link for link in seen.links if link.host == other]
        return link

    async def wait_sent(self, other: str) -> None:
        """Until the other one has confirmed all."""
        while True:
            if not (await self.link(other)).queued:
                return
            await trio.sleep(POLL_S)

    def stored_at_ms(self, stream: bytes) -> dict[int, int]:
        """When the commits began that have its events, by their numbers."""
        sql = "select seq, at_ms from entry where stream = ? and seq is not null"
        with closing(open_for_application(WORLD.disk, self.database)) as connection:
            return dict(execute(connection, sql, (stream,)))

    async def wait_received(self, other: str, seq: int) -> float:
        """When it was there, by trio's clock."""
        while True:
            if (await self.link(other)).received >= seq:
                return trio.current_time()
            await trio.sleep(POLL_S)


@asynccontextmanager
async def one_host(folder: Path) -> AsyncIterator[Host]:
    """On SQLite, over plain HTTP."""
    [url] = await free_urls(WORLD, 1)
    name, home = url.removeprefix("http://"), folder / "a"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(_config(home, name, None, None))
    async with trio.open_nursery() as nursery:
        host = Host(name, home, nursery, str(home / DATABASE))
        await host.start()
        yield host
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_hosts(
    folder: Path, databases: Sequence[str], *, tls: bool = False
) -> AsyncIterator[tuple[Host, Host]]:
    """Both serve, and each has heard of the other. `databases`: as `--store` takes them, or none
    for SQLite."""
    urls = await free_urls(WORLD, 2)
    names = [url.removeprefix("http://") for url in urls]
    homes = [folder / "a", folder / "b"]
    authority = trustme.CA() if tls else None
    for at, home in enumerate(homes):
        home.mkdir(mode=0o700)
        database = databases[at] if databases else None
        (home / "config.toml").write_text(_config(home, names[at], database, authority))
    async with trio.open_nursery() as nursery:
        places = databases or [str(home / DATABASE) for home in homes]
        one, other = (Host(n, h, nursery, p) for n, h, p in zip(names, homes, places, strict=True))
        await other.start()
        await one.start()
        await one.post(other.name, 1)
        await one.wait_sent(other.name)
        yield one, other
        nursery.cancel_scope.cancel()


def _config(home: Path, name: str, database: str | None, authority: trustme.CA | None) -> str:
    lines = [f'serve.listen = "{name}"', "serve.loopback = true", f'hosts.name = "{name}"']
    lines.append("hosts.requests_per_minute = 1000000")  # the work is measured, not the limit
    if database is not None:
        lines.append(f'node.store = "{database}"')
    if authority is not None:
        pem, ca = home / "tls.pem", home / "ca.pem"
        authority.cert_pem.write_to_path(str(ca))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
        lines += [f'serve.tls_cert = "{pem}"', f'serve.tls_key = "{pem}"', f'hosts.ca = "{ca}"']
    return "\n".join(lines) + "\n"
