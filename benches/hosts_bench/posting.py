"""Events a second that are durable where they were posted, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import trio

from hosts_bench.events import postings
from kernel_bench.doors import Door
from kernel_bench.places import Place
from kernel_bench.writing import Setting, Written, admitting, submit_all
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import MIGRATIONS

RUNS = 3


class Way(NamedTuple):
    submitters: int
    at_once: int  # events of a posting
    postings: int
    hosts: int = 1


WAYS = {
    "1 submitter": Way(1, 1, 1_000),
    "16 submitters": Way(16, 1, 8_000),
    "128 submitters": Way(128, 1, 20_000),
    "128 submitters, to 1,000 hosts": Way(128, 1, 20_000, hosts=1_000),
    "1 submitter, batches of 128": Way(1, 128, 300),
    "8 submitters, batches of 128": Way(8, 128, 600),
    "8 submitters, batches of 1,000": Way(8, 1_000, 100),
}


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("durable posts", "engine", "events/s", "p50 ms", "p99 ms", "CPU µs an event")
    for name, way in WAYS.items():
        for engine, place in places.items():
            best = max(_measured(place, way) for _ in range(RUNS))
            per_s, cpu_us = best.per_s * way.at_once, best.cpu_us / way.at_once
            times = f"{best.p50_ms:.1f}", f"{best.p99_ms:.1f}"
            yield name, engine, f"{per_s:,.0f}", *times, f"{cpu_us:.0f}"


def _measured(place: Place, way: Way) -> Written:
    drafts = postings(way.postings, way.at_once, hosts=way.hosts, payers=way.submitters)
    door = Door(MIGRATIONS, HostRules(), drafts)
    with place() as database:
        return trio.run(_measure, database, door, way)


async def _measure(database: str, door: Door, way: Way) -> Written:
    async with admitting(database, door) as admission:
        return await submit_all(admission, door, Setting(way.submitters, 1, 0, way.postings))
