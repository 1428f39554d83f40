"""A device's store, off the loop: one that writes at a time and one that reads, each on a
connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from postbox.client.store.store import Store
from postbox.world import Pool, Threads

T = TypeVar("T")


class Shelf:
    """What was begun is done, also if who asked for it is cancelled: then it is there, and nobody
    was told."""

    def __init__(self, store: Store, threads: Threads) -> None:
        self._store = store
        self._threads = threads
        self._writing = anyio.Lock()
        self._reading = anyio.Lock()

    async def write(self, work: Callable[[Store], T]) -> T:
        """Durable on return. Raises the faults of the store; nothing happened then."""
        async with self._writing:
            return await self._threads.run(Pool.WRITER, lambda: work(self._store))

    async def read(self, work: Callable[[Store], T]) -> T:
        """Sees all that was written before it was asked."""
        async with self._reading:
            return await self._threads.run(Pool.READER, lambda: work(self._store))
