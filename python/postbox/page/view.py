"""What the page says of a sight, ready to be written down: texts and rows, in the page's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from postbox.admin.command import VERSION
from postbox.admin.findings import Finding
from postbox.admin.trust import Waits
from postbox.admin.words import disk, mqtt, recovery, renewal, span
from postbox.errors import Fault
from postbox.mesh.boot.progress import Stage
from postbox.page.gathering import Sight
from postbox.page.map import Map, drawn
from postbox.page.problems import BLIND, blindness, problems
from postbox.page.rows import DeviceRow, LinkRow, Peers, Some, devices, links, peers, some

MOST_PROBLEMS = 20
"""The gravest come first, and who has mended these sees the others."""
MOST_AUTHORS = 5


class Bar(NamedTuple):
    """A part of a whole. `share`: 0 to 100; `shown`: at least wide enough to be seen."""

    name: str
    number: str
    share: float


class View(NamedTuple):
    """`health`: well, warning or wrong. `facts`: of the node, by name."""

    name: str
    health: str
    version: str
    facts: Mapping[str, str]
    problems: Some[Finding]
    events: str
    full: Bar
    services: Sequence[Bar]
    standings: Sequence[Bar]
    authors: Some[Bar]
    map: Map
    peers: Peers
    waiting: Some[Waits]
    recovery: str
    recovery_share: float | None
    recovery_done: bool
    idle: str | None
    links: Some[LinkRow]
    dead: int
    listening: int
    devices: Some[DeviceRow]


def view_of(sight: Sight) -> View:
    now = datetime.fromtimestamp(sight.now_ns / 1e9, UTC)
    status = sight.status
    found = problems(sight)
    authors = some(list(status.authors.items()), MOST_AUTHORS)
    progress = status.recovery
    return View(
        name=status.name,
        health=_health(found),
        version=VERSION,
        facts=dict(_facts(sight)),
        problems=some(found, MOST_PROBLEMS),
        events=f"{status.events:,}",
        full=_bar("room", status.events, status.capacity),
        services=_bars(status.services),
        standings=_bars(status.standings),
        authors=Some([_bar(*each, status.events) for each in authors.rows], authors.more),
        map=drawn(sight.placed),
        peers=peers(sight),
        waiting=some(sight.waiting),
        recovery="" if progress is None or progress.stage is Stage.IDLE else recovery(progress),
        recovery_share=None if progress is None else _share(progress.imported, progress.target),
        recovery_done=progress is None or progress.stage in (Stage.DONE, Stage.LEFT),
        idle=sight.links.idle,
        links=links(sight, now),
        dead=sum(link.dead for link in sight.links.links),
        listening=len(sight.listeners),
        devices=devices(sight, now),
    )


def unseen(view: View, fault: Fault) -> View:
    """What was seen last, when it cannot be looked at any more."""
    before = [one for one in view.problems.rows if one.what != BLIND]
    found = [blindness(fault), *before]
    return view._replace(health="wrong", problems=Some(found, view.problems.more))


def _health(found: Sequence[Finding]) -> str:
    states = {one.state for one in found}
    return "wrong" if "wrong" in states else "warning" if states else "well"


def _facts(sight: Sight) -> Iterator[tuple[str, str]]:
    status = sight.status
    yield "answers at", status.url or "nowhere"
    yield "up for", span(status.uptime_s or 0)
    if status.disk is not None:
        yield "disk", disk(status.disk)
    if status.mqtt is not None:
        yield "mqtt", mqtt(status.mqtt)
    if status.leases is not None:
        yield "leases", ", ".join(status.leases) or "none here"
    if status.hosts is not None and status.hosts.name:
        yield "host name", status.hosts.name
    yield "known keys", f"{status.keys:,}"
    if status.renewed is not None:
        yield "log", renewal(status.renewed)


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda item: -item[1])
    return [_bar(name, count, total) for name, count in rows]


def _bar(name: str, count: int, total: int) -> Bar:
    return Bar(name, f"{count:,}", _share(count, total))


def _share(count: int, total: int) -> float:
    return round(min(100.0, 100 * count / total), 1) if total else 0.0
