"""The one durable reader: a tail whose place outlives the process. Host links, inbox handlers.

A reader follows streams of one lane, in the order of the log. It is given a page, and says of each
entry what became of it: acknowledged, to be tried again at a time that outlives the process, or
buried, which makes it a dead letter that the operator may revive. Until then it is given the same
entry again, first: nothing overtakes it. So everything is given at least once, and whoever wants an
effect exactly once makes it harmless to repeat (ids that derive from the entry's), or commits it
together with the acknowledgement (`outbox_rules.acknowledged`).

    while True:
        due = await outbox.wait_page(reader)
        for entry in due.entries: ...
        await outbox.ack(reader, due.entries[-1].pos)

A reader's row is as large whether it is up to date or a million entries behind, and what it waits
for costs nothing while it waits. Entries that were removed from the log before it got there are
passed over. One task at a time works for a reader, which on a shared store is what leases are for;
if it is two after all, both are given the same, and no place goes back.

The mesh's lane has no index by stream: no durable reader belongs there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import trio
from msgspec import Struct

from postbox.log.admission import Admission
from postbox.log.committed import Committed, Interest
from postbox.log.outbox_rules import (
    UNKNOWN_READER,
    Ack,
    Act,
    Add,
    Bury,
    Forget,
    Hurry,
    OutboxDraft,
    OutboxRules,
    Retry,
    Revive,
    unknown_reader,
)
from postbox.log.outbox_tables import (
    BACKLOG,
    DEAD,
    DEAD_LETTERS,
    FIRST_REVIVED,
    MAX_ERROR_CHARS,
    MAX_READER_CHARS,
    MAX_STREAMS_BYTES,
    OUTBOX,
    READERS,
    DeadLetter,
    DurableReader,
    dead_letter,
    durable_reader,
    packed_streams,
)
from postbox.log.tail import Tail
from postbox.rules import Outcome, Rejected
from postbox.store.contract import Entry, Lane, Reader, Window
from postbox.store.runner import StoreRunner
from postbox.world import World

# The longest that a reader sleeps without a look: a wall clock that was set forward, or a row that
# another process changed, is noticed after it. A look a minute of a thousand readers costs nothing.
LOOK_S = 60.0
FORGET_LETTERS = 500  # in one commit

_RULES = OutboxRules()


class UnknownReader(LookupError):
    """There is no reader of that name: it was removed, or never added."""


class Due(Struct, frozen=True):
    """What a reader is to do next."""

    reader: DurableReader
    entries: Sequence[Entry]  # in order; none before `reader.retry_ms`. A revived one comes alone
    more: bool  # there was more at the moment of reading
    head: int  # of the log at that moment


class Backlog(Struct, frozen=True):
    """What a reader has not acknowledged yet."""

    count: int
    oldest_ms: int | None  # the least `at_ms`, which is whatever its door wrote there


class Outbox:
    def __init__(self, world: World, store: StoreRunner, tail: Tail, admission: Admission) -> None:
        """It has to be told what is committed: `tail.follow(outbox)`."""
        self._world = world
        self._store = store
        self._tail = tail
        self._admission = admission
        self._waiting: dict[str, dict[trio.Event, None]] = {}

    # For who works for a reader. All but `add` and `remove` raise UnknownReader.

    async def add(
        self, reader: str, lane: Lane, streams: Sequence[bytes], *, after: int = 0
    ) -> None:
        """From now on there is this reader, of these streams. `after`: where a new one begins, 0
        for all there is, the tail's head for what is still to come. One that is there keeps its
        place. Raises ValueError for what can be no reader."""
        _check(reader, lane, streams)
        await self._submit(reader, Add(lane, tuple(streams), after))

    async def remove(self, reader: str) -> None:
        """The reader and its dead letters are gone; the reader last, so that what was cut short
        can be asked for again."""
        while True:
            letters = await self.dead(after=(reader, 0), limit=FORGET_LETTERS)
            own = tuple(letter.pos for letter in letters if letter.reader == reader)
            is_last = len(own) < FORGET_LETTERS
            await self._submit(reader, Forget(own, is_last))
            if is_last:
                return

    async def page(self, reader: str, limit: int = 500, max_bytes: int = 2**20) -> Due:
        """What is to be done now, if anything; at most `max_bytes` of bodies, but one entry."""
        now_ms = self._now_ms()
        return await self._store.read(partial(_due, reader, now_ms, limit, max_bytes))

    async def wait_page(self, reader: str, limit: int = 500, max_bytes: int = 2**20) -> Due:
        """The page, as soon as there is something on it."""
        while True:
            event = trio.Event()
            with self._waking(event, reader):
                due = await self.page(reader, limit, max_bytes)
                if due.entries:
                    return due
                await self._wait(due, event)

    async def ack(self, reader: str, pos: int) -> None:
        """Done with the entry at `pos` and all before it; with a revived one, with that one. `pos`
        is that of an entry which it was given: what lies beyond the log would never be due."""
        await self._submit(reader, Ack(pos))

    async def retry(self, reader: str, pos: int, at_ms: int, error: str) -> None:
        """The entry at `pos` failed: nothing more is due before `at_ms`, then this one first. The
        same twice counts as one attempt."""
        await self._submit(reader, Retry(pos, at_ms, storable(error)))

    async def bury(self, reader: str, entry: Entry, error: str) -> None:
        """The entry is given up: a dead letter, and on with the next. Done with all before it."""
        await self._submit(reader, Bury(entry.pos, entry.stream, entry.id, storable(error)))

    async def hurry(self, reader: str) -> None:
        """What waits for its time is due now; the attempts so far still count."""
        await self._submit(reader, Hurry())

    # For the operator.

    async def readers(self) -> list[DurableReader]:
        """All of them, by name."""
        rows = await self._store.read(lambda snapshot: snapshot.query(READERS))
        return [durable_reader(row) for row in rows]

    async def backlog(self, reader: str, at_most: int = 100_000) -> Backlog:
        """How far it is behind, counted to `at_most` a stream."""
        return await self._store.read(partial(_backlog, reader, at_most))

    async def dead(self, after: tuple[str, int] = ("", 0), limit: int = 500) -> list[DeadLetter]:
        """Dead letters by reader and position, beyond this one."""
        reader, pos = after
        rows = await self._store.read(
            lambda snapshot: snapshot.query(DEAD_LETTERS, reader=reader, pos=pos, limit=limit)
        )
        return [dead_letter(row) for row in rows]

    async def revive(self, reader: str, pos: int) -> Outcome:
        """The dead letter at `pos` is due again, before all else. Rejected if there is none, or the
        log does not have its entry any more. (`ack` forgets it instead.)"""
        return await self._submit(reader, Revive(pos))

    def applied(self, committed: Committed) -> None:
        """The follower's call: whoever waits looks again when its row or a dead letter changed."""
        if self._waiting:
            for name in readers_in(committed):
                for event in self._waiting.get(name, ()):
                    event.set()

    async def _wait(self, due: Due, event: trio.Event) -> None:
        reader = due.reader
        wait_s = (reader.retry_ms - self._now_ms()) / 1_000
        if wait_s > 0:
            with trio.move_on_after(min(wait_s, LOOK_S)):
                await event.wait()
            return
        interest = Interest(reader.lane, frozenset(reader.streams))
        with trio.move_on_after(LOOK_S), self._tail.watch(interest) as watch:
            watch.wake(event, due.head)
            await event.wait()

    @contextmanager
    def _waking(self, event: trio.Event, reader: str) -> Iterator[None]:
        events = self._waiting.setdefault(reader, {})
        events[event] = None
        try:
            yield
        finally:
            del events[event]
            if not events:
                del self._waiting[reader]

    async def _submit(self, reader: str, act: Act) -> Outcome:
        draft = OutboxDraft(self._world.new_id(), reader, act)
        [outcome] = await self._admission.submit(_RULES, [draft])
        if isinstance(outcome, Rejected) and outcome.reason.code == UNKNOWN_READER:
            raise UnknownReader(outcome.reason.text)
        return outcome

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000


