"""Reads the log again, lane by lane, to see whether it is what it was when it was written.

What an entry means is a door's to judge. Pages are read ahead while others are judged, in as many
threads as verify; what comes of a page is handed on in the order of the log. No snapshot outlives
its page, so that an audit, however long it takes, keeps nobody from anything.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import trio

from postbox.errors import Fatal
from postbox.store.contract import Entry, Lane, Page, Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import Pool, Threads

T = TypeVar("T")

# The signatures of a page are two or three batches, some 50 ms of a core: who serves beside waits
# no longer for a thread.
PAGE_ENTRIES = 2_500
PAGE_BYTES = 4 * 2**20
PAGES_AT_ONCE = max(2, os.cpu_count() or 2)  # as many as verify, and one that is read meanwhile

MAX_FINDINGS = 100

# A number is given out after the one before it and at a later position. What leaves a numbered
# stream leaves it from its beginning (docs/decisions/0021).
_GAPS = Query(
    "gaps",
    f"""select stream, seq, seq_before, pos, pos_before from (
        select stream, seq, pos, lag(seq) over w as seq_before, lag(pos) over w as pos_before
        from entry where seq is not null window w as (partition by stream order by seq)) n
      where seq <> seq_before + 1 or pos <= pos_before
      order by stream, seq limit {MAX_FINDINGS}""",
)


async def check_beside(store: StoreRunner, work: Callable[[], Awaitable[object]]) -> list[str]:
    """While `work` runs: what is wrong with the database itself and the numbers in it, in words."""
    found: list[str] = []

    async def look() -> None:
        found.extend(await store.check())
        try:
            found.extend(await store.read(find_gaps))
        except Fatal as fault:
            found.append(str(fault))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await work()
    return found


def find_gaps(reader: Reader) -> list[str]:
    """What is wrong with the numbers of streams."""
    return [_gap(*row) for row in reader.query(_GAPS)]


def _gap(stream: object, seq: object, seq_before: object, pos: object, pos_before: object) -> str:
    assert isinstance(stream, bytes)
    assert isinstance(seq_before, int)
    where = f"in the stream {stream.decode('utf-8', 'backslashreplace')}"
    if seq == seq_before + 1:
        return f"{where} number {seq_before} is at position {pos_before}, and {seq} at {pos}"
    return f"{where} number {seq} comes after {seq_before}: what was between them is gone"


class Walk(Generic[T]):
    """One lane from its beginning. `judge` runs in a verifying thread, `take` on the loop, in the
    order of the log: what came of a page, and the position after which the next one begins."""

    def __init__(
        self,
        threads: Threads,
        store: StoreRunner,
        lane: Lane,
        judge: Callable[[Sequence[Entry]], T],
        take: Callable[[T, int], None],
    ) -> None:
        self._threads = threads
        self._store = store
        self._lane = lane
        self._judge = judge
        self._take = take
        self._judged: dict[int, tuple[T, int]] = {}  # by the page's number, until its turn comes
        self._taken = 0

    async def run(self) -> list[str]:
        """To the end, or to what cannot be read; says why then."""
        room = trio.Semaphore(PAGES_AT_ONCE)
        after, number, more = 0, 0, True
        async with trio.open_nursery() as nursery:
            while more:
                await room.acquire()
                try:
                    page = await self._store.read(partial(_read, self._lane, after))
                except Fatal as fault:
                    return [str(fault)]
                nursery.start_soon(self._judge_page, number, page, room)
                after, number, more = page.next, number + 1, page.more
        return []

    async def _judge_page(self, number: int, page: Page, room: trio.Semaphore) -> None:
        judged = await self._threads.run(Pool.VERIFIER, lambda: self._judge(page.entries))
        self._judged[number] = judged, page.next
        while self._taken in self._judged:
            self._take(*self._judged.pop(self._taken))
            self._taken += 1
        room.release()


def _read(lane: Lane, after: int, reader: Reader) -> Page:
    return reader.page(lane, None, after, PAGE_ENTRIES, PAGE_BYTES)
