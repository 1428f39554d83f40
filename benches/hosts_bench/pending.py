"""What one more posting costs when a million wait for a host that is down, and what it costs when
none does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import trio

from hosts_bench.events import postings
from kernel_bench.doors import Door
from kernel_bench.places import Place
from kernel_bench.writing import Setting, Written, admitting, submit_all
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import MIGRATIONS
from postbox.log.admission import Admission

PENDING = int(os.environ.get("PENDING", "1000000"))
DEPTHS = (0, PENDING // 10, PENDING)
AT_ONCE = 1_000
SUBMITTERS, SINGLE = 128, 10_000
RULES = HostRules()


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    heads = ("engine", "pending", "single posts/s", "p50 ms", "p99 ms", "CPU µs")
    yield (*heads, "batches of 1,000 until then, events/s")
    for engine, place in places.items():
        with place() as database:
            found = trio.run(_measure, database)
        for pending, (single, filled_per_s) in found.items():
            times = f"{single.p50_ms:.1f}", f"{single.p99_ms:.1f}", f"{single.cpu_us:.0f}"
            batched = f"{filled_per_s:,.0f}" if filled_per_s else ""
            yield engine, f"{pending:,}", f"{single.per_s:,.0f}", *times, batched


async def _measure(database: str) -> dict[int, tuple[Written, float]]:
    """By how many were pending; with the rate at which that depth was reached from the last one."""
    found = {}
    async with admitting(database, Door(MIGRATIONS, RULES, ())) as admission:
        found[0] = await _single(admission), 0.0
        for fewer, depth in pairwise(DEPTHS):
            filled_per_s = await _fill(admission, depth - fewer)
            found[depth] = await _single(admission), filled_per_s
    return found


async def _single(admission: Admission) -> Written:
    door = Door(MIGRATIONS, RULES, postings(SINGLE, 1, payers=SUBMITTERS))
    return await submit_all(admission, door, Setting(SUBMITTERS, 1, 0, SINGLE))


async def _fill(admission: Admission, count: int) -> float:
    """Two calls under way at any time, so that the writer never waits. Returns events/s."""
    begun_s = time.perf_counter()
    left = iter(range(0, count, AT_ONCE))

    async def submit() -> None:
        for _ in left:
            await admission.submit(RULES, postings(1, AT_ONCE))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(submit)
    return count / (time.perf_counter() - begun_s)
