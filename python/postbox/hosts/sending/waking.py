"""A sign of life from a host ends the wait for it: what was put off is tried now.

Signs are what a host proved to be its own: a request with a good token, an answer. They come with
every request, so they are gathered, and looked at together. That a host reaches us does not mean
that we reach it; so a sign is worth one attempt, whose failure counts with those before, and the
next sign is worth one only after a while, which doubles.

Runs in every process: where the host calls is not where it is sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio
from msgspec import Struct

from postbox.errors import Full, Unavailable
from postbox.hosts.tables import out_reader
from postbox.log.outbox import Outbox, UnknownReader
from postbox.log.retries import Retries
from postbox.store.contract import Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

GATHER_S = 0.5
"""From one look at the signs to the next; nobody waits for the first."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
"""From one attempt that a sign was worth to the next."""

PUT_OFF = Query(
    "links_put_off",
    "select reader from outbox where substr(reader, 1, 3) = 'to/' and retry_ms > :now_ms",
)


class Attempt(Struct, frozen=True):
    """The last one that a sign was worth."""

    at_s: float
    pause_s: float


class Waker:
    def __init__(self, world: World, store: StoreRunner, outbox: Outbox) -> None:
        self._world = world
        self._store = store
        self._outbox = outbox
        self._woken: dict[str, None] = {}
        self._event = trio.Event()
        self._attempts: dict[str, Attempt] = {}
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, listener: Callable[[str], None]) -> None:
        """It is told of every sign."""
        self._listeners.append(listener)

    def wake(self, host: str) -> None:
        """The host is alive. For every request: it costs next to nothing."""
        self.hurry(host)
        for listener in self._listeners:
            listener(host)

    def hurry(self, host: str) -> None:
        """The same, and it was asked already: only what goes to it is of interest."""
        self._woken[host] = None
        self._event.set()

    async def run(self) -> None:
        retries = Retries()
        while True:
            await self._event.wait()
            self._event = trio.Event()
            woken, self._woken = self._woken, {}
            try:
                await self._look(woken)
                retries.succeeded()
            except (Unavailable, Full):  # the signs are lost; there will be others
                await retries.wait()
            await trio.sleep(GATHER_S)

    async def _look(self, woken: dict[str, None]) -> None:
        now_ms = self._world.clock.now_ns() // 1_000_000
        put_off = await self._store.read(partial(_put_off, now_ms))
        for host in woken:
            if out_reader(host) not in put_off:
                self._attempts.pop(host, None)
            elif self._is_worth_an_attempt(host):
                await self._hurry(host)

    def _is_worth_an_attempt(self, host: str) -> bool:
        now_s, last = self._world.clock.elapsed_s(), self._attempts.get(host)
        if last is None:
            self._attempts[host] = Attempt(now_s, FIRST_PAUSE_S)
            return True
        if now_s < last.at_s + last.pause_s:
            return False
        self._attempts[host] = Attempt(now_s, min(2 * last.pause_s, LONGEST_PAUSE_S))
        return True

    async def _hurry(self, host: str) -> None:
        with suppress(UnknownReader):  # removed meanwhile
            await self._outbox.hurry(out_reader(host))


def _put_off(now_ms: int, snapshot: Reader) -> set[str]:
    return {str(row[0]) for row in snapshot.query(PUT_OFF, now_ms=now_ms)}
