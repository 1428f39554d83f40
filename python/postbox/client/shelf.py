"""A device's store, off the loop: one that writes at a time and one that reads, each on a
connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio

from postbox.client.errors import CLOSED, Closed
from postbox.client.store.store import Store
from postbox.world import Pool, Threads

T = TypeVar("T")


class Shelf:
    """What was begun is done, also if who asked for it is cancelled: then it is there, and nobody
    was told. On asyncio who is cancelled may be gone while a thread is still at work (`asyncio.
    timeout`), so the threads keep out of each other's way by themselves, too."""

    def __init__(self, store: Store, threads: Threads) -> None:
        self._store = store
        self._threads = threads
        self._writing, self._reading = anyio.Lock(), anyio.Lock()
        self._at_writer, self._at_reader = threading.Lock(), threading.Lock()
        self._is_closed = False

    async def write(self, work: Callable[[Store], T]) -> T:
        """Durable on return. Raises the faults of the store, and Closed; nothing happened then."""

        def run() -> T:
            with self._at_writer:
                return work(self._open())

        async with self._writing:
            return await self._threads.run(Pool.WRITER, run)

    async def read(self, work: Callable[[Store], T]) -> T:
        """Sees all that was written before it was asked. Raises as `write` does."""

        def run() -> T:
            with self._at_reader:
                return work(self._open())

        async with self._reading:
            return await self._threads.run(Pool.READER, run)

    def _open(self) -> Store:
        if self._is_closed:
            raise Closed(CLOSED)
        return self._store

    async def aclose(self) -> None:
        """When nobody is at it any more."""

        def close() -> None:
            with self._at_writer, self._at_reader:
                self._is_closed = True
                self._store.close()

        with anyio.CancelScope(shield=True):
            await self._threads.run(Pool.WRITER, close)
