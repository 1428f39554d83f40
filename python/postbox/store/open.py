"""Opens the database of a home. The home's lock file is the caller's business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from postbox.store.runner import StoreRunner
from postbox.store.schema import Migrations
from postbox.store.sqlite.driver import open_sqlite
from postbox.world import Pool, World

_EPOCH_BYTES = 16
_CURSOR_KEY_BYTES = 32


@asynccontextmanager
async def open_store(
    world: World, path: str, migrations: Sequence[Migrations] = ()
) -> AsyncIterator[StoreRunner]:
    """The store at `path`, made if it is not there, with the tables of `migrations`."""
    epoch, cursor_key = world.random.bytes(_EPOCH_BYTES), world.random.bytes(_CURSOR_KEY_BYTES)
    work = partial(open_sqlite, world.disk, path, migrations, epoch, cursor_key)
    runner = StoreRunner(world.threads, await world.threads.run(Pool.WRITER, work))
    try:
        yield runner
    finally:
        with trio.CancelScope(shield=True):
            await runner.close()
