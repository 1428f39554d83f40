"""Opens the database of a node: a file by its path, or one on a PostgreSQL server by its URL.

The home's lock file is the caller's business; a server's database may be open in several processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from postbox.config.kinds import DATABASE_SCHEMES
from postbox.store.contract import Store
from postbox.store.runner import StoreRunner
from postbox.store.schema import Migrations
from postbox.world import Disk, Pool, World

_EPOCH_BYTES = 16
_CURSOR_KEY_BYTES = 32


def is_url(database: str) -> bool:
    """Whether it is on a server, and not a path."""
    return database.startswith(DATABASE_SCHEMES)


@asynccontextmanager
async def open_store(
    world: World, database: str, migrations: Sequence[Migrations] = ()
) -> AsyncIterator[StoreRunner]:
    """The store in this database, with the tables of `migrations`. A file is made if it is not
    there; a server's database has to be there, and gets its tables."""
    epoch, cursor_key = world.random.bytes(_EPOCH_BYTES), world.random.bytes(_CURSOR_KEY_BYTES)
    work = partial(open_database, world.disk, database, migrations, epoch, cursor_key)
    runner = StoreRunner(world.threads, await world.threads.run(Pool.WRITER, work))
    try:
        yield runner
    finally:
        with trio.CancelScope(shield=True):
            await runner.close()


def open_database(
    disk: Disk, database: str, migrations: Sequence[Migrations], epoch: bytes, cursor_key: bytes
) -> Store:
    """Only the driver that is needed is loaded."""
    if is_url(database):
        from postbox.store.postgres.driver import open_postgres

        return open_postgres(disk, database, migrations, epoch, cursor_key)
    from postbox.store.sqlite.driver import open_sqlite

    return open_sqlite(disk, database, migrations, epoch, cursor_key)
