"""The real outside for a client, on Trio and on asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

from postbox.world import FileDisk, Pool, SystemClock, SystemNet, SystemRandom, World

T = TypeVar("T")


class AnyioThreads:
    """One of each kind at once: a client has one connection for writing and one for reading."""

    def __init__(self) -> None:
        self._limiters = {pool: anyio.CapacityLimiter(1) for pool in Pool}

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiters[pool])


def client_world() -> World:
    """Its net is for Trio; on asyncio transports have their own (`transport/open.py`)."""
    return World(SystemClock(), SystemRandom(), SystemNet(), AnyioThreads(), FileDisk())
