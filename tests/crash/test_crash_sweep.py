"""The disk fails at every single call of some commits: what was acknowledged is there.

At each call that changes a file there is a crash, then no room from there on, then an error.
`support.crash_disk` says what a crash leaves, `support.survival` what the commits are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import apsw
import pytest

from postbox.errors import Fatal, Full
from postbox.store.sqlite import checkpoints
from support.crash_disk import (
    CrashDisk,
    Fate,
    Op,
    Platters,
    Sync,
    all_of,
    crash_disk,
    none_of,
    some_of,
)
from support.kernel import Kernel, open_kernel
from support.simulate import Simulation, simulate
from support.survival import BATCHES, COMMITS, EXPECTED, RULES, after, go_on, stored, world_on

HALF = COMMITS // 2
STEP = 31  # of the calls: where the first of two crashes is
PAGES = 20  # of the write-ahead log until a checkpoint: there are some in so few commits


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", PAGES)


class Life:
    """Of a node on that disk: it makes some of the commits. Where there is no room, somebody makes
    room when told."""

    def __init__(self, simulation: Simulation, disk: CrashDisk) -> None:
        self._world = world_on(simulation, disk)
        self._disk = disk
        self.answered: list[int] = []  # how many calls had been made by then
        self.was_full = 0
        self.is_closing = False

    async def run(self, numbers: range) -> None:
        self.is_closing = False
        try:
            async with open_kernel(self._world) as kernel:
                for number in numbers:
                    await self._commit(kernel, number)
                self.is_closing = True
        except Full:  # as it was opened
            self._make_room()
            await self.run(numbers)
        except apsw.Error:
            # SQLite says nothing of what fails now, but apsw does of a disk in Python. The log
            # stays where it is, for whoever opens the database next.
            assert self.is_closing

    async def _commit(self, kernel: Kernel, number: int) -> None:
        _, outcomes = after(number, number)
        try:
            said = await kernel.admission.submit(RULES, BATCHES[number])
        except Full:
            assert kernel.store.read(stored) == EXPECTED[number]
            self._make_room()
            said = await kernel.admission.submit(RULES, BATCHES[number])
        assert said == outcomes
        self.answered.append(self._disk.calls)

    def _make_room(self) -> None:
        assert not self._disk.has_room
        self._disk.has_room = True
        self.was_full += 1


class Recorded:
    """All the commits, made in two lives, and what they did to the disk."""

    async def make(self, simulation: Simulation, folder: Path) -> Recorded:
        with crash_disk(folder / "disk") as disk:
            life = Life(simulation, disk)
            await life.run(range(HALF))
            await life.run(range(HALF, COMMITS))
        self.ops, self._answered = disk.ops, life.answered
        return self

    def may_be_there(self, calls: int) -> range:
        """How many commits, after so many calls: what was answered, and what nobody knows of."""
        least = sum(answered <= calls for answered in self._answered)
        return range(least, min(least + 1, COMMITS) + 1)

    def starts(self) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Each commit's number, and what the disk has when it begins; nothing before the first."""
        platters, done = Platters(), 0
        yield 0, {}
        for calls, op in enumerate(self.ops[: self._answered[-2]], start=1):
            platters.take(op)
            if calls in self._answered:
                done += 1
                yield done, platters.left(all_of)


Allowed = Callable[[int], range]


async def sweep(
    simulation: Simulation,
    folder: Path,
    ops: list[Op],
    allowed: Allowed,
    fates: Callable[[int], list[Fate]],
    left: Mapping[str, bytes] = {},
) -> int:
    """A crash before each of the calls, and so amid the one before it. `allowed`: how many commits
    may be there after so many. Returns how many crashes there were, of those that differ."""
    platters, seen = Platters(left), set()
    for at, op in enumerate(ops):
        for fate in fates(at):
            found = platters.left(fate)
            if (crash := (allowed(at), frozenset(found.items()))) in seen:
                continue
            seen.add(crash)
            with crash_disk(folder / "again", found) as disk:
                await go_on(world_on(simulation, disk), allowed(at))
        platters.take(op)
    return len(seen)


def always(allowed: range) -> Allowed:
    return lambda _calls: allowed


def one(at: int) -> list[Fate]:
    return [some_of(at)]


