"""Everything that a user has, for a device that cannot go on from where it was.

It is read piece by piece. Each piece is true a little later than the one before, and nothing in it
lies beyond the position from which the stream goes on: what was changed since is then told once
more, and comes to the same. So a snapshot holds neither a transaction nor much memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio
from msgspec import Struct

from postbox.clients.events import bodies, frames
from postbox.clients.events.frames import Sent
from postbox.clients.events.kinds import Kind
from postbox.clients.reading.compile import backfill, read_pngs
from postbox.clients.reading.conversation import (
    RECENT_MESSAGES,
    Face,
    for_device,
    read_faces,
    read_newest,
    read_state,
)
from postbox.clients.reading.windows import Period, View, Viewer, newest_seen, read_periods, view_of
from postbox.errors import Fault
from postbox.store.contract import Reader
from postbox.store.runner import StoreRunner

AT_ONCE = 4
"""Snapshots that a process makes at once, of as many users: as many as it has readers of the store.
"""

PATIENCE_S = 10.0  # for a turn; then the device is told to come again
RETRY_S = 10.0
TURN_S = 5.0
"""After which a snapshot does not count any more. Most are through in less than one; who takes its
own in slowly, or not at all, is not waited for."""

MESSAGE_BYTES = 16 * 2**20
"""Of the messages of a snapshot. What is beyond them is told with its newest message alone."""

PIECE_CONVERSATIONS, PIECE_BYTES = 64, 2**20
"""That are read at once."""
PIECE_PICTURES = 16

Neighbours: TypeAlias = Callable[[Reader, str], Sequence[bytes]]
"""What a user's snapshot has of the user's guilds and invites: Events, by the user's name."""


class SnapshotBusy(Fault):
    """Too many devices begin anew at this moment."""

    retry_s = RETRY_S


class Picture(Struct, frozen=True):
    user: bytes
    sha256: bytes
    event: bytes


class Beginning(Struct, frozen=True):
    """`view`: from where the stream goes on, once the snapshot is through."""

    view: View
    periods: Sequence[Period]
    events: Sequence[bytes]
    pictures: Sequence[Picture]
    newest: bytes
    """The event that is the device's cursor after it; empty: there is none."""


class _Turn:
    """That somebody waits for, or has. `until`: 0 before it is given."""

    def __init__(self, user: bytes) -> None:
        self.user = user
        self.until = 0.0
        self.given = trio.Event()


