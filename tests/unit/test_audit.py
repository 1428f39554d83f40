"""Pages are judged beside each other, in bounded number, and told in the order of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
import trio

from postbox.errors import Fatal
from postbox.log import audit
from postbox.log.audit import Walk, find_gaps
from postbox.store.contract import Change, Entry, Lane, Store
from postbox.store.open import open_database
from postbox.store.runner import StoreRunner
from postbox.world import Pool
from support.simulate import MemoryDisk

T = TypeVar("T")

PAGES = 12
AT_ONCE = 3


class Backwards:
    """Threads of which the verifying ones end in the reverse order, some at a time."""

    def __init__(self) -> None:
        self.waiting: list[trio.Event] = []
        self.most = 0

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if pool is Pool.VERIFIER:
            event = trio.Event()
            self.waiting.append(event)
            self.most = max(self.most, len(self.waiting))
            await event.wait()
        else:
            await trio.lowlevel.checkpoint()
        return work()

    async def let_go(self) -> None:
        """The last comes first, as often as nothing else can happen."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            if self.waiting:
                self.waiting.pop().set()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(audit, "PAGE_ENTRIES", 2)
    monkeypatch.setattr(audit, "PAGES_AT_ONCE", AT_ONCE)
    store = open_database(MemoryDisk(), "node.db", [], bytes(16), bytes(32))
    entries = [
        Entry(pos, Lane.MESH, b"mesh", None, pos.to_bytes(16, "big"), 1, 1, b"", 1, b"body")
        for pos in range(1, 2 * PAGES + 1)
    ]
    store.write(lambda tx: tx.apply(Change(appends=entries)))
    return store


def positions(entries: Sequence[Entry]) -> list[int]:
    return [entry.pos for entry in entries]


async def walked(
    store: Store, judge: Callable[[Sequence[Entry]], list[int]]
) -> tuple[list[str], list[int], int]:
    """What kept it, what it told, and how many pages were judged at once at most."""
    threads, told = Backwards(), list[int]()
    walk = Walk(
        threads, StoreRunner(threads, store), Lane.MESH, judge, lambda some, _: told.extend(some)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(threads.let_go)
        kept = await walk.run()
        nursery.cancel_scope.cancel()
    return kept, told, threads.most


async def test_pages_are_judged_beside_each_other_and_told_in_order(store: Store) -> None:
    kept, told, most = await walked(store, positions)
    assert (kept, told) == ([], list(range(1, 2 * PAGES + 1)))
    assert most == AT_ONCE


async def test_what_cannot_be_read_ends_a_walk_with_what_was_read_before(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn:
        """A store whose disk fails beyond a page."""

        def read(self, work: Callable[[object], T]) -> T:
            self.reads += 1
            if self.reads > 5:
                raise Fatal("the disk is torn")
            return store.read(work)

        reads = 0

    kept, told, _ = await walked(Torn(), positions)  # type: ignore[arg-type]
    assert (kept, told) == (["the disk is torn"], list(range(1, 11)))


async def test_a_lane_without_entries_is_walked_too(store: Store) -> None:
    assert await walked(store, positions) != ([], [], 0)
    store.write(lambda tx: tx.apply(Change(removes=range(1, 2 * PAGES + 1))))
    assert await walked(store, positions) == ([], [], 1)
    assert store.read(find_gaps) == []
