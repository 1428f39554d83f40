"""Events a second that are stored and answered, over HTTP/1.1, beside an echo by connectrpc alone:
each is asked by turns, so that what else the machine does hits both."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import trio

from clients_bench.host import BATCH, Device, Host, serving
from clients_bench.line import line
from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.children import Child, cpu_s, running

TURNS = 4


class Way(NamedTuple):
    """`requests`: in a turn."""

    devices: int
    at_once: int
    requests: int


WAYS = {
    "1 device": Way(1, 1, 200),
    "32 devices": Way(32, 1, 960),
    f"1 device, batches of {BATCH}": Way(1, BATCH, 30),
    f"8 devices, batches of {BATCH}": Way(8, BATCH, 80),
}


class Took(NamedTuple):
    """One turn: events a second, how long each request took, and the server's CPU an event."""

    per_s: float
    times_s: list[float]
    cpu_us: float


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    heads = ("events/s", "p50 ms", "p99 ms", "CPU µs an event")
    beside = ("echo: events/s", "p50 ms", "p99 ms", "CPU µs")
    yield ("submits", "engine", *heads, *beside, "rate : echo", "CPU : echo")
    for engine, place in places.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postbox-bench-")))
            database = "" if engine == SQLITE else stack.enter_context(place())
            found = trio.run(_measure, folder, database)
        for name, (ours, echo) in found.items():
            ratio = f"{_rate(ours) / _rate(echo):.2f}", f"{_cpu(ours) / _cpu(echo):.1f}"
            yield name, engine, *_told(ours), *_told(echo), *ratio


async def _measure(folder: Path, database: str) -> dict[str, tuple[list[Took], list[Took]]]:
    async with AsyncExitStack() as stack:
        echo = await stack.enter_async_context(running("clients_bench.bare"))
        host = await stack.enter_async_context(serving(folder, database))
        devices = [host.device(f"user{at}") for at in range(max(w.devices for w in WAYS.values()))]
        await host.signed_in(*devices)
        room = await host.conversation(devices[0], devices[1:])
        return {name: await _compared(host, echo, devices, room, way) for name, way in WAYS.items()}


async def _compared(
    host: Host, echo: Child, devices: Sequence[Device], room: str, way: Way
) -> tuple[list[Took], list[Took]]:
    """The first turns are not counted."""
    ours, bare = [], []
    for _ in range(TURNS + 1):
        ours.append(await _turn(host.url, host.pid, devices, room, way))
        bare.append(await _turn(echo.url, echo.pid, devices, room, way))
    return ours[1:], bare[1:]


async def _turn(url: str, pid: int, devices: Sequence[Device], room: str, way: Way) -> Took:
    queues = [_requests(device, room, way) for device in devices[: way.devices]]
    times_s: list[float] = []

    async def ask(queue: Sequence[bytes]) -> None:
        async with line(url) as asking:
            for request in queue:
                asked_s = time.perf_counter()
                await asking.ask(request)
                times_s.append(time.perf_counter() - asked_s)

    cpu, begun_s = cpu_s(pid), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for queue in queues:
            nursery.start_soon(ask, queue)
    events = len(times_s) * way.at_once
    took_s = time.perf_counter() - begun_s
    return Took(events / took_s, times_s, (cpu_s(pid) - cpu) / events * 1e6)


def _requests(device: Device, room: str, way: Way) -> list[bytes]:
    made = (device.message(room) for _ in range(way.requests // way.devices * way.at_once))
    found = []
    while batch := list(islice(made, way.at_once)):
        found.append(device.sync(batch))
    return found


def _rate(turns: Sequence[Took]) -> float:
    """The best turn's: others were hit by other work."""
    return max(turn.per_s for turn in turns)


def _cpu(turns: Sequence[Took]) -> float:
    return min(turn.cpu_us for turn in turns)


def _told(turns: Sequence[Took]) -> Sequence[str]:
    times_s = sorted(time_s for turn in turns for time_s in turn.times_s)
    p50, p99 = (times_s[int(len(times_s) * part)] * 1e3 for part in (0.50, 0.99))
    return f"{_rate(turns):,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{_cpu(turns):.0f}"