class Turns:
    """Of those that want a snapshot: a few at once, and one a user; first come, first served."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}  # of users, when their turn is over
        self._waiting: dict[_Turn, None] = {}  # oldest first

    @asynccontextmanager
    async def one(self, user: bytes) -> AsyncIterator[None]:
        """Raises SnapshotBusy."""
        turn = _Turn(user)
        try:
            with trio.move_on_after(PATIENCE_S) as waiting:
                await self._take(turn)
            if waiting.cancelled_caught:
                raise SnapshotBusy(
                    f"{AT_ONCE} users are getting everything anew, and {PATIENCE_S:.0f} s were not"
                    f" enough for a turn: come again in {RETRY_S:.0f} s"
                )
            yield
        finally:
            self._end(turn)

    async def _take(self, turn: _Turn) -> None:
        self._waiting[turn] = None
        while True:
            self._give()
            if turn.given.is_set():
                return
            with trio.move_on_at(min(self._until.values())):
                await turn.given.wait()

    def _give(self) -> None:
        """The turns that there are. Who waits for another device of its user is passed over."""
        now = trio.current_time()
        self._until = {user: until for user, until in self._until.items() if until > now}
        given: list[_Turn] = []
        for turn in self._waiting:
            if len(self._until) == AT_ONCE:
                break
            if turn.user not in self._until:
                turn.until = self._until[turn.user] = now + TURN_S
                given.append(turn)
        for turn in given:
            del self._waiting[turn]
            turn.given.set()

    def _end(self, turn: _Turn) -> None:
        """Unless it was over, and the user has another one now."""
        self._waiting.pop(turn, None)
        if self._until.get(turn.user) == turn.until:
            del self._until[turn.user]
            self._give()


class Snapshot:
    """One device's, after `begin`."""

    def __init__(self, store: StoreRunner, viewer: Viewer, beginning: Beginning) -> None:
        self._store = store
        self._viewer = viewer
        self._beginning = beginning
        self._message_bytes = 0
        self._pictured = {picture.user for picture in beginning.pictures}

    async def pieces(self) -> AsyncGenerator[list[Sent]]:
        beginning = self._beginning
        yield _marked(beginning.events)
        for some in in_pieces(beginning.pictures):
            yield _marked(await read_pictures(self._store, some))
        left = list(beginning.periods)
        while left:
            events, pictures, done = await self._store.read(lambda reader: self._read(left, reader))
            del left[:done]
            yield _marked(events)
            for some in in_pieces(pictures):
                yield _marked(await read_pictures(self._store, some))

    def _read(
        self, periods: Sequence[Period], reader: Reader
    ) -> tuple[list[bytes], list[Picture], int]:
        """Of the next conversations as many as make a piece."""
        events: list[bytes] = []
        pictures: list[Picture] = []
        size = done = 0
        for period in periods[:PIECE_CONVERSATIONS]:
            told = self._read_one(period, pictures, reader)
            events += told
            size += sum(map(len, told))
            done += 1
            if size > PIECE_BYTES:
                break
        return events, pictures, done

    def _read_one(self, period: Period, pictures: list[Picture], reader: Reader) -> Sequence[bytes]:
        upto = self._beginning.view.as_of
        messages = RECENT_MESSAGES if self._message_bytes < MESSAGE_BYTES else 1
        state = read_state(self._viewer, period, upto, messages, reader)
        if state is None:
            return ()
        self._message_bytes += state.message_bytes
        pictures += pictures_of(state.people, self._pictured)
        newest = [
            for_device(entry, self._viewer)
            for entry in read_newest(period.conversation, upto, reader)
            if entry.seq != state.newest_seq
        ]
        # What names users stands behind it: it may say what they were called when it was made.
        return [*state.events[:1], *newest, *state.events[1:]]


def begin(viewer: Viewer, neighbours: Neighbours, reader: Reader) -> Beginning:
    """What is the user's own, and which conversations there are."""
    periods = read_periods(viewer.user, reader.head, reader)
    faces = list(read_faces([viewer.user], reader).values())
    events = [*_own_name(faces), *neighbours(reader, viewer.name)]
    return Beginning(
        view_of(viewer.user, periods, reader.head, reader.head),
        [period for period in periods if period.is_open],
        events,
        pictures_of(faces, set()),
        newest_seen(viewer.user, reader),
    )


def pictures_of(people: Iterable[Face], told: set[bytes]) -> list[Picture]:
    """Of those who have one, each once; `told` grows by them."""
    pictures = []
    for face in people:
        if face.picture and face.user not in told:
            told.add(face.user)
            pictures.append(Picture(face.user, face.picture, face.picture_event))
    return pictures


def in_pieces(pictures: Sequence[Picture]) -> Iterator[Sequence[Picture]]:
    for at in range(0, len(pictures), PIECE_PICTURES):
        yield pictures[at : at + PIECE_PICTURES]


async def read_pictures(store: StoreRunner, pictures: Sequence[Picture]) -> list[bytes]:
    """Events. One that was replaced meanwhile comes with what replaced it."""
    shas = {picture.sha256 for picture in pictures}
    pngs = await store.read(lambda reader: read_pngs(shas, reader))
    return [_picture(each, pngs[each.sha256]) for each in pictures if each.sha256 in pngs]


def _picture(picture: Picture, png: bytes) -> bytes:
    changed = bodies.picture_changed(picture.user, picture.sha256)
    event = frames.state(Kind.PROFILE_PICTURE_CHANGED, changed) + frames.png_image(png)
    return frames.named(event, picture.event)


def _own_name(faces: Iterable[Face]) -> list[bytes]:
    events = []
    for face in faces:
        if face.name_event:
            changed = bodies.display_name_changed(face.user, face.display)
            event = frames.state(Kind.DISPLAY_NAME_CHANGED, changed)
            events.append(frames.named(event, face.name_event))
    return events


def _marked(events: Iterable[bytes]) -> list[Sent]:
    return [backfill(event, 0) for event in events]
