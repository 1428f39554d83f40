"""Something happens at the n-th step of a task, or of any task below it: between two steps a task
waits, so that each wait is one at which it may be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio


class Steps(trio.abc.Instrument):
    def __init__(self, root: trio.lowlevel.Task, at: int, then: Callable[[], None]) -> None:
        self.count = 0
        self._root = root
        self._at = at
        self._then = then

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._is_below(task):
            self.count += 1
            if self.count == self._at:
                self._then()

    def _is_below(self, task: trio.lowlevel.Task | None) -> bool:
        while task is not None and task is not self._root:
            nursery = task.parent_nursery
            task = nursery.parent_task if nursery is not None else None
        return task is not None


@contextmanager
def at_step(number: int, then: Callable[[], None]) -> Iterator[Steps]:
    """Of the calling task, counted from 1."""
    steps = Steps(trio.lowlevel.current_task(), number, then)
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)
