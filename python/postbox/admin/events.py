"""Events into a node and out of it, in portions that fit one request: for import and export."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.mesh.importing import take_raws
from postbox.mesh.merging.intake import Report
from postbox.store.contract import Lane

PAGE_EVENTS = 5_000
PAGE_BYTES = 4 * 2**20
"""Of events, in base64 a third more: an answer of some megabytes, whatever the events are."""


class Take(Struct, frozen=True, forbid_unknown_fields=True):
    """`raws`: events as they stood in the file."""

    raws: list[bytes]


class Taken(Struct, frozen=True):
    """What became of them; `rejected` by verdict. `forgotten`: events that left the log meanwhile,
    if that was looked at."""

    imported: int
    duplicates: int
    pruned: int
    rejected: dict[str, int]
    forgotten: int = 0
    filtered: int = 0

    @classmethod
    def of(cls, report: Report) -> Taken:
        return cls(
            report.imported,
            report.duplicates,
            report.pruned,
            dict(report.rejected),
            filtered=report.filtered,
        )

    def report(self) -> Report:
        report = Report(self.imported, self.duplicates, self.pruned, filtered=self.filtered)
        report.rejected.update(self.rejected)
        return report


class Settled(Struct, frozen=True):
    """`forgotten`: events that left the log since the node was opened, which was for this verb
    unless it `serves`."""

    forgotten: int = 0
    serves: bool = False


class After(Struct, frozen=True, forbid_unknown_fields=True):
    """The events beyond a position of the log; 0 is before the first."""

    pos: int


class EventPage(Struct, frozen=True):
    """`lines`: events as they came, in the order of the log. The next page is after `next`;
    `share`: of the log, up to there."""

    lines: list[bytes]
    next: int
    share: float
    more: bool


async def _take(desk: Desk, request: Take, tell: Tell) -> Taken:
    return Taken.of(await take_raws(desk.node.intake, request.raws))


async def _settle(desk: Desk, _: Nothing, tell: Tell) -> Settled:
    await desk.node.settle()
    return Settled(desk.node.ledger.forgotten, desk.serving is not None)


async def _page(desk: Desk, request: After, tell: Tell) -> EventPage:
    tail = desk.node.tail
    page = await tail.page(Lane.MESH, None, request.pos, PAGE_EVENTS, PAGE_BYTES)
    lines = [entry.body for entry in page.entries if entry.body is not None]
    share = page.next / max(tail.head, 1) if page.more else 1.0
    return EventPage(lines, page.next, share, page.more)


TAKE = Command("take", Take, Taken, _take)
SETTLE = Command("settle", Nothing, Settled, _settle)
"""Until log and ledger agree: before the first `take`, to know what was forgotten before, and after
the last one, before a verb says what it has done."""
EVENTS = Command("events", After, EventPage, _page)
