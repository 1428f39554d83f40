"""Runs long work of the store off the loop, step by step, so that Ctrl-C ends it between two."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import trio

from postbox.world import Pool, Threads

T = TypeVar("T")
R = TypeVar("R")


async def run_steps(threads: Threads, steps: Generator[T, None, R], tell: Callable[[T], None]) -> R:
    """What the steps come to in the end; `tell` hears of each."""
    try:
        while True:
            step = await threads.run(Pool.READER, partial(_next, steps))
            if isinstance(step, _Result):
                return step.value
            tell(step)
    finally:
        with trio.CancelScope(shield=True):
            await threads.run(Pool.READER, steps.close)


@dataclass(frozen=True)
class _Result(Generic[R]):
    value: R


def _next(steps: Generator[T, None, R]) -> T | _Result[R]:
    try:
        return next(steps)
    except StopIteration as end:  # which no thread can raise
        return _Result(end.value)
