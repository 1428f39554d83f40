"""Drafts a second through admission, and how long one waits for its answer."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio

from kernel_bench.doors import DOORS, MESH_MIGRATIONS, Door, put_keys
from kernel_bench.places import Place
from postbox.log.admission import Admission
from postbox.log.epoch import History
from postbox.log.feed import feed
from postbox.log.tail import open_tail
from postbox.store.contract import Change, Entry, Lane, Tx
from postbox.store.open import open_database, open_store
from postbox.world import FileDisk, system_world

RUNS = 3


class Setting(NamedTuple):
    submitters: int
    chunk: int
    batch: int  # what admission's batches come to
    drafts: int


SETTINGS = {
    "1 submitter": Setting(1, 1, batch=1, drafts=1_000),
    "16 submitters": Setting(16, 1, batch=16, drafts=8_000),
    "128 submitters": Setting(128, 1, batch=128, drafts=30_000),
    "1,000 submitters": Setting(1_000, 1, batch=1_000, drafts=40_000),
    "8 submitters, chunks of 250": Setting(8, 250, batch=1_000, drafts=60_000),
}


class Written(NamedTuple):
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # a draft


@asynccontextmanager
async def admitting(database: str, door: Door) -> AsyncIterator[Admission]:
    """A kernel as a node runs it: on a shared store it hears what others commit, too."""
    world = system_world()
    async with open_store(world, database, [door.migrations]) as store:
        if door.migrations is MESH_MIGRATIONS:
            await store.write(put_keys)
        tail = await open_tail(store)
        admission = Admission(world.clock, store, tail)
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            if store.is_shared:
                history = History((await store.identity()).epoch, tail)
                nursery.start_soon(feed, store, tail, history.expect)
            await admission.submit(door.rules, door.before)
            yield admission
            nursery.cancel_scope.cancel()


async def submit_all(admission: Admission, door: Door, setting: Setting) -> Written:
    """One submitter's drafts are of one payer."""
    gc.freeze()  # the drafts are the bench's own, and no collector has to walk them
    times_s: list[float] = []

    async def submit(mine: Sequence[object]) -> None:
        for at in range(0, len(mine), setting.chunk):
            begun_s = time.perf_counter()
            await admission.submit(door.rules, mine[at : at + setting.chunk])
            times_s.append(time.perf_counter() - begun_s)

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    async with trio.open_nursery() as callers:
        for at in range(setting.submitters):
            callers.start_soon(submit, door.drafts[at :: setting.submitters])
    elapsed_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    times_s.sort()
    p50_ms, p99_ms = (1e3 * times_s[int(len(times_s) * part)] for part in (0.50, 0.99))
    count = len(door.drafts)
    return Written(count / elapsed_s, p50_ms, p99_ms, cpu_s / count * 1e6)


async def _measure(database: str, door: Door, setting: Setting) -> Written:
    async with admitting(database, door) as admission:
        return await submit_all(admission, door, setting)


def _alone_per_s(database: str, setting: Setting) -> float:
    """The mesh's look-ups and inserts by the driver alone, in batches of the same size."""
    store = open_database(FileDisk(), database, [], bytes(16), bytes(32))
    changes = [Change(appends=batch) for batch in _batches(setting)]

    def insert(tx: Tx, change: Change) -> None:
        tx.find([(entry.lane, entry.id) for entry in change.appends])
        tx.apply(change)

    begun_s = time.perf_counter()
    for change in changes:
        store.write(partial(insert, change=change))
    elapsed_s = time.perf_counter() - begun_s
    store.close()
    return setting.drafts / elapsed_s


def _batches(setting: Setting) -> Iterator[list[Entry]]:
    for first in range(1, setting.drafts + 1, setting.batch):
        upto = min(first + setting.batch, setting.drafts + 1)
        yield [
            Entry(at, Lane.MESH, b"mesh", None, os.urandom(16), 3, 2, b"x" * 9, 0, os.urandom(250))
            for at in range(first, upto)
        ]


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("", "engine", "door", "drafts/s", "p50 ms", "p99 ms", "CPU µs", "driver alone", "ratio")
    for name, setting in SETTINGS.items():
        yield from ((name, *row) for row in _compared(places, setting))


def _compared(places: dict[str, Place], setting: Setting) -> Iterator[Sequence[str]]:
    found: dict[tuple[str, str], list[Written]] = {}
    alone: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for engine, place in places.items():
            for name, make in DOORS.items():
                door = make(setting.submitters, setting.drafts)
                with place() as database:
                    one = trio.run(_measure, database, door, setting)
                found.setdefault((engine, name), []).append(one)
            with place() as database:
                alone.setdefault(engine, []).append(_alone_per_s(database, setting))
    for (engine, name), runs in found.items():
        best, bare = max(runs), max(alone[engine])
        cpu_us = min(run.cpu_us for run in runs)
        told = (f"{best.per_s:,.0f}", f"{best.p50_ms:.1f}", f"{best.p99_ms:.1f}", f"{cpu_us:.0f}")
        yield engine, name, *told, f"{bare:,.0f}", f"{best.per_s / bare:.2f}"
