"""A stream: where it begins, and its frames, which are committed as they come. While a commit runs
the next frames gather, and go together into the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from postbox.client.acknowledging import Acknowledging
from postbox.client.clock import now_ms
from postbox.client.core.apply import Lost, Reader, Taken, heard
from postbox.client.core.changes import Place
from postbox.client.core.inputs import Fault, Heard
from postbox.client.news import News
from postbox.client.shelf import Shelf
from postbox.client.store.store import Left, Store
from postbox.client.transport.contract import CallFailed, Transport
from postbox.errors import Fault as Failure
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import Clock

EVENTS_PER_FRAME = 100
"""The most that a host puts into one."""
FRAMES_AHEAD = 16
"""That wait for a commit, of 256 KiB at most each; then the host is slowed down."""


class Stream:
    """One at a time: the next begins where the commits of the one before have come to."""

    def __init__(
        self, clock: Clock, shelf: Shelf, wire: Transport, news: News, owing: Acknowledging
    ) -> None:
        self._clock = clock
        self._shelf = shelf
        self._wire = wire
        self._news = news
        self._owing = owing
        self._turn = anyio.Lock()

    async def follow(
        self,
        goes_on: bool,
        is_inactive: bool,
        opened: Callable[[], None],
        came: Callable[[Heard], None],
    ) -> Fault | None:
        """Until it ends: in order (None), or why. `goes_on`: where the device is; else from the
        beginning, by a snapshot. `came` is told of each commit."""
        async with self._turn:
            try:
                return await self._follow(goes_on, is_inactive, opened, came)
            except CallFailed as failed:
                return fault_of(failed)
            except Failure as failed:
                return Fault("STORE", str(failed))

    async def _follow(
        self,
        goes_on: bool,
        is_inactive: bool,
        opened: Callable[[], None],
        came: Callable[[Heard], None],
    ) -> Fault | None:
        await self._shelf.write(partial(_begin, now_ms(self._clock)))
        user, place, heads = await self._shelf.read(_beginning)
        request = pb.SyncFromServerRequest(
            lastEventUuid=place.uuid if goes_on else "",
            resumeToken=place.token if goes_on else "",
            eventsPerFrame=EVENTS_PER_FRAME,
            inactive=is_inactive,
        )
        async with self._wire.stream(request.to_binary()) as frames:
            opened()
            self._owing.said()
            reader = Reader(user, place, heads)
            taking = _Taking(self._clock, self._shelf, self._news, self._owing, reader, came)
            return await taking.take_all(frames)


class _Taking:
    def __init__(
        self,
        clock: Clock,
        shelf: Shelf,
        news: News,
        owing: Acknowledging,
        reader: Reader,
        came: Callable[[Heard], None],
    ) -> None:
        self._clock = clock
        self._shelf = shelf
        self._news = news
        self._owing = owing
        self._reader = reader
        self._came = came
        self._ended: Fault | None = None

    async def take_all(self, frames: AsyncIterator[bytes]) -> Fault | None:
        """What has come is committed before its end is told."""
        put, get = anyio.create_memory_object_stream[bytes](FRAMES_AHEAD)
        failed: Fault | None = None
        with put, get:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, frames, put)
                failed = await self._take(get)
                tasks.cancel_scope.cancel()
        return failed or self._ended

    async def _read(self, frames: AsyncIterator[bytes], put: MemoryObjectSendStream[bytes]) -> None:
        with put:
            try:
                async for frame in frames:
                    await put.send(frame)
            except CallFailed as failed:
                self._ended = fault_of(failed)

    async def _take(self, get: MemoryObjectReceiveStream[bytes]) -> Fault | None:
        """None: there are no more."""
        async for frame in get:
            frames = [frame, *_all_there(get)]
            try:
                lost = await self._commit(frames)
            except Failure as failed:
                return Fault("STORE", str(failed))
            if lost is not None:
                return Fault("LOST", str(lost))
        return None

    async def _commit(self, frames: list[bytes]) -> Lost | None:
        taken, left, lost = await self._shelf.write(partial(self._taken, frames))
        for each in taken:
            self._owing.heard(each.changes)
            self._news.heard(each.changes)
            self._news.passed(each.passing)
        if taken:
            self._came(heard(taken, left.queued, left.holes))
        return lost

    def _taken(self, frames: list[bytes], store: Store) -> tuple[list[Taken], Left, Lost | None]:
        """In a thread. What comes before a frame that does not go on is committed all the same."""
        taken: list[Taken] = []
        lost = None
        try:
            for frame in frames:
                taken.append(self._reader.take(frame))  # noqa: PERF401  (those before count)
        except Lost as found:
            lost = found
        left = store.take([(each.changes, each.place) for each in taken], now_ms(self._clock))
        return taken, left, lost


def _begin(at_ms: int, store: Store) -> None:
    store.stream_opened()
    store.prune(at_ms)


def _beginning(store: Store) -> tuple[str, Place, dict[str, int]]:
    return store.owner.user if store.owner else "", store.place(), store.heads()


def _all_there(get: MemoryObjectReceiveStream[bytes]) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(get.receive_nowait())
    except (anyio.WouldBlock, anyio.EndOfStream):
        return found


def fault_of(failed: CallFailed) -> Fault:
    return Fault(failed.code, failed.text, failed.retry_s, failed.next_number or 0)
