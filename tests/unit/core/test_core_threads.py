"""Long work lets other Python threads run. Nothing here is timed: with an endless switch interval
another thread runs only if the core lets go of the interpreter."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from postbox.core import Batch, Ledger
from support import history

MOST_TRIES = 200
"""A busy machine may be slow to wake a thread; one that never lets go never lets it run."""


@pytest.fixture
def endless_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1_000_000)
    yield
    sys.setswitchinterval(before)


def lets_others_run(work: Callable[[], object]) -> bool:
    """Does a thread that waits for its turn get one while `work` is in the core?"""
    gate, has_run = threading.Lock(), [False]

    def wait_and_run() -> None:
        with gate:
            has_run[0] = True

    gate.acquire()
    thread = threading.Thread(target=wait_and_run)
    thread.start()
    gate.release()  # wakes it, but gives no turn away: that is for `work` to do
    for _ in range(MOST_TRIES):
        work()
        if has_run[0]:
            break
    result = has_run[0]
    thread.join()
    return result


@pytest.mark.usefixtures("endless_turns")
def test_work_that_keeps_the_interpreter_is_found_out() -> None:
    assert not lets_others_run(lambda: sum(range(10_000)))


@pytest.mark.usefixtures("endless_turns")
def test_another_thread_runs_while_signatures_are_checked() -> None:
    batch, keys = Batch.decode(history.lines()[:5_000], history.NOW_NS), history.keys()
    assert lets_others_run(lambda: batch.verify(keys))


@pytest.mark.usefixtures("endless_turns")
def test_another_thread_runs_while_a_sample_is_drawn() -> None:
    ledger = history.shared_ledger()

    def draw() -> None:
        ledger.sample(
            5_000,
            [],
            [],
            seed=b"s" * 16,
            now_ns=history.NOW_NS,
            responder="amber-otter",
            requester="",
        )

    assert lets_others_run(draw)


@pytest.mark.usefixtures("endless_turns")
@pytest.mark.parametrize(
    "what", ["decode", "apply", "digest", "page", "encode", "encode_msgpack", "sift"]
)
def test_another_thread_runs_during_other_long_work(what: str) -> None:
    lines, ledger = history.lines()[:5_000], history.shared_ledger()
    batch, page = Batch.decode(lines, history.NOW_NS), ledger.page(None, None, [], [])
    empty = Ledger(1, b"k" * 16)  # beside which the batch stays good, so that a second try works
    rows = [(pos, body, 0) for pos, body in enumerate(lines)]
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: Batch.decode(lines, history.NOW_NS),
        "apply": lambda: Ledger(5_000, b"k" * 16).apply([], rows),
        "digest": ledger.digest,
        "page": lambda: ledger.page(None, None, [], []),
        "encode": lambda: page.encode("a", 1, ""),
        "encode_msgpack": lambda: page.encode_msgpack("a", 1, ""),
        "sift": lambda: batch.sift(empty),
    }
    assert lets_others_run(work[what])


def test_threads_that_verify_at_once_get_the_same_answers() -> None:
    lines, keys = history.lines()[:4_000], history.keys()
    found: list[bytes] = []

    def verify() -> None:
        batch = Batch.decode(lines, history.NOW_NS)
        batch.verify(keys)
        found.append(batch.standings)

    threads = [threading.Thread(target=verify) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [history.standings()[:4_000]] * 4
