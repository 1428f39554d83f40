"""Catching up with one peer: a sample, the newest, or page by page all it has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from postbox.errors import Fault
from postbox.mesh import wire
from postbox.mesh.client import Heard, Peer
from postbox.mesh.intake import Intake, Report
from postbox.rules import Payer

Mode: TypeAlias = Literal["sample", "page", "recent"]
Progress: TypeAlias = Callable[[Report], None]
_Place: TypeAlias = tuple[int, str]

PAGE_EVENTS = 5_000  # the most that a peer gives at once


_CURSOR = re.compile(r"([0-9]{1,19})(?:\.([0-9a-f]{32}))?", re.ASCII)
_AFTER_ALL_OF_IT = "g"  # greater than every id


class EndlessPages(Fault):
    """A peer's pages do not get on: a walk through them might never end."""


async def pull(peer: Peer, intake: Intake, mode: Mode, progress: Progress) -> Report:
    """What the peer had, taken in. `progress` is called after each answer, with all so far, all
    of it durable by then."""
    report = Report()
    request = wire.SyncRequest(mode=mode, sample_size=PAGE_EVENTS if mode == "sample" else None)
    if mode == "page":
        request.page_size = PAGE_EVENTS
    place = (-1, "")
    while True:
        heard = await peer.ask(request, intake)
        report.add(await intake.take(heard.batch, Payer("peer", heard.peer)))
        progress(report)
        if mode != "page" or not heard.next_cursor:
            return report
        place = _further(heard, place)
        request.cursor = heard.next_cursor


def _further(heard: Heard, before: _Place) -> _Place:
    """Where its cursor goes on. Raises EndlessPages unless that is beyond `before` and the page
    held something: then each page costs the peer as much as us, and the walk ends with its time.
    """
    cursor = heard.next_cursor or ""
    place = _place(cursor)
    if place is None:
        what = "which is none"
    elif not len(heard.batch):
        what = "after a page without events"
    elif place <= before:
        what = "which does not go forward"
    else:
        return place
    raise EndlessPages(
        f"{heard.peer} gave the cursor {cursor[:80]!r}, {what}: its pages may have no end."
        " What came before was taken"
    )


def _place(cursor: str) -> _Place | None:
    """Cursors in the order of the events: a time alone is behind all events of that time."""
    match = _CURSOR.fullmatch(cursor)
    return match and (int(match[1]), match[2] or _AFTER_ALL_OF_IT)