def _due(name: str, now_ms: int, limit: int, max_bytes: int, snapshot: Reader) -> Due:
    reader = _reader(name, snapshot)
    if now_ms < reader.retry_ms:
        return Due(reader, (), False, snapshot.head)
    for letter in map(dead_letter, snapshot.query(FIRST_REVIVED, reader=name)):
        windows = [Window(letter.stream, letter.pos - 1, letter.pos)]
        page = snapshot.page(letter.lane, windows, 0, 1, max_bytes)
        return Due(reader, page.entries, True, snapshot.head)
    windows = [Window(stream) for stream in reader.streams]
    page = snapshot.page(reader.lane, windows, reader.acknowledged, limit, max_bytes)
    return Due(reader, page.entries, page.more, snapshot.head)


def _backlog(name: str, at_most: int, snapshot: Reader) -> Backlog:
    reader = _reader(name, snapshot)
    count, oldest_ms = 0, None
    for stream in reader.streams:
        rows = snapshot.query(
            BACKLOG[reader.lane], stream=stream, after=reader.acknowledged, limit=at_most
        )
        match rows:
            case [(int(found), int(at_ms))]:
                count += found
                oldest_ms = at_ms if oldest_ms is None else min(oldest_ms, at_ms)
            case _:  # nothing there
                pass
    return Backlog(count, oldest_ms)


def _reader(name: str, snapshot: Reader) -> DurableReader:
    row = snapshot.rows(OUTBOX, [(name,)])[name,]
    if row is None:
        raise UnknownReader(unknown_reader(name).text)
    return durable_reader(row)


def _check(reader: str, lane: Lane, streams: Sequence[bytes]) -> None:
    if not 0 < len(reader) <= MAX_READER_CHARS or "\0" in reader:
        raise ValueError(f"a reader's name has 1 to {MAX_READER_CHARS} characters, and no NUL")
    if lane is Lane.MESH:
        raise ValueError("the mesh's lane has no index by stream, so no durable reader")
    if len(packed_streams(streams)) > MAX_STREAMS_BYTES:
        raise ValueError(f"the names of {reader}'s streams take over {MAX_STREAMS_BYTES} bytes")


def readers_in(committed: Committed) -> Iterator[str]:
    """Those whose row or dead letters changed."""
    for table in (OUTBOX, DEAD):
        for key in committed.rows.get(table.name, ()):
            yield str(key[0])


def storable(error: str) -> str:
    """A stranger's words, as every store takes them."""
    text = error.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return text[:MAX_ERROR_CHARS]
