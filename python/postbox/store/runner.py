"""Runs the synchronous store off the loop: writes in the writer's thread, reads in the readers'.

Work that has begun runs to its end, whatever becomes of the task that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from postbox.store.contract import Identity, Reader, Store, Tx
from postbox.world import Pool, Threads

T = TypeVar("T")


class StoreRunner:
    def __init__(self, threads: Threads, store: Store) -> None:
        self._threads = threads
        self._store = store

    async def write(self, work: Callable[[Tx], T]) -> T:
        return await self._threads.run(Pool.WRITER, partial(self._store.write, work))

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self._threads.run(Pool.READER, partial(self._store.read, work))

    async def identity(self) -> Identity:
        return await self._threads.run(Pool.READER, self._store.identity)

    async def close(self) -> None:
        """After the writer and all readers have stopped."""
        await self._threads.run(Pool.WRITER, self._store.close)
