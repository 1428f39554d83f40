"""A Trio loop that lives between calls, for state machines whose steps are plain functions.

Trio's guest mode with the test as the host: `run` hands the loop one async function and pumps
until it has returned. Virtual time jumps whenever everything waits.
"""

from __future__ import annotations

import queue
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import outcome
import trio
import trio.testing

T = TypeVar("T")


class LiveLoop:
    def __init__(self) -> None:
        self._soon: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._send, self._receive = trio.open_memory_channel[Callable[[], Awaitable[None]]](1)
        self._ended: outcome.Outcome[None] | None = None
        self.nursery: trio.Nursery
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._soon.put,
            done_callback=self._end,
            host_uses_signal_set_wakeup_fd=True,
            clock=trio.testing.MockClock(autojump_threshold=0),
        )

    async def _main(self) -> None:
        async with trio.open_nursery() as self.nursery:
            async for step in self._receive:
                await step()
            self.nursery.cancel_scope.cancel()

    def _end(self, result: outcome.Outcome[None]) -> None:
        self._ended = result

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        results: list[outcome.Outcome[Any]] = []

        async def step() -> None:
            results.append(await outcome.acapture(function))

        # Before the loop's first step nobody receives: the channel has room for one.
        self._send.send_nowait(step)
        while not results:
            if self._ended is not None:
                self._ended.unwrap()
                raise RuntimeError("the loop ended while a step ran")
            self._soon.get()()
        result: T = results[0].unwrap()
        return result

    def close(self) -> None:
        self._send.close()
        while self._ended is None:
            self._soon.get()()
        self._ended.unwrap()
