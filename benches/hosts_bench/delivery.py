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

from hosts_bench.events import TYPE_URL, VALUE
from hosts_bench.nodes import Host, two_hosts
from kernel_bench.places import SQLITE, Place
from postbox.admin.posting import POST, Post
from postbox.hosts.tables import in_stream, out_stream

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
    """How much later B begins the commit that has an event than A did, to a millisecond. Read from
    their logs afterwards: whoever asks B while it works delays what he waits for."""
    seen = max(a.stored_at_ms(out_stream(b.name)))
    async with a.operator() as operator:
        begun_s = trio.current_time()
        for number in range(PACED // TOGETHER):
            await trio.sleep_until(begun_s + number * TOGETHER / PACED_PER_S)
            await operator.call(POST, Post(b.name, TYPE_URL, [VALUE] * TOGETHER))
        took_s = trio.current_time() - begun_s
    await a.wait_sent(b.name)
    came = b.stored_at_ms(in_stream(a.name))
    posted = a.stored_at_ms(out_stream(b.name))
    waits_ms = sorted(came[seq] - at_ms for seq, at_ms in posted.items() if seq > seen)
    p50, p99 = (waits_ms[int(len(waits_ms) * part)] for part in (0.50, 0.99))
    return f"{PACED:,}", f"{took_s:.1f}", f"{PACED / took_s:,.0f}", f"p50 {p50}, p99 {p99} ms"
