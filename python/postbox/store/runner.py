"""Runs the synchronous store off the loop: writes in the writer's thread, reads in the readers'.

Work that has begun runs to its end, whatever becomes of the task that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from postbox.store.contract import (
    Expect,
    Hearing,
    Identity,
    LeaseLink,
    Listening,
    News,
    Reader,
    Shared,
    Size,
    Store,
    Tx,
)
from postbox.world import Pool, Threads

T = TypeVar("T")


class StoreRunner:
    def __init__(self, threads: Threads, store: Store) -> None:
        self._threads = threads
        self._store = store
        self._writing: trio.Event | None = None  # until the write that is under way has ended

    async def write(self, work: Callable[[Tx], T]) -> T:
        self._writing = ended = trio.Event()
        try:
            return await self._threads.run(Pool.WRITER, partial(self._store.write, work))
        finally:
            ended.set()

    async def end_writing(self, patience_s: float) -> None:
        """Waits for the write that is under way, if there is one. A server may wait for a standby
        that is gone: after `patience_s` the write is Unavailable, perhaps committed."""
        if self._writing is None:
            return
        with trio.move_on_after(patience_s):
            await self._writing.wait()
            return
        if self.is_shared:
            self._shared.interrupt()

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self._threads.run(Pool.READER, partial(self._store.read, work))

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to the log; what follows is for such a store."""
        return self._store.shared is not None

    def guard(self, expect: Expect) -> None:
        self._shared.guard(expect)

    async def news(self, since: int, after: int, limit: int) -> list[News]:
        work = partial(self._shared.news, since, after, limit)
        return await self._threads.run(Pool.READER, work)

    async def listen(self) -> Listening:
        return await self._threads.run(Pool.READER, self._shared.listen)

    async def tell(self, messages: Sequence[bytes]) -> None:
        await self._threads.run(Pool.READER, partial(self._shared.tell, messages))

    async def hear(self) -> Hearing:
        return await self._threads.run(Pool.READER, self._shared.hear)

    async def link_leases(self, holder: bytes, idle_ms: int) -> LeaseLink:
        work = partial(self._shared.link_leases, holder, idle_ms)
        return await self._threads.run(Pool.READER, work)

    @property
    def _shared(self) -> Shared:
        shared = self._store.shared
        assert shared is not None, "asked of a store that is not shared"
        return shared

    async def identity(self) -> Identity:
        return await self._threads.run(Pool.READER, self._store.identity)

    async def check(self) -> list[str]:
        return await self._threads.run(Pool.READER, self._store.check)

    async def size(self) -> Size:
        return await self._threads.run(Pool.READER, self._store.size)

    async def close(self) -> None:
        """After the writer and all readers have stopped."""
        await self._threads.run(Pool.WRITER, self._store.close)
