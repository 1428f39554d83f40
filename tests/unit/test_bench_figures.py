"""Figures of `postbox bench`: what is counted how."""

from __future__ import annotations

import trio
import trio.testing

from postbox.cli.bench.figures import percentile
from postbox.cli.bench.pull import COMMIT, FETCH, INDEX, OTHER, Parts


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_ns(self) -> int:
        return int(self.s * 1e9)

    def elapsed_s(self) -> float:
        return self.s


def test_a_percentile_is_a_value_that_so_many_do_not_exceed() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [100, 198, 200]
    assert percentile([7.0], 99) == 7.0


async def test_time_belongs_to_the_innermost_part_alone() -> None:
    clock = HandClock()
    parts = Parts(clock)

    async def commit() -> str:
        clock.s += 2
        index()
        clock.s += 3
        return "done"

    def pass_time() -> None:
        clock.s += 10

    index = parts.timed_sync(INDEX, pass_time)
    with parts.inside(OTHER):
        clock.s += 1
        assert await parts.timed(COMMIT, commit)() == "done"
        clock.s += 1
    clock.s += 100
    spent = {part: spent_s for part, spent_s in parts.spent_s.items() if spent_s}
    assert spent == {OTHER: 2, COMMIT: 5, INDEX: 10}


async def test_what_another_task_waits_for_is_no_part_of_the_pull() -> None:
    clock = HandClock()
    parts = Parts(clock)
    begun = trio.Event()

    async def keeper() -> None:
        begun.set()
        await trio.testing.wait_all_tasks_blocked()
        clock.s += 5

    commit = parts.timed(COMMIT, keeper)
    async with trio.open_nursery() as nursery:
        with parts.inside(FETCH):
            nursery.start_soon(commit)
            await begun.wait()
            clock.s += 1
            await trio.testing.wait_all_tasks_blocked(0.01)
    spent = {part: spent_s for part, spent_s in parts.spent_s.items() if spent_s}
    assert spent == {FETCH: 6}


async def test_what_is_asked_ahead_counts_while_nothing_else_is_done() -> None:
    clock = HandClock()
    parts = Parts(clock)
    is_idle = trio.Event()

    async def fetch() -> None:
        clock.s += 2  # beside the commit
        is_idle.set()
        await trio.testing.wait_all_tasks_blocked()
        clock.s += 3

    async def commit() -> None:
        await is_idle.wait()
        clock.s += 1

    ahead = parts.timed(FETCH, fetch)
    async with trio.open_nursery() as nursery:
        with parts.inside(OTHER):
            nursery.start_soon(ahead)
            await parts.timed(COMMIT, commit)()
            await trio.testing.wait_all_tasks_blocked(0.01)
    spent = {part: spent_s for part, spent_s in parts.spent_s.items() if spent_s}
    assert spent == {COMMIT: 3, FETCH: 3}
