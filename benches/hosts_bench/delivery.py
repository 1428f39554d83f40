"""Events from one host to another, two processes of `postbox serve`: how many a second while they
are posted, how soon each is there, and how long a backlog takes that grew while B was down."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hosts_bench.nodes import Host, two_hosts
from kernel_bench.places import SQLITE, Place

BACKLOG = int(os.environ.get("BACKLOG", "100000"))
PACED, PACED_PER_S, TOGETHER = 5_000, 1_000, 10


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("A to B", "engine", "events", "s", "events/s", "CPU µs an event, A and B; or how late")
    for engine, place in places.items():
        yield from _compared(engine, place, tls=False)
        if engine == SQLITE:
            yield from _compared(engine, place, tls=True)


def _compared(engine: str, place: Place, *, tls: bool) -> Iterator[Sequence[str]]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="postbox-bench-"))
        is_shared = engine != SQLITE
        databases = [stack.enter_context(place()) for _ in range(2)] if is_shared else []
        found = trio.run(_measure, Path(folder), databases, tls)
    for way, told in found.items():
        yield way, f"{engine}, TLS" if tls else engine, *told


async def _measure(folder: Path, databases: Sequence[str], tls: bool) -> dict[str, Sequence[str]]:
    async with two_hosts(folder, databases, tls=tls) as (a, b):
        found = {}
        async with _timed(a, b) as took:
            await a.post_many(b.name, BACKLOG)
            await a.wait_sent(b.name)
        found["while they are posted"] = took.told()
        await b.kill()
        await a.post_many(b.name, BACKLOG)
        await b.start()
        async with _timed(a, b) as took:
            await a.wait_sent(b.name)
        found["a backlog, once B is ready"] = took.told()
        found[f"at {PACED_PER_S:,} a second, by {TOGETHER}"] = await _paced(a, b)
        return found


@dataclass
class _Took:
    seconds: float = 0.0
    cpu_us: list[float] = field(default_factory=list)  # an event, of A and of B

    def told(self) -> Sequence[str]:
        cpu = ", ".join(f"{each:.0f}" for each in self.cpu_us)
        return f"{BACKLOG:,}", f"{self.seconds:.1f}", f"{BACKLOG / self.seconds:,.0f}", cpu


@asynccontextmanager
async def _timed(a: Host, b: Host) -> AsyncIterator[_Took]:
    took = _Took()
    begun_s, before = time.perf_counter(), [a.cpu_s(), b.cpu_s()]
    yield took
    took.seconds = time.perf_counter() - begun_s
    after = [a.cpu_s(), b.cpu_s()]
    took.cpu_us = [(n - o) / BACKLOG * 1e6 for o, n in zip(before, after, strict=True)]


async def _paced(a: Host, b: Host) -> Sequence[str]:
    """From when an event is durable at A to when B says that it has it, to some milliseconds."""
    posted: list[tuple[float, int]] = []
    came: list[tuple[float, int]] = []

    async def watch() -> None:
        while not came or len(posted) < PACED // TOGETHER or came[-1][1] < posted[-1][1]:
            received = (await b.link(a.name)).received
            came.append((trio.current_time(), received))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        begun_s = trio.current_time()
        for number in range(PACED // TOGETHER):
            await trio.sleep_until(begun_s + number * TOGETHER / PACED_PER_S)
            last_seq = (await a.post(b.name, TOGETHER)).last_seq
            assert last_seq is not None
            posted.append((trio.current_time(), last_seq))
        took_s = trio.current_time() - begun_s
    waits_ms = sorted(_waits_ms(posted, came))
    p50, p99 = (waits_ms[int(len(waits_ms) * part)] for part in (0.50, 0.99))
    waits = f"p50 {p50:.1f}, p99 {p99:.1f} ms"
    return f"{PACED:,}", f"{took_s:.1f}", f"{PACED / took_s:,.0f}", waits


def _waits_ms(
    posted: Sequence[tuple[float, int]], came: Sequence[tuple[float, int]]
) -> Iterator[float]:
    looks = iter(came)
    at_s, upto = next(looks)
    for posted_s, seq in posted:
        while upto < seq:
            at_s, upto = next(looks)
        yield max(0.0, at_s - posted_s) * 1e3
