"""Catching up with one peer: a sample, the newest, or page by page all it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from postbox.errors import Fault
from postbox.mesh import wire
from postbox.mesh.client import Peer
from postbox.mesh.intake import Intake, Report
from postbox.rules import Payer

Mode: TypeAlias = Literal["sample", "page", "recent"]
Progress: TypeAlias = Callable[[Report], None]

PAGE_EVENTS = 5_000  # the most that a peer gives at once


class EndlessPages(Fault):
    """A peer gave a cursor that it had given before."""


async def pull(peer: Peer, intake: Intake, mode: Mode, progress: Progress) -> Report:
    """What the peer had, taken in. `progress` is called after each answer, with all so far, all
    of it durable by then."""
    report = Report()
    request = wire.SyncRequest(mode=mode, sample_size=PAGE_EVENTS if mode == "sample" else None)
    if mode == "page":
        request.page_size = PAGE_EVENTS
    seen: set[str] = set()
    while True:
        heard = await peer.ask(request, intake)
        report.add(await intake.take(heard.batch, Payer("peer", heard.peer)))
        progress(report)
        if mode != "page" or not heard.next_cursor:
            return report
        if heard.next_cursor in seen:
            raise EndlessPages(
                f"{heard.peer} gave the cursor {heard.next_cursor[:80]!r} twice: its pages have no"
                " end. What came before was taken"
            )
        seen.add(heard.next_cursor)
        request.cursor = heard.next_cursor
