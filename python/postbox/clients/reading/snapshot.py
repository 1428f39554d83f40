"""Everything that a user has, for a device that cannot go on from where it was.

It is read piece by piece. Each piece is true a little later than the one before, and nothing in it
lies beyond the position from which the stream goes on: what was changed since is then told once
more, and comes to the same. So a snapshot holds neither a transaction nor much memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
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
"""Snapshots that a process makes at once, as many as it has readers of the store."""

PATIENCE_S = 10.0  # for a turn; then the device is told to come again
RETRY_S = 10.0
TURN_S = 30.0
"""After which a snapshot does not count any more: its device takes it in slowly, and no other has
to wait for that."""

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


class Turns:
    """Of those that want a snapshot. Raises SnapshotBusy."""

    def __init__(self) -> None:
        self._free = trio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Turn]:
        with trio.move_on_after(PATIENCE_S) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise SnapshotBusy(
                f"{AT_ONCE} devices are getting everything anew, and {PATIENCE_S:.0f} s were not"
                f" enough for a turn: come again in {RETRY_S:.0f} s"
            )
        turn = Turn(self._free)
        try:
            yield turn
        finally:
            turn.end()


class Turn:
    def __init__(self, free: trio.Semaphore) -> None:
        self._free: trio.Semaphore | None = free
        self._until = trio.current_time() + TURN_S

    def end_late(self) -> None:
        if trio.current_time() > self._until:
            self.end()

    def end(self) -> None:
        if self._free is not None:
            self._free.release()
            self._free = None


class Snapshot:
    """One device's, after `begin`."""

    def __init__(self, store: StoreRunner, viewer: Viewer, beginning: Beginning) -> None:
        self._store = store
        self._viewer = viewer
        self._beginning = beginning
        self._message_bytes = 0
        self._pictured = {picture.user for picture in beginning.pictures}

    async def pieces(self, turn: Turn) -> AsyncGenerator[list[Sent]]:
        beginning = self._beginning
        yield _marked(beginning.events)
        async for piece in _pictures(self._store, beginning.pictures):
            yield piece
        left = list(beginning.periods)
        while left:
            turn.end_late()
            events, pictures, done = await self._store.read(lambda reader: self._read(left, reader))
            del left[:done]
            yield _marked(events)
            async for piece in _pictures(self._store, pictures):
                yield piece

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
        newest = read_newest(period.conversation, upto, reader)
        return [*state.events, *[for_device(entry, self._viewer) for entry in newest]]


def begin(viewer: Viewer, neighbours: Neighbours, reader: Reader) -> Beginning:
    """What is the user's own, and which conversations there are."""
    periods = read_periods(viewer.user, reader)
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


async def pictures_in(
    store: StoreRunner, pictures: Sequence[Picture]
) -> AsyncGenerator[list[bytes]]:
    """Events, a few at a time. One that was replaced meanwhile comes with what replaced it."""
    for at in range(0, len(pictures), PIECE_PICTURES):
        some = pictures[at : at + PIECE_PICTURES]
        pngs = await store.read(lambda reader: read_pngs({each.sha256 for each in some}, reader))  # noqa: B023  (it has run before the next)
        yield [_picture(each, pngs[each.sha256]) for each in some if each.sha256 in pngs]


async def _pictures(store: StoreRunner, pictures: Sequence[Picture]) -> AsyncGenerator[list[Sent]]:
    async for events in pictures_in(store, pictures):
        yield _marked(events)


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
