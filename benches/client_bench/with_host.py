"""A device and a host, each a process, over TCP: how long the queue takes that a device filled
offline, and how long a device that was away takes to know everything."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import trio

from client_bench.device import TEXT
from clients_bench.host import Host, serving
from kernel_bench.places import Place
from postbox.client import Client, open_client

EVENTS = 10_000
WITHIN_RING = 4_900
"""A device that has missed more than 5,000 events is told by a snapshot."""
NOBODY = "http://127.0.0.1:9"


def rows(_places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield "a device and a host", "events", "s", "events/s"
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        for name, events, took_s in trio.run(_measure, Path(folder)):
            yield name, f"{events:,}", f"{took_s:.2f}", f"{events / took_s:,.0f}"


async def _measure(folder: Path) -> list[tuple[str, int, float]]:
    async with serving(folder) as host:
        ann, bob = _Phone(host, "ann", folder), _Phone(host, "bob", folder)
        await host.signed_in(host.device("bob"))
        await ann.begins_a_room()
        found = []
        for missed in (EVENTS, WITHIN_RING):
            await bob.catches_up()
            await ann.says(missed)
            if missed == EVENTS:
                found.append(("a queue, drained", missed, await ann.drains()))
                found.append(("missed, told by a snapshot", missed, await bob.catches_up()))
            else:
                await ann.drains()
                found.append(("missed, event by event", missed, await bob.catches_up()))
        return found


class _Phone:
    """Of one conversation."""

    def __init__(self, host: Host, user: str, folder: Path) -> None:
        self._url = host.url
        self._token = host.device(user).token
        self._path = folder / f"{user}.db"

    async def begins_a_room(self) -> None:
        async with open_client(self._url, self._token, self._path) as client:
            await client.create("room", ["bob"])
            await client.drained()

    async def says(self, messages: int) -> None:
        """Offline."""
        async with open_client(NOBODY, self._token, self._path) as client:
            [room] = await client.conversations()
            for _ in range(messages):
                await client.send(room, TEXT)

    async def drains(self) -> float:
        """From the start of the app until all of it was answered and has come down."""
        begun_s = time.perf_counter()
        async with open_client(self._url, self._token, self._path) as client:
            await client.drained()
            await _until_nothing_waits(client)
        return time.perf_counter() - begun_s

    async def catches_up(self) -> float:
        """From the start of the app."""
        begun_s = time.perf_counter()
        async with open_client(self._url, self._token, self._path) as client:
            await client.caught_up()
        return time.perf_counter() - begun_s


async def _until_nothing_waits(client: Client) -> None:
    changes = client.changes()
    while await client.queue(1):
        await anext(changes)
