"""The power goes off at every single call to the disk of a device: nothing that was made is lost or
doubled, and what the device has and the place where it is always agree.

`support.crash_disk` says what a crash leaves. Each step here is one call of the store; after a
crash the file is as it was behind one of the steps that returned last, or the one under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from postbox.client.core import acts, changes
from postbox.client.core.changes import Change, Place
from postbox.client.core.ids import renewed_uuid
from postbox.client.core.settle import Refused, Stored
from postbox.client.store import open as opening
from postbox.client.store import outbox
from postbox.client.store.store import Store
from support.crash_disk import CrashDisk, Op, Platters, all_of, crash_disk, none_of, some_of
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    NOW_MS,
    ROOM,
    do,
    dump,
    opened,
    room,
    said,
    send,
    uuid,
)

Step = Callable[[Store], object]
State = dict[str, list[tuple[Any, ...]]]


def heard(number: int, *several: Change) -> Step:
    place = Place(f"token {number}", uuid(900 + number), "e1")
    return lambda store: store.take([(several, place)], NOW_MS)


def amid_snapshot(*several: Change) -> Step:
    return lambda store: store.take([(several, store.place())], NOW_MS)


def called(local: int) -> str:
    """What the host is told of it."""
    return renewed_uuid(uuid(AGAIN)) if local == AGAIN else uuid(local)


def own(seq: int, local: int) -> list[Change]:
    came = said(seq, f"text {local}", ANN, local=called(local), message=uuid(100 + local))
    return [changes.Settled(called(local), uuid(100 + local)), *came]


def stored(*locals_: int) -> Step:
    settlements = [Stored(called(each), uuid(100 + each), False) for each in locals_]
    return lambda store: store.settle(settlements, 2)


LONG = "x" * 1_000
AGAIN = 3  # is refused, and tried again

STEPS: list[Step] = [
    heard(1, *room(ROOM, BOB), *said(2), *said(3, LONG)),
    lambda store: store.begin_handling("bot"),
    lambda store: send(store, "text 1", 1),
    lambda store: send(store, "text 2", 2),
    lambda store: send(store, "text 3", 3),
    stored(1),
    heard(2, *own(4, 1), *own(5, 2)),  # the second before its answer
    lambda store: store.settle([Refused(uuid(AGAIN), "QUOTA", "no more")], 4),
    lambda store: store.set_handled("bot", ROOM, 2),
    lambda store: store.again(uuid(AGAIN)),
    lambda store: do(store, acts.EditMessage(ROOM, uuid(AGAIN), "text 3, edited"), 5),
    amid_snapshot(changes.SnapshotBegan("e2", "EPOCH_CHANGED"), *room(ATTIC, BOB), *said(2)),
    lambda store: send(store, "text 6, amid a snapshot", 6),
    amid_snapshot(*(each for seq in range(3, 13) for each in said(seq, LONG, conversation=ATTIC))),
    heard(
        3,
        *room(ROOM, BOB),
        *own(4, 1)[1:],
        changes.SnapshotEnded(),
        changes.KeptAgain(),
        changes.Settled(uuid(1), uuid(101)),
    ),
    stored(2, AGAIN, 5),
    heard(4, *own(6, AGAIN), changes.HoleFound(ROOM, 6, 9), *said(9)),
    lambda store: store.take_history(ROOM, [*said(7), *said(8)], 9, 7, True, NOW_MS),
    lambda store: store.prune(NOW_MS + 2 * outbox.KEEP_MS),
    heard(5, changes.ConversationForgotten(ATTIC, BOB), changes.CaughtUp()),
]


@pytest.fixture
def _logs_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are checkpoints between the steps."""
    monkeypatch.setattr(opening, "CHECKPOINT_PAGES", 30)


SNAPSHOT_STEPS = range(11, 15)


def left_to_do(done: int) -> list[Step]:
    """For who finds that many done: a snapshot comes again from its beginning, and what was made
    meanwhile is made once."""
    return STEPS[SNAPSHOT_STEPS[0] if done in SNAPSHOT_STEPS else done :]


def run(disk: CrashDisk) -> tuple[list[int], list[State]]:
    """How many calls to the disk there were, and what was in the file, behind each of the steps and
    before the first."""
    calls, states = [], []
    with opened(disk) as store:
        for step in [None, *STEPS]:
            if step is not None:
                step(store)
            calls.append(disk.calls)
            states.append(dump(store))
    return calls, states


def crashes(ops: list[Op]) -> Iterator[tuple[int, Mapping[str, bytes]]]:
    """After so many calls, and what is left; each that differs once."""
    platters, seen = Platters(), set()
    for at, op in enumerate(ops):
        fate = (all_of, none_of, some_of(at))[at % 3]
        left = platters.left(fate)
        if (crash := frozenset(left.items())) not in seen:
            seen.add(crash)
            yield at, left
        platters.take(op)


@pytest.mark.usefixtures("_logs_are_short")
def test_a_power_cut_at_any_moment_leaves_the_file_between_two_steps(tmp_path: Path) -> None:
    with crash_disk(tmp_path / "disk") as disk:
        returned, states = run(disk)
    seen = set()
    for calls, left in crashes(disk.ops):
        done = sum(each <= calls for each in returned) - 1  # -1: it was not even open
        with crash_disk(tmp_path / "again", left) as again, opened(again) as store:
            found = dump(store)
            may_be = [each for each in (done, done + 1) if each in range(len(states))]
            matching = [each for each in may_be if states[each] == found]
            assert matching, f"after {calls} calls, it is not as behind {done} steps, or the next"
            [behind, *_] = matching
            seen.add(behind)
            if calls % 8 == 0:  # most of this test's time
                for step in left_to_do(behind):
                    step(store)
                assert dump(store) == states[-1]
    assert seen == {*range(len(states))}
