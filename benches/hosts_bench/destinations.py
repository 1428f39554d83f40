"""One host that sends to 500 others: how soon they have all, by themselves and beside 500 that are
down. Half of these refuse connections, half accept them and never answer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import trio

from hosts_bench.nodes import Host, one_host
from kernel_bench.places import SQLITE, Place
from postbox.admin.command import Nothing
from postbox.admin.links import LINKS
from postbox.cli.bench.children import running

UP = int(os.environ.get("DESTINATIONS", "1000")) // 2
EVENTS, ROUNDS = 20, 3  # for each host, in each round
POLL_S = 0.2


class Crowd(NamedTuple):
    up: Sequence[str]
    down: Sequence[str]


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    heads = ("engine", "hosts that answer", "hosts that are down")
    yield (*heads, *(f"round {number}: s, CPU s" for number in range(1, ROUNDS + 1)))
    for is_beside_down in (False, True):
        with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
            found = trio.run(_measure, Path(folder), is_beside_down)
        down = f"{UP:,}" if is_beside_down else "0"
        yield SQLITE, f"{UP:,}", down, *(f"{took:.1f}, {cpu:.1f}" for took, cpu in found)


async def _measure(folder: Path, is_beside_down: bool) -> list[tuple[float, float]]:
    async with AsyncExitStack() as stack:
        child = await stack.enter_async_context(running("hosts_bench.crowd"))
        crowd = _crowd(child.url)
        host = await stack.enter_async_context(one_host(folder))
        return [await _round(host, crowd, is_beside_down) for _ in range(ROUNDS)]


async def _round(host: Host, crowd: Crowd, is_beside_down: bool) -> tuple[float, float]:
    begun_s, cpu_s = trio.current_time(), host.cpu_s()
    for at, up in enumerate(crowd.up):
        if is_beside_down:
            await host.post(crowd.down[at], EVENTS)
        await host.post(up, EVENTS)
    while True:
        queued = {link.host: link.queued for link in (await host.ask(LINKS, Nothing())).links}
        if not any(queued[up] for up in crowd.up):
            return trio.current_time() - begun_s, host.cpu_s() - cpu_s
        await trio.sleep(POLL_S)


def _crowd(said: str) -> Crowd:
    """Names by what the process says: `URL silent PORT`."""
    url, _, silent_port = said.split()
    port = url.rpartition(":")[2]
    up = [f"127.1.{number >> 8}.{number & 255}:{port}" for number in range(UP)]
    refusing = [f"127.2.{number >> 8}.{number & 255}:9" for number in range(UP // 2)]
    silent = [f"127.3.{n >> 8}.{n & 255}:{silent_port}" for n in range(UP - UP // 2)]
    return Crowd(up, refusing + silent)
