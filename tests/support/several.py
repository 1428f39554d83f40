"""One of a node's processes, as far as the log goes: store, tail, admission, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from postbox.log.committed import Committed, Interest
from postbox.log.epoch import History
from postbox.log.feed import feed
from postbox.log.tail import Tail
from postbox.rules import Outcome
from postbox.store.contract import Entry, Lane, Store, Windows
from postbox.world import World
from support.faulty import When, never
from support.kernel import Kernel, Recorder, open_kernel
from support.toy_chat import ChatDraft, ToyChat


@dataclass(frozen=True)
class Process:
    kernel: Kernel
    recorder: Recorder

    @property
    def tail(self) -> Tail:
        return self.kernel.tail

    async def submit(self, *drafts: ChatDraft) -> list[Outcome]:
        return await self.kernel.admission.submit(ToyChat(), drafts)

    async def history(self) -> History:
        return History((await self.kernel.runner.identity()).epoch, self.tail)

    async def hear(self) -> None:
        """Until cancelled."""
        await feed(self.kernel.runner, self.tail, (await self.history()).expect)


@asynccontextmanager
async def process(
    world: World,
    url: str,
    fails: Callable[[int], When | None] = never,
    wrap: Callable[[Store], Store] = lambda store: store,
) -> AsyncIterator[Process]:
    """Hears nothing of the others by itself."""
    recorder = Recorder()
    opening = open_kernel(world, fails, wrap=wrap, followers=[recorder], database=url)
    async with opening as kernel:
        yield Process(kernel, recorder)


@dataclass
class ToldOnce:
    """A reader: what it saw is in order, and nothing twice."""

    windows: Windows | None = None
    limit: int = 7
    seen: list[tuple[int, bytes]] = field(default_factory=list)
    after: int = 0

    async def read(self, tail: Tail) -> None:
        """Until cancelled."""
        streams = None if self.windows is None else frozenset(w.stream for w in self.windows)
        while True:
            await tail.wait(Interest(Lane.CLIENTS, streams), self.after)
            page = await tail.page(Lane.CLIENTS, self.windows, self.after, self.limit)
            self.seen += [(entry.pos, entry.id) for entry in page.entries]
            self.after = page.next

    async def has_read(self, pos: int) -> None:
        while self.after < pos:  # noqa: ASYNC110  (whatever comes has its own event)
            await trio.sleep(0.01)

    def check(self, stored: Sequence[Entry]) -> None:
        """Against the log in the end. What was removed meanwhile may have been seen or not."""
        positions = [pos for pos, _ in self.seen]
        assert positions == sorted(set(positions))
        names = None if self.windows is None else {window.stream for window in self.windows}
        wanted = {(e.pos, e.id) for e in stored if names is None or e.stream in names}
        assert wanted <= set(self.seen), "an entry was not seen"


def told(commits: Sequence[Committed]) -> list[object]:
    """What every process is told alike, whoever wrote."""
    return [
        (each.head, [*each.removes], [*each.blanks], {k: [*v] for k, v in each.rows.items()})
        for each in commits
    ]


def check_told(recorder: Recorder, stored: Sequence[Entry], since: int = 0) -> None:
    """Every entry once and in order; what is not in the log any more was told to be removed, before
    or after. Bodies are as they are stored, or were told to be erased."""
    entries = [entry for each in recorder.commits for entry in each.entries]
    assert [e.pos for e in entries] == sorted({e.pos for e in entries})
    removed = {pos for each in recorder.commits for pos in each.removes}
    blanked = {pos for each in recorder.commits for pos in each.blanks}
    known = {e.pos: e for e in entries if e.pos not in removed}
    assert {pos: e.id for pos, e in known.items()} == {e.pos: e.id for e in stored if e.pos > since}
    for entry in stored:
        if entry.pos in known and entry.body != known[entry.pos].body:
            assert entry.pos in blanked


async def stored_in(one: Process) -> list[Entry]:
    page = await one.kernel.runner.read(
        lambda reader: reader.page(Lane.CLIENTS, None, 0, 10**9, 2**40)
    )
    return list(page.entries)
