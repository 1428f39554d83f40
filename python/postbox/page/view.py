"""What the page says of a sight, ready to be written down: texts and rows, in the page's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from postbox.admin.command import VERSION
from postbox.admin.devices import DeviceSeen
from postbox.admin.findings import Finding
from postbox.admin.links import LinkSeen
from postbox.admin.peers import Other, Seen
from postbox.admin.trust import Waits
from postbox.admin.words import ago, disk, mqtt, notes, reason, recovery, renewal, span, until
from postbox.mesh.boot.progress import Stage
from postbox.page.gathering import Sight
from postbox.page.map import Map, drawn, ms
from postbox.page.problems import problems

MOST_ROWS = 40
"""Of a table. The verb that is named below it has them all."""
MOST_AWAY = 200
"""Names in a paragraph that is closed at first."""


class Bar(NamedTuple):
    """A part of a whole. `share`: 0 to 100; `shown`: at least wide enough to be seen."""

    name: str
    number: str
    share: float


class PeerRow(NamedTuple):
    """`regard`: good, demoted, banned, or empty where its key is not known."""

    name: str
    url: str
    state: str
    kind: str
    rtt: str
    memory: str
    contact: str
    rounds: str
    regard: str
    error: str
    is_configured: bool = False


class LinkRow(NamedTuple):
    host: str
    state: str
    queued: str
    acknowledged: str
    received: str
    contact: str
    attempt: str
    dead: int
    notes: Sequence[str]


class DeviceRow(NamedTuple):
    user: str
    device: str
    state: str
    text: str
    seen: str


class View(NamedTuple):
    """`health`: well, warning or wrong. `facts`: of the node, by name."""

    name: str
    health: str
    version: str
    facts: Mapping[str, str]
    problems: Sequence[Finding]
    events: str
    full: Bar
    services: Sequence[Bar]
    standings: Sequence[Bar]
    authors: Sequence[Bar]
    more_authors: int
    online: int
    known_peers: int
    map: Map
    peers: Sequence[PeerRow]
    more_peers: int
    away: Sequence[PeerRow]
    more_away: int
    waiting: Sequence[Waits]
    recovery: str
    recovery_share: float | None
    recovery_done: bool
    idle: str | None
    links: Sequence[LinkRow]
    dead: int
    listening: int
    devices: Sequence[DeviceRow]
    more_devices: int


def view_of(sight: Sight) -> View:
    now = datetime.fromtimestamp(sight.now_ns / 1e9, UTC)
    status = sight.status
    found = problems(sight, now)
    every = list(_peers(sight))
    peers = [row for row in every if _is_near(row)]
    away = [row for row in every if not _is_near(row)]
    devices = sorted(_devices(sight, now), key=lambda row: row.state == "away")
    authors = list(status.authors.items())
    progress = status.recovery
    return View(
        name=status.name,
        health=_health(found),
        version=VERSION,
        facts=dict(_facts(sight)),
        problems=found,
        events=f"{status.events:,}",
        full=_bar("room", status.events, status.capacity),
        services=_bars(status.services),
        standings=_bars(status.standings),
        authors=[_bar(name, count, status.events) for name, count in authors[:5]],
        more_authors=max(0, len(authors) - 5),
        online=sum(row.state == "online" for row in peers),
        known_peers=len(every),
        map=drawn(sight.placed),
        peers=peers[:MOST_ROWS],
        more_peers=max(0, len(peers) - MOST_ROWS),
        away=away[:MOST_AWAY],
        more_away=max(0, len(away) - MOST_AWAY),
        waiting=sight.waiting[:MOST_ROWS],
        recovery="" if progress is None else recovery(progress),
        recovery_share=None if progress is None else _share(progress.imported, progress.target),
        recovery_done=progress is None or progress.stage in (Stage.DONE, Stage.LEFT),
        idle=sight.links.idle,
        links=[_link(link, now) for link in sight.links.links[:MOST_ROWS]],
        dead=sum(link.dead for link in sight.links.links),
        listening=len(sight.listeners),
        devices=devices[:MOST_ROWS],
        more_devices=max(0, len(devices) - MOST_ROWS),
    )


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
    renewed = "" if status.renewed is None else f" ({renewal(status.renewed)})"
    yield "epoch", f"{status.epoch[:12]}…{renewed}"


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda item: -item[1])
    return [_bar(name, count, total) for name, count in rows]


def _bar(name: str, count: int, total: int) -> Bar:
    return Bar(name, f"{count:,}", _share(count, total))


def _share(count: int, total: int) -> float:
    return round(min(100.0, 100 * count / total), 1) if total else 0.0


# -- peers ----------------------------------------------------------------------------------


def _peers(sight: Sight) -> Iterator[PeerRow]:
    """The configured ones first, then who is there, then the rest."""
    for seen in sight.peers.peers:
        yield _configured(seen, sight.now_ns)
    others = [one for one in sight.peers.others if one.url or one.trust.regard != "good"]
    for other in sorted(others, key=lambda one: (one.state != "online", one.name)):
        yield _other(other, sight.now_ns)


def _is_near(row: PeerRow) -> bool:
    """Is there a reason to look at it: the operator named it, it is there, or it did something?"""
    return row.is_configured or row.state == "online" or row.regard in ("demoted", "banned")


def _configured(seen: Seen, now_ns: int) -> PeerRow:
    state = seen.state if seen.answers else "failing"
    return PeerRow(
        name=seen.name or "not met yet",
        url=seen.url,
        state=state,
        kind=_kind(seen.kind, seen.version),
        rtt=ms(seen.rtt_ms),
        memory=seen.memory_mode or "–",
        contact=_contact(seen.last_contact_ns, now_ns),
        rounds=f"{seen.contact}; rounds: {seen.pulls:,}, new events: {seen.imported:,}",
        regard=seen.trust.regard,
        error=reason(seen.error, seen.url),
        is_configured=True,
    )


def _other(other: Other, now_ns: int) -> PeerRow:
    return PeerRow(
        name=other.name,
        url=other.url,
        state=other.state,
        kind=_kind(other.kind, other.version),
        rtt=ms(other.rtt_ms),
        memory=other.memory_mode or "–",
        contact=_contact(other.last_contact_ns, now_ns),
        rounds=other.origin,
        regard=other.trust.regard if other.known or other.trust.regard != "good" else "",
        error=reason(other.error, other.url),
    )


def _kind(kind: str, version: str) -> str:
    return " ".join(filter(None, (kind, version))) or "–"


def _contact(at_ns: int, now_ns: int) -> str:
    return f"{span((now_ns - at_ns) / 1e9)} ago" if at_ns else "–"


# -- hosts and clients ----------------------------------------------------------------------


def _link(link: LinkSeen, now: datetime) -> LinkRow:
    failing = "failing" if link.error else "behind" if link.queued else "level"
    return LinkRow(
        host=link.host,
        state=failing,
        queued=f"{link.queued:,}",
        acknowledged=f"{link.acknowledged:,}",
        received=f"{link.received:,}",
        contact="never" if link.last_contact is None else ago(now - link.last_contact),
        attempt="–" if link.next_attempt is None else until(link.next_attempt - now),
        dead=link.dead,
        notes=list(notes(link, now)),
    )


def _devices(sight: Sight, now: datetime) -> Iterator[DeviceRow]:
    listening = {one.device: one.behind for one in sight.listeners}
    for device in sight.devices:
        if device.user is not None and device.registered is not None:
            yield _device(device, listening.get(device.uuid), now)


def _device(device: DeviceSeen, behind: int | None, now: datetime) -> DeviceRow:
    match behind:
        case None:
            state, text = "away", "away" if device.is_let_in else "shut out"
        case 0:
            state, text = "live", "live, has everything"
        case _:
            state, text = "catching up", f"catching up: {behind:,} positions behind"
    seen = "never" if device.last_seen is None else ago(now - device.last_seen)
    return DeviceRow(device.user or "", device.device, state, text, seen)
