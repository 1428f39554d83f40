"""Catching up with one peer: a sample, the newest, or page by page all it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import trio

from postbox.errors import Fault
from postbox.mesh.calling.client import Busy, Heard, Peer
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.wire import SyncRequest
from postbox.rules import Payer

Mode: TypeAlias = Literal["sample", "page", "recent"]
Progress: TypeAlias = Callable[[Report], None]

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
    has_more = True
    while has_more:
        has_more = await walk.step()
        progress(walk.report)
    return Pulled(walk.report, walk.newest_ns)


class PageWalk:
    """Through a peer's pages, a page at a time. `taken`: what became of the last page's events;
    `report`: of all so far; `newest_ns`: the time of the last event that was seen, 0 for none."""

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
            cursor=str(since_ns) if since_ns else None,
        )
        self._place = _Place(since_ns, _AFTER_ALL_OF_IT)
        self.taken = Report()
        self.report = Report()
        self.newest_ns = 0

    async def step(self) -> bool:
        """One page, durable on return. Whether there is another one."""
        heard, self.taken = await ask(self._peer, self._request, self._intake)
        self.report.add(self.taken)
        span = heard.batch.span()
        self.newest_ns = max(self.newest_ns, span[1] if span else 0)
        if not heard.next_cursor:
            return False
        self._place = _further(heard, self._place)
        self._request.cursor = heard.next_cursor
        return True

    @property
    def reached_ns(self) -> int:
        """All up to there was asked for, but for some of that very time."""
        return self._place.ts


async def ask(peer: Peer, request: SyncRequest, intake: Intake) -> tuple[Heard, Report]:
    """One answer, taken in, and what became of its events."""
    heard = await _patiently(peer, request, intake)
    return heard, await intake.take(heard.batch, Payer("peer", heard.peer))


async def _patiently(peer: Peer, request: SyncRequest, intake: Intake) -> Heard:
    """Asks again when the peer says when; asking reads and changes nothing."""
    for _ in range(TRIES - 1):
        try:
            return await peer.ask(request, intake)
        except Busy as busy:
            await trio.sleep(busy.wait_s)
    return await peer.ask(request, intake)


def _further(heard: Heard, before: _Place) -> _Place:
    """Where its cursor goes on. Raises EndlessPages unless the page was worth its request, began
    where the last one ended, and the cursor is its last event: then each page costs the peer as
    much as us, and a walk gets on. What its events are worth is not asked: honest peers hold what
    others made them take, and nobody shall be able to hide the rest behind it."""
    cursor = heard.next_cursor or ""
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
