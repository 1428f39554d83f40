"""What a device is sent, from its first frame to its last: a snapshot if it needs one, what it
missed, then what comes.

All of it is read by position, so that nothing lies between catching up and living, and a device
that reads slowly costs a place in the log. Each frame has a token, with which the device has
everything up to there, and names the event that was sent before it; the token moves on, too, when
nothing happened that the device sees. There is no task and no queue a device: whoever takes the
frames runs the stream, and may be cancelled wherever it waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple, Protocol

import trio

from postbox.clients.events import frames
from postbox.clients.events.frames import MAX_FRAME_BYTES, MAX_FRAME_EVENTS, Sent
from postbox.clients.events.kinds import Kind
from postbox.clients.reading.compile import Compiler, Course, backfill, is_picture, kept_back
from postbox.clients.reading.conversation import RECENT_MESSAGES, State, read_state
from postbox.clients.reading.cursors import Fresh, Place, Start, place_in, resolve, token_writer
from postbox.clients.reading.history import read_history
from postbox.clients.reading.snapshot import (
    Neighbours,
    Snapshot,
    Turns,
    begin,
    in_pieces,
    pictures_of,
    read_pictures,
)
from postbox.clients.reading.windows import Period, View, Viewer, read_view
from postbox.log.tail import Tail
from postbox.log.watch import Watch
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Entry, Identity, Lane
from postbox.store.runner import StoreRunner
from postbox.world import Clock

ALIVE_S = 25.0
"""Between two frames of a stream, at most. What stands between a device and its host forgets a
connection that is silent, mostly after 30 s and more."""

PAGE_EVENTS, PAGE_BYTES = 500, 256 * 2**10
"""That a stream holds at most, while its device takes them in."""

STRETCH = 16_384
"""Positions beyond a cursor that are looked at for one page: with hundreds of conversations, and
much in each of them, a page would otherwise be the first of all of it, put in order."""

KEPT_TOKENS = 1_024  # what is sent to many streams at once has one token


class Leave(Protocol):
    """When a stream is to end."""

    @property
    def is_over(self) -> bool: ...

    @property
    def until_ms(self) -> float:
        """When it has to be looked at again whether it is over: a frame comes then."""
        ...

    def wake(self, event: trio.Event) -> None:
        """Sets it then, perhaps at once."""
        ...

    def reached(self, pos: int, *, is_live: bool) -> None:
        """The device has been sent everything up to there; `is_live`: and there is no more yet."""
        ...


class Mail(Protocol):
    """Transitory events for one stream."""

    def see(self, streams: frozenset[bytes]) -> None:
        """What the device is shown from now on."""
        ...

    def wake(self, event: trio.Event) -> None:
        """Sets it when there is something to take, perhaps at once."""
        ...

    def take(self) -> Sequence[bytes]:
        """Events, whole."""
        ...


class Reading:
    """Of all devices, in one process."""

    def __init__(
        self,
        clock: Clock,
        store: StoreRunner,
        tail: Tail,
        identity: Identity,
        neighbours: Neighbours,
    ) -> None:
        """`identity`: the store's. The `compiler` is to follow the tail."""
        self.clock = clock
        self.store = store
        self.tail = tail
        self.identity = identity
        self.neighbours = neighbours
        self.compiler = Compiler(store)
        self.turns = Turns()
        self._token_writer = token_writer(identity)
        self._tokens: dict[int, bytes] = {}

    def stream(
        self,
        viewer: Viewer,
        request: pb.SyncFromServerRequest,
        leave: Leave,
        mail: Mail | None = None,
    ) -> AsyncGenerator[bytes]:
        """Frames: Events. Ends when the device is to leave, or has caught up and wants no more.
        Raises SnapshotBusy before the first."""
        return Stream(self, viewer, request, leave, mail).frames()

    async def history(
        self, viewer: Viewer, conversation: bytes, before_seq: int, limit: int
    ) -> bytes | None:
        """A HistoryPage; None: the viewer is not in such a conversation."""
        read = partial(read_history, viewer, conversation, before_seq, limit)
        return await self.store.read(read)

    def place_of(self, token: str) -> int | None:
        """Up to where a device has everything that says so by this token; None: it is none."""
        return place_in(token, self.identity)

    def token(self, pos: int) -> bytes:
        """The field of a frame."""
        found = self._tokens.get(pos)
        if found is None:
            if len(self._tokens) == KEPT_TOKENS:
                self._tokens.clear()
            found = self._tokens[pos] = frames.token(self._token_writer.write(pos))
        return found

    def now(self) -> bytes:
        """The field of a frame."""
        return frames.server_time(self.clock.now_ns() // 1_000_000)


class Stretch(NamedTuple):
    """What a stream reads at once. `is_outdated`: what comes next is to be read with a new view."""

    entries: Sequence[Entry]
    next: int
    has_more: bool
    is_outdated: bool


class Stream:
    """One device's."""

    def __init__(
        self,
        reading: Reading,
        viewer: Viewer,
        request: pb.SyncFromServerRequest,
        leave: Leave,
        mail: Mail | None,
    ) -> None:
        self._reading = reading
        self._viewer = viewer
        self._asked = request
        self._leave = leave
        self._mail = mail
        self._per_frame = max(1, min(request.eventsPerFrame, MAX_FRAME_EVENTS))
        self._course = Course(reading.compiler, viewer)
        self._view: View
        self._pos = 0  # the device has been sent everything up to here
        self._previous = b""  # the field that names the last event

    async def frames(self) -> AsyncGenerator[bytes]:
        start = await self._resolve()
        if isinstance(start, Fresh):
            async with aclosing(self._snapshot(start.code)) as made:
                async for frame in made:
                    yield frame
        async with aclosing(self._tail()) as made:
            async for frame in made:
                yield frame

    async def _resolve(self) -> Start:
        asked, reading = self._asked, self._reading
        last, token = asked.lastEventUuid, asked.resumeToken
        start = await reading.store.read(
            partial(resolve, self._viewer, last, token, reading.identity)
        )
        if isinstance(start, Place):
            self._view, self._pos = start.view, start.pos
            self._previous = frames.previous(start.previous) if start.previous else b""
        return start

    # -- a snapshot -----------------------------------------------------------------------------

    async def _snapshot(self, code: str) -> AsyncGenerator[bytes]:
        reading, viewer = self._reading, self._viewer
        async with reading.turns.one(viewer.user):
            beginning = await reading.store.read(partial(begin, viewer, reading.neighbours))
            snapshot = Snapshot(reading.store, viewer, beginning)
            self._view = beginning.view
            yield frames.snapshot_begin(reading.identity.epoch, code) + reading.now()
            async with aclosing(snapshot.pieces()) as pieces:
                async for piece in pieces:
                    for events in self._batches(piece):
                        yield frames.frame(events, b"")
                    if self._leave.is_over:
                        return
        self._pos = beginning.view.as_of
        yield self._mark(frames.snapshot_end(beginning.newest))
        if beginning.newest:
            self._previous = frames.previous(beginning.newest)

    # -- what was missed, and what comes --------------------------------------------------------

    async def _tail(self) -> AsyncGenerator[bytes]:
        has_caught_up = False
        while not self._leave.is_over:
            await self._hear_all()
            if self._mail is not None:
                self._mail.see(self._view.streams)
            with self._reading.tail.watch(self._view.interest) as watch:
                is_outdated = False
                while not (is_outdated or self._leave.is_over):
                    stretch = await self._read()
                    self._leave.reached(self._pos, is_live=not stretch.entries)
                    if self._is_plain(stretch.entries):
                        events = self._course.events(stretch.entries, {})
                        for frame in self._framed(events, stretch.next):
                            yield frame
                    else:
                        async with aclosing(self._sent(stretch)) as made:
                            async for frame in made:
                                yield frame
                    self._pos, is_outdated = stretch.next, stretch.is_outdated
                    self._leave.reached(self._pos, is_live=not stretch.has_more)
                    if stretch.has_more:
                        continue
                    if not has_caught_up:
                        has_caught_up = True
                        yield self._caught_up()
                        if self._asked.untilCaughtUp:
                            return
                    if not await self._wait(watch):
                        yield self._caught_up()
                    for event in () if self._mail is None else self._mail.take():
                        yield event
            read = partial(read_view, self._viewer.user, self._pos)
            self._view = await self._reading.store.read(read)

    async def _hear_all(self) -> None:
        """That other processes committed before the view. Else what comes before a leaving, in a
        commit of its own, would be no reason to wake, and read past when the leaving is."""
        store, tail = self._reading.store, self._reading.tail
        if store.is_shared and self._view.as_of > tail.head:
            await tail.catch_up()

    async def _read(self) -> Stretch:
        view, after, tail = self._view, self._pos, self._reading.tail
        upto = after + STRETCH
        is_far = upto < tail.head
        windows = view.clipped(after, upto) if is_far else view.windows
        page = await tail.page(Lane.CLIENTS, windows, after, PAGE_EVENTS, PAGE_BYTES)
        for at, entry in enumerate(page.entries):
            if entry.kind == Kind.MEMBERSHIP and entry.pos > view.as_of:
                return Stretch(page.entries[:at], entry.pos, True, True)
        if is_far and not page.more:
            return Stretch(page.entries, upto, True, False)
        return Stretch(page.entries, page.next, page.more, False)

    async def _wait(self, watch: Watch) -> bool:
        """For anything to send, or to do; False: nothing came."""
        event = trio.Event()
        watch.wake(event, self._pos)
        self._leave.wake(event)
        if self._mail is not None:
            self._mail.wake(event)
        with trio.move_on_after(self._alive_s()):
            await event.wait()
        self._pos = watch.read_on(self._pos, self._reading.tail.head)
        return event.is_set()

    def _alive_s(self) -> float:
        """A millisecond more than is left of the device's time: clocks differ by less."""
        left_ms = self._leave.until_ms - self._reading.clock.now_ns() // 1_000_000
        return min(ALIVE_S, max(0, left_ms + 1) / 1_000)

    def _is_plain(self, entries: Sequence[Entry]) -> bool:
        """Nothing is to be read for them beside what they say: as nearly always."""
        joins = self._view.joins
        return not any(entry.pos in joins or is_picture(entry) for entry in entries)

    async def _sent(self, stretch: Stretch) -> AsyncGenerator[bytes]:
        """The stretch in frames; behind each joining of the user's own, what it finds there."""
        entries, begun = stretch.entries, 0
        pictured = await self._reading.compiler.pictured(entries)
        for at, entry in enumerate(entries):
            period = self._view.joins.get(entry.pos)
            if period is None or entry.id != period.joined:
                continue
            made = self._course.events(entries[begun : at + 1], pictured)
            made[-1] = kept_back(made[-1], entry.pos - 1)
            for frame in self._framed(made, entry.pos - 1):
                yield frame
            async with aclosing(self._backfill(period)) as found:
                async for frame in found:
                    yield frame
            begun = at + 1
        rest = self._course.events(entries[begun:], pictured)
        for frame in self._framed(rest, stretch.next):
            yield frame

    async def _backfill(self, period: Period) -> AsyncGenerator[bytes]:
        place, store = period.joined_pos - 1, self._reading.store
        read = partial(read_state, self._viewer, period, period.joined_pos, RECENT_MESSAGES)
        state: State | None = await store.read(read)
        if state is None:
            return
        for frame in self._framed([backfill(event, place) for event in state.events], place):
            yield frame
        for some in in_pieces(pictures_of(state.people, set())):
            events = await read_pictures(store, some)
            for frame in self._framed([backfill(event, place) for event in events], place):
                yield frame

    # -- frames ---------------------------------------------------------------------------------

    def _framed(self, events: Sequence[Sent], place: int) -> Iterator[bytes]:
        """With which the device has everything up to `place`."""
        left = len(events)
        for batch in self._batches(events):
            left -= len(batch)
            token = self._reading.token(batch[-1].place if left else place)
            fields = token + self._previous
            for event in batch:
                if event.previous:
                    self._previous = event.previous
            yield frames.frame(batch, fields)

    def _batches(self, events: Sequence[Sent]) -> Iterator[Sequence[Sent]]:
        if self._per_frame == 1:
            yield from ((event,) for event in events)
            return
        begun = size = 0
        for at, event in enumerate(events):
            size += len(event.event)
            if at > begun and (at - begun == self._per_frame or size > MAX_FRAME_BYTES):
                yield events[begun:at]
                begun, size = at, len(event.event)
        if begun < len(events):
            yield events[begun:]

    def _caught_up(self) -> bytes:
        return self._mark(frames.caught_up(self._reading.identity.epoch))

    def _mark(self, content: bytes) -> bytes:
        reading = self._reading
        return content + reading.now() + reading.token(self._pos) + self._previous
