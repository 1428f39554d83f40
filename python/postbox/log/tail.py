"""Reading the log: a page after a cursor, and waiting until there is something beyond it.

No queue a reader: a slow reader costs its cursor. Pages come out of the ring of recent commits
when they can, else from the store. Readers are woken by stream, so that a commit costs the streams
it touched and not the readers there are. `wait` may return early, never late.

Several processes may write to one log. Each tells its own followers and readers all commits, its
own among them, in the order of the log: an own commit at once where nobody else wrote before it,
else after it has caught up with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeAlias

import outcome
import trio

from postbox.errors import HistoryChanged
from postbox.log.committed import Committed, Follower, Interest, told
from postbox.log.ring import Ring
from postbox.log.watch import Watch
from postbox.store.contract import Entry, Lane, Page, Query, Reader, Windows
from postbox.store.runner import StoreRunner

# A rebuild reads whole lanes: pages large enough that the hop to the thread does not count, small
# enough to be in memory at once.
REPLAY_ENTRIES = 5_000
REPLAY_BYTES = 8 * 2**20

Name: TypeAlias = tuple[Lane, bytes | None]  # a stream, or a whole lane


_NEWEST = Query(
    "newest_entry", "select pos, id from entry where lane <> 0 order by pos desc limit 1"
)


class Place(NamedTuple):
    """Of an entry; position 0 with an empty id: of none."""

    pos: int
    id: bytes


class Start(NamedTuple):
    """Of one moment: the log's head, the last turn, and the newest entry."""

    head: int
    turn: int
    newest: Place


NEWS_COMMITS = 64  # of others, read at once: 5 ms of small ones, 64 MiB of the largest


class Tail:
    def __init__(self, store: StoreRunner, start: Start) -> None:
        self._store = store
        self._ring = Ring(start.head)
        self._followers: list[Follower] = []
        self._waiting: dict[Name, dict[Watch, None]] = {}
        self._turns = trio.Lock()
        self._turn = start.turn  # every commit up to this one was applied, on a shared store
        self.head = start.head
        self.newest = start.newest
        """Where the newest entry is that this process knows of."""

    async def page(
        self,
        lane: Lane,
        windows: Windows | None,
        after: int,
        limit: int = 500,
        max_bytes: int = 2**20,
    ) -> Page:
        """At most `limit` entries beyond `after` and at most `max_bytes` of bodies, but at least
        one entry if there is one. Windows None: the whole lane."""
        if after >= self._ring.floor:
            page = self._ring.page(lane, windows, after, self.head, limit, max_bytes)
            if page.more:
                await trio.lowlevel.checkpoint()
            else:  # who has all there is waits next, and that lets others run
                await trio.lowlevel.checkpoint_if_cancelled()
            return page
        return await self._store.read(lambda r: r.page(lane, windows, after, limit, max_bytes))

    async def wait(self, interest: Interest, after: int) -> None:
        """Returns when a commit after `after` touched one of the streams."""
        with self.watch(interest) as watch:
            await watch.wait(after)

    @contextmanager
    def watch(self, interest: Interest) -> Iterator[Watch]:
        """For a reader that waits again and again: to be entered for its streams, and left out
        again, costs more than to be woken."""
        watch = Watch(interest, self.head, partial(self._is_past, interest))
        names = _names(interest)
        for name in names:
            self._waiting.setdefault(name, {})[watch] = None
        try:
            yield watch
        finally:
            for name in names:
                self._forget(name, watch)

    def _is_past(self, interest: Interest, after: int) -> bool:
        if after < self._ring.floor:
            return True  # not in memory any more: the reader will see
        return self._ring.touched(interest, after)

    def _forget(self, name: Name, watch: Watch) -> None:
        watches = self._waiting[name]
        del watches[watch]
        if not watches:
            del self._waiting[name]

    def follow(self, follower: Follower) -> None:
        """From now on it applies every commit. Rebuild it first, before admission runs."""
        self._followers.append(follower)

    async def join(self, follower: Follower, load: Callable[[Reader], None]) -> None:
        """As `follow`, while admission runs already. `load` reads what was before; a commit that it
        has read is applied all the same, so the follower must not mind."""
        late = _Late(follower)
        self.follow(late)
        await self._store.read(load)
        late.catch_up()

    async def replay(
        self, lane: Lane, take: Callable[[Sequence[Entry]], None], after: int = 0
    ) -> int:
        """Hands a lane's entries beyond `after` to `take`, page by page, for a follower's rebuild;
        what comes after that it is told. A page is read while `take` has the one before.

        Returns the position it got to. Erased entries are among them, with body None.
        """
        upto = self.head
        async with trio.open_nursery() as nursery:
            # What either raises comes out alone, and not in a group.
            send, pages = trio.open_memory_channel[Page | Exception](1)
            nursery.start_soon(self._read_ahead, send, lane, after, upto)
            taken = await outcome.acapture(_take_all, pages, take, upto)
            nursery.cancel_scope.cancel()
        return min(taken.unwrap() or after, upto)

    async def _read_ahead(
        self, send: trio.MemorySendChannel[Page | Exception], lane: Lane, after: int, upto: int
    ) -> None:
        async with send:
            while True:
                try:
                    page = await self._store.read(_replay_page(lane, after))
                except Exception as error:
                    await send.send(error)
                    return
                await send.send(page)
                after = page.next
                if not page.more or after >= upto:
                    return

    async def publish(self, committed: Committed, turn: int) -> None:
        """Admission's, after the commit. Returns when it was applied, and all that came before it.
        `turn`: in which it was committed, on a shared store; 0 if that is not known. Raises as
        `catch_up`."""
        if not self._store.is_shared:
            self._apply(committed)
            return
        async with self._turns:
            if turn == self._turn + 1:
                self._apply(committed)
                self._turn = turn
        if turn > self._turn or turn == 0:
            await self.catch_up(turn)

    async def catch_up(self, upto: int = 0) -> None:
        """Applies what other processes committed, up to this turn at least; 0: all that there is by
        now. No longer than that, since they may commit faster than it gets to an end. Raises
        Unavailable, and HistoryChanged if the log does not go on from here."""
        async with self._turns:
            upto = upto or await self._store.read(_last_turn)
            while True:
                since = self._turn
                await self._apply_news()
                if self._turn >= upto:
                    return
                if self._turn == since:
                    raise _changed()

    async def _apply_news(self) -> None:
        since, head = self._turn, self.head
        news = await self._store.news(since, head, NEWS_COMMITS)
        if since and (not news or (news[0].turn, news[0].head) != (since, head)):
            raise _changed()
        for each in news:
            if each.turn > since:
                self._apply(told(each))
                self._turn = each.turn

    def _apply(self, committed: Committed) -> None:
        """Memory, then followers, then whoever waits."""
        self._ring.add(committed)
        before, self.head = self.head, committed.head
        if committed.entries:
            newest = committed.entries[-1]
            self.newest = Place(newest.pos, newest.id)
        for follower in self._followers:
            follower.applied(committed)
        if self._waiting:
            self._wake(committed, before)

    def _wake(self, committed: Committed, before: int) -> None:
        lanes: dict[Name, None] = {(lane, None): None for lane, _ in committed.streams}
        for name in (*committed.streams, *lanes):
            for watch in self._waiting.get(name, ()):
                watch.touch(before, committed.head)

    def __repr__(self) -> str:
        return f"<Tail head={self.head} waiting={len(self._waiting)} streams>"


