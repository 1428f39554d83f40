"""Catching up with one peer: a sample, the newest, or page by page all it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import outcome
import trio

from postbox.errors import Fault
from postbox.mesh.calling.client import Busy, Heard, Peer
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.wire import SyncRequest

Mode: TypeAlias = Literal["sample", "page", "recent"]
Progress: TypeAlias = Callable[[Report], None]
Took: TypeAlias = Callable[[Report], bool]
"""Told what became of a page's events, all of it durable by then. Whether the walk shall go on."""

PAGE_EVENTS = 5_000  # the most that a peer gives at once
MIN_EVENTS, MIN_BYTES = 500, 2**20
"""What a page that is not the last one holds at least, one or the other. Else a peer could keep us
asking for ever, an event at a time."""
TRIES = 5
"""At one page, with a peer that says it is busy."""

_CURSOR = re.compile(r"([0-9]{1,19})(?:\.([0-9a-f]{32}))?", re.ASCII)
_AFTER_ALL_OF_IT = "g"  # greater than every id


class EndlessPages(Fault):
    """A peer's pages do not get on: a walk through them might never end."""


class Pulled(NamedTuple):
    """`newest_ns`: the time of the last event that a walk saw, 0 if it saw none."""

    report: Report
    newest_ns: int


class _Place(NamedTuple):
    """Cursors in the order of the events: a time alone is behind all events of that time."""

    ts: int
    id: str


async def pull(
    peer: Peer, intake: Intake, mode: Mode, progress: Progress, *, since_ns: int = 0
) -> Pulled:
    """What the peer had, taken in. `progress` is called after each answer, with all so far, all
    of it durable by then. `since_ns`: a walk through pages begins after that time."""
    if mode != "page":
        size = PAGE_EVENTS if mode == "sample" else None
        _, report = await ask(peer, SyncRequest(mode=mode, sample_size=size), intake)
        progress(report)
        return Pulled(report, 0)
    walk = PageWalk(peer, intake, since_ns)

    def took(_: Report) -> bool:
        progress(walk.report)
        return True

    await walk.run(took)
    return Pulled(walk.report, walk.newest_ns)


class PageWalk:
    """Through a peer's pages. While one is written down the next is fetched and judged, and no more
    than these two are in memory. `report`: what became of all events so far; `newest_ns`: the time
    of the last one that was seen, 0 for none."""

    def __init__(
        self,
        peer: Peer,
        intake: Intake,
        since_ns: int = 0,
        *,
        services: Sequence[str] | None = None,
        page_size: int | None = None,
    ) -> None:
        self._peer = peer
        self._intake = intake
        self._request = SyncRequest(
            mode="page",
            services=None if services is None else list(services),
            page_size=page_size or PAGE_EVENTS,
        )
        self._cursor = str(since_ns) if since_ns else None
        self._place = _Place(since_ns, _AFTER_ALL_OF_IT)
        self.report = Report()
        self.newest_ns = 0

    async def run(self, took: Took) -> bool:
        """Whether it came to the end, and was not stopped before. After a fault, or when it was
        stopped, it may be run again, and goes on. Raises what `took` raises, too."""
        async with trio.open_nursery() as nursery:
            send, pages = trio.open_memory_channel[Heard | Fault](0)
            nursery.start_soon(self._ask, send)
            # What it raises comes out alone, and not in a group.
            ended = await outcome.acapture(self._take, pages, took)
            nursery.cancel_scope.cancel()
        return ended.unwrap()

    async def _ask(self, send: trio.MemorySendChannel[Heard | Fault]) -> None:
        """Each page is given away before the next one is asked for."""
        async with send:
            try:
                self._request.cursor = self._cursor
                place: _Place | None = self._place
                while place is not None:
                    heard = await _patiently(self._peer, self._request, self._intake)
                    await self._intake.judge(heard.batch, heard.payer)
                    await send.send(heard)
                    self._request.cursor = heard.next_cursor
                    place = _further(heard, place)
            except Fault as fault:
                await send.send(fault)

    async def _take(self, pages: trio.MemoryReceiveChannel[Heard | Fault], took: Took) -> bool:
        async for heard in pages:
            if isinstance(heard, Fault):
                raise heard
            taken = await self._intake.admit(heard.batch, heard.payer)
            self.report.add(taken)
            span = heard.batch.span()
            self.newest_ns = max(self.newest_ns, span[1] if span else 0)
            goes_on = took(taken)
            place = _further(heard, self._place)
            if place is None:
                return True
            self._place, self._cursor = place, heard.next_cursor
            if not goes_on:
                break
        return False

    @property
    def reached_ns(self) -> int:
        """All up to there was asked for, but for some of that very time."""
        return self._place.ts


async def ask(peer: Peer, request: SyncRequest, intake: Intake) -> tuple[Heard, Report]:
    """One answer, taken in, and what became of its events."""
    heard = await _patiently(peer, request, intake)
    return heard, await intake.take(heard.batch, heard.payer)


async def _patiently(peer: Peer, request: SyncRequest, intake: Intake) -> Heard:
    """Asks again when the peer says when; asking reads and changes nothing."""
    for _ in range(TRIES - 1):
        try:
            return await peer.ask(request, intake)
        except Busy as busy:
            await trio.sleep(busy.wait_s)
    return await peer.ask(request, intake)


def _further(heard: Heard, before: _Place) -> _Place | None:
    """Where its cursor goes on, None where nothing remains. Raises EndlessPages unless the page was
    worth its request, began where the last one ended, and the cursor is its last event: then each
    page costs the peer as much as us, and a walk gets on. What its events are worth is not asked:
    honest peers hold what others made them take, and nobody shall be able to hide the rest behind
    it."""
    cursor = heard.next_cursor
    if not cursor:
        return None
    place = _place(cursor)
    span = heard.batch.span()
    if place is None:
        what = "which is none"
    elif span is None:
        what = "after a page without events"
    elif place <= before:
        what = "which does not go forward"
    elif span[0] < before.ts or span[1] != place.ts:
        what = "after a page that is not the one between this cursor and the last"
    elif len(heard.batch) < MIN_EVENTS and heard.bytes < MIN_BYTES:
        what = f"after a page of {len(heard.batch)} events"
    else:
        return place
    raise EndlessPages(
        f"{heard.peer} gave the cursor {cursor[:80]!r}, {what}: its pages may have no end."
        " What came before was taken"
    )


def _place(cursor: str) -> _Place | None:
    match = _CURSOR.fullmatch(cursor)
    return match and _Place(int(match[1]), match[2] or _AFTER_ALL_OF_IT)
