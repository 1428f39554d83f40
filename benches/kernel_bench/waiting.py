"""A thousand readers that wait for fifty streams each, while 20,000 events a second are committed.

What the loop spends on waking and reading, as a share of a core: its CPU with the readers less its
CPU without. The commits come ready made and on time, so that nothing else is measured. A reader
that is woken reads its page out of memory and waits again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import trio
import trio.testing

from kernel_bench.places import SQLITE, Place
from postbox.log.committed import Committed, Interest, committed
from postbox.log.tail import Tail, open_tail
from postbox.store.contract import Change, Entry, Lane, Window
from postbox.store.open import open_store
from postbox.world import system_world

READERS = 1_000
STREAMS = 50  # of each reader
EVENTS_PER_S = 20_000
SECONDS = 3
RUNS = 2


class Case(NamedTuple):
    name: str
    commits_per_s: int
    theirs: int  # one event in so many lies in a stream of a reader, the others in one of nobody


CASES = (
    Case("nobody's events", 100, 0),
    Case("one event in ten is a reader's", 100, 10),
    Case("every event is a reader's, 20 commits/s", 20, 1),
    Case("every event is a reader's, 100 commits/s", 100, 1),
)


class Spent(NamedTuple):
    cores: float
    wakes: int


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("20,000 events/s, 1,000 readers of 50 streams", "wakes/s", "cores", "µs a wake")
    for case in CASES:
        commits = _commits(case)
        idle: list[Spent] = []
        busy: list[Spent] = []
        for _ in range(RUNS):
            for readers, found in ((0, idle), (READERS, busy)):
                with places[SQLITE]() as database:
                    found.append(trio.run(_measure, database, commits, readers))
        spent, wakes = min(busy).cores - min(idle).cores, min(busy).wakes / SECONDS
        each = f"{spent / wakes * 1e6:.0f}" if wakes else ""
        yield case.name, f"{wakes:,.0f}", f"{spent:.3f}", each


def _commits(case: Case) -> list[Committed]:
    """Every stream has one reader, and takes its turn."""
    size = EVENTS_PER_S // case.commits_per_s
    return [
        committed(
            Change(appends=[_entry(case, at) for at in range(head - size + 1, head + 1)]), head
        )
        for head in range(size, EVENTS_PER_S * SECONDS + 1, size)
    ]


def _entry(case: Case, at: int) -> Entry:
    stream = b"nobody's"
    if case.theirs and at % case.theirs == 0:
        turn = at // case.theirs
        stream = b"%d/%d" % (turn % READERS, turn // READERS % STREAMS)
    return Entry(at, Lane.CLIENTS, stream, None, b"", 1, 0, b"", 0, os.urandom(250))


async def _measure(database: str, commits: Sequence[Committed], readers: int) -> Spent:
    async with open_store(system_world(), database) as store:
        tail, wakes = await open_tail(store), 0

        async def read(number: int) -> None:
            nonlocal wakes
            windows = [Window(b"%d/%d" % (number, at)) for at in range(STREAMS)]
            interest = Interest(Lane.CLIENTS, frozenset(window.stream for window in windows))
            with tail.watch(interest) as watch:
                after = 0
                while True:
                    after = await watch.wait(after)
                    after = (await tail.page(Lane.CLIENTS, windows, after)).next
                    wakes += 1

        async with trio.open_nursery() as nursery:
            for number in range(readers):
                nursery.start_soon(read, number)
            await trio.testing.wait_all_tasks_blocked()
            cpu_s = time.process_time()
            await _publish(tail, commits)
            cores = (time.process_time() - cpu_s) / SECONDS
            nursery.cancel_scope.cancel()
        return Spent(cores, wakes)


async def _publish(tail: Tail, commits: Sequence[Committed]) -> None:
    begun_s = trio.current_time()
    for number, commit in enumerate(commits, 1):
        await trio.sleep_until(begun_s + number * SECONDS / len(commits))
        await tail.publish(commit, 0)
