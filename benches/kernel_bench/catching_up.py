"""A reader that is far behind: pages of 500 entries, one after the other, out of the store and out
of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import trio

from kernel_bench.doors import chat
from kernel_bench.places import Place
from postbox.log import ring
from postbox.log.admission import Admission
from postbox.log.tail import Tail, open_tail
from postbox.store.contract import Lane, Query, Reader, Window, Windows
from postbox.store.open import open_store
from postbox.world import system_world

RUNS = 3
STREAMS = 100
ENTRIES = 50_000
PAGE = 500
PAGE_BYTES = 2**20
HALF = [Window(f"user-{at}".encode()) for at in range(0, STREAMS, 2)]
READERS: dict[str, Windows | None] = {"the whole lane": None, "50 of its 100 streams": HALF}


_ALL = Query(
    "bench_all",
    "select pos, stream, seq, id, kind, flags, author, at_ms, body from entry order by pos",
)


class CaughtUp(NamedTuple):
    entries_per_s: float
    pages_per_s: float


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("engine", "out of", "reader", "entries/s", "pages/s", "rows by the driver alone/s")
    for engine, place in places.items():
        with place() as database:
            found = trio.run(_measure, database)
        for (source, reader), (caught_up, alone) in found.items():
            told = f"{caught_up.entries_per_s:,.0f}", f"{caught_up.pages_per_s:,.0f}"
            yield engine, source, reader, *told, alone


async def _measure(database: str) -> dict[tuple[str, str], tuple[CaughtUp, str]]:
    door, world = chat(STREAMS, ENTRIES), system_world()
    async with open_store(world, database, [door.migrations]) as store:
        tail = await open_tail(store)
        admission = Admission(world.clock, store, tail)
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            await admission.submit(door.rules, door.before)
            await admission.submit(door.rules, door.drafts)
            nursery.cancel_scope.cancel()
        alone = f"{max([await store.read(_rows_per_s) for _ in range(RUNS)]):,.0f}"
        newest = tail.head - ring.MAX_ENTRIES // 2
        found = {}
        for name, windows in READERS.items():
            found["the store", name] = await _read_from(tail, windows, 0, newest), alone
            found["memory", name] = await _read_from(tail, windows, newest, tail.head), ""
        return found


async def _read_from(tail: Tail, windows: Windows | None, after: int, upto: int) -> CaughtUp:
    best = CaughtUp(0, 0)
    for _ in range(RUNS):
        at, pages, entries, begun_s = after, 0, 0, time.perf_counter()
        while at < upto:
            page = await tail.page(Lane.CLIENTS, windows, at, PAGE, PAGE_BYTES)
            at, pages, entries = page.next, pages + 1, entries + len(page.entries)
        elapsed_s = time.perf_counter() - begun_s
        best = max(best, CaughtUp(entries / elapsed_s, pages / elapsed_s))
    return best


def _rows_per_s(reader: Reader) -> float:
    """The driver alone: the same rows by one statement."""
    begun_s = time.perf_counter()
    count = len(reader.query(_ALL))
    return count / (time.perf_counter() - begun_s)