def many(at: int) -> list[Fate]:
    return [all_of, none_of, some_of(2 * at), some_of(2 * at + 1)]


def test_a_crash_at_any_call_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> None:
        recorded = await Recorded().make(simulation, tmp_path)
        checkpoints = [op for op in recorded.ops if isinstance(op, Sync) and op.path == "node.db"]
        assert len(checkpoints) > 3, len(checkpoints)
        crashes = await sweep(simulation, tmp_path, recorded.ops, recorded.may_be_there, many)
        assert crashes > 25 * COMMITS

    simulate(1, main)


def test_a_crash_while_what_a_crash_left_is_opened_loses_nothing_either(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> None:
        recorded = await Recorded().make(simulation, tmp_path)
        platters, crashes = Platters(), 0
        for at, op in enumerate(recorded.ops):
            if at % STEP == 0:
                left, allowed = platters.left(some_of(at)), recorded.may_be_there(at)
                with crash_disk(tmp_path / "second", left) as disk:
                    number = await go_on(world_on(simulation, disk), allowed)
                if number == allowed[0] < COMMITS:  # so that it was the next commit that came
                    known = always(range(number, number + 2))
                    crashes += await sweep(simulation, tmp_path, disk.ops, known, one, left)
            platters.take(op)
        assert crashes > 5 * COMMITS

    simulate(1, main)


class Struck:
    """A life of one commit, with something done to the disk before its n-th call."""

    def __init__(self, number: int, left: Mapping[str, bytes], at: int) -> None:
        self.number = number
        self.left = left
        self.at = at
        self.is_reached = self.was_closing = False

    async def live(
        self, simulation: Simulation, folder: Path, strike: Callable[[CrashDisk], None]
    ) -> None:
        def fails(_op: Op) -> None:
            if disk.calls == self.at:
                self.is_reached, self.was_closing = True, self.life.is_closing
                strike(disk)

        with crash_disk(folder / "disk", self.left, fails) as disk:
            self.ops = disk.ops
            self.life = Life(simulation, disk)
            await self.life.run(range(self.number, self.number + 1))


def strikes(recorded: Recorded) -> Iterator[Struck]:
    """At every call of every commit, and of opening and closing the first and the last."""
    for number, left in recorded.starts():
        for at in count(1):
            struck = Struck(number, left, at)
            yield struck
            if not struck.is_reached or (struck.was_closing and number < COMMITS - 1):
                break


def test_without_room_nothing_happens_and_with_room_it_does(tmp_path: Path) -> None:
    """No file can grow from one call on, until somebody is told of it."""

    def fill(disk: CrashDisk) -> None:
        disk.has_room = False

    async def main(simulation: Simulation) -> None:
        told = 0
        for struck in strikes(await Recorded().make(simulation, tmp_path)):
            await struck.live(simulation, tmp_path, fill)
            told += struck.life.was_full
        assert told > 5 * COMMITS

    simulate(1, main)


def test_an_error_ends_the_node_at_once_and_nothing_acknowledged_is_missing(tmp_path: Path) -> None:
    """One call fails, and only one: nothing is tried again, as if it could be mended so."""

    def fail(_disk: CrashDisk) -> None:
        raise apsw.IOError("input/output error")

    async def main(simulation: Simulation) -> None:
        ended = 0
        for struck in strikes(await Recorded().make(simulation, tmp_path)):
            has_ended = False
            try:
                await struck.live(simulation, tmp_path, fail)
            except* Fatal:
                has_ended = True
            assert has_ended == (struck.is_reached and not struck.was_closing)
            ended += has_ended
            await outlive(simulation, tmp_path, struck)
        assert ended > 5 * COMMITS

    simulate(1, main)


async def outlive(simulation: Simulation, folder: Path, struck: Struck) -> None:
    """The disk fails for good after its error, and something is left of it."""
    fate = some_of(struck.at)
    platters = Platters(struck.left, failing=fate)
    for op in struck.ops:
        platters.take(op)
    number = struck.number + len(struck.life.answered)
    allowed = range(number, min(number + 1, COMMITS) + 1)
    with crash_disk(folder / "again", platters.left(fate)) as again:
        await go_on(world_on(simulation, again), allowed)
