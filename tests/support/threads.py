"""Threads that do what a test wants of them besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from postbox.world import Pool, Threads

T = TypeVar("T")


@dataclass
class Broken:
    """Their work fails when it is told to, in one pool."""

    threads: Threads
    pool: Pool = Pool.READER
    fault: Exception | None = None

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if pool is self.pool and self.fault is not None:
            raise self.fault
        return await self.threads.run(pool, work)


@dataclass
class Meanwhile:
    """Something else happens before their next work in one pool."""

    threads: Threads
    pool: Pool
    do: Callable[[], Awaitable[object]] | None = None

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if pool is self.pool and self.do is not None:
            do, self.do = self.do, None
            await do()
        return await self.threads.run(pool, work)
