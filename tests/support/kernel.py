"""A kernel to test: store, tail and a running admission, on a simulated node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from postbox.log.admission import Admission
from postbox.log.committed import Committed, Follower
from postbox.log.tail import Tail, open_tail
from postbox.store.contract import Store
from postbox.store.open import open_database
from postbox.store.runner import StoreRunner
from postbox.store.schema import Migrations
from postbox.world import World
from support.faulty import FaultyStore, When, never
from support.toy_chat import MIGRATIONS


@dataclass(frozen=True)
class Kernel:
    world: World
    store: Store
    runner: StoreRunner
    tail: Tail
    admission: Admission


@asynccontextmanager
async def open_kernel(
    world: World,
    fails: Callable[[int], When | None] = never,
    migrations: Sequence[Migrations] = (MIGRATIONS,),
    wrap: Callable[[Store], Store] = lambda store: store,
    followers: Sequence[Follower] = (),
    is_running: bool = True,
    database: str = "node.db",
) -> AsyncIterator[Kernel]:
    """With `is_running` False, what is submitted waits until the test starts `admission.run`."""
    random = world.random.bytes
    store = open_database(world.disk, database, migrations, random(16), random(32))
    wrapped = wrap(FaultyStore(store, fails))
    runner = StoreRunner(world.threads, wrapped)
    try:
        tail = await open_tail(runner)
        for follower in followers:
            tail.follow(follower)
        admission = Admission(world.clock, runner, tail)
        async with trio.open_nursery() as nursery:
            if is_running:
                await nursery.start(admission.run)
            yield Kernel(world, wrapped, runner, tail, admission)
            nursery.cancel_scope.cancel()
    finally:
        store.close()


class Recorder:
    """A follower that keeps what it was told."""

    def __init__(self) -> None:
        self.commits: list[Committed] = []

    def applied(self, committed: Committed) -> None:
        self.commits.append(committed)

    @property
    def positions(self) -> list[int]:
        return [entry.pos for committed in self.commits for entry in committed.entries]