class _Late:
    """Keeps commits back until the follower has read what was before."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._missed: list[Committed] | None = []

    def applied(self, committed: Committed) -> None:
        if self._missed is None:
            self._follower.applied(committed)
        else:
            self._missed.append(committed)

    def catch_up(self) -> None:
        for committed in self._missed or ():
            self._follower.applied(committed)
        self._missed = None


async def open_tail(store: StoreRunner) -> Tail:
    return Tail(store, await store.read(_start))


def _start(reader: Reader) -> Start:
    match reader.query(_NEWEST):
        case [(int(pos), bytes(entry_id))]:
            newest = Place(pos, entry_id)
        case _:
            newest = Place(0, b"")
    return Start(reader.head, reader.turn, newest)


def _last_turn(reader: Reader) -> int:
    return reader.turn


def _changed() -> HistoryChanged:
    return HistoryChanged(
        "the log does not go on from where this process had read it: it was put back, or this"
        " process stood still for too long; the node opens it again"
    )


async def _take_all(
    pages: trio.MemoryReceiveChannel[Page | Exception],
    take: Callable[[Sequence[Entry]], None],
    upto: int,
) -> int:
    reached = 0
    async for page in pages:
        if isinstance(page, Exception):
            raise page
        take([entry for entry in page.entries if entry.pos <= upto])
        reached = page.next
    return reached


def _replay_page(lane: Lane, after: int) -> Callable[[Reader], Page]:
    return lambda reader: reader.page(lane, None, after, REPLAY_ENTRIES, REPLAY_BYTES)


def _names(interest: Interest) -> list[Name]:
    if interest.streams is None:
        return [(interest.lane, None)]
    return [(interest.lane, stream) for stream in interest.streams]
