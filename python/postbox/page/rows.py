"""What the page's tables say of peers, hosts and devices: of each as many as a page can show, those
first that somebody should look at. The whole of it is at most looked through, not worded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from postbox.admin.devices import DeviceSeen
from postbox.admin.links import LinkSeen
from postbox.admin.peers import Other, Seen
from postbox.admin.words import ago, notes, reason, span, until
from postbox.page.gathering import Listener, Sight
from postbox.page.map import ms

T = TypeVar("T")

MOST_ROWS = 40
"""Of a table. The verb that is named below it has them all."""
MOST_AWAY = 200
"""Names in a paragraph that is closed at first."""


class Some(NamedTuple, Generic[T]):
    """The first of a list, and how many more there are."""

    rows: Sequence[T]
    more: int

    @property
    def all(self) -> int:
        return len(self.rows) + self.more


class PeerRow(NamedTuple):
    """`origin`: how this node came to know of it; `rounds`: of asking it, if it is configured;
    `doubt`: demoted, banned or empty; `key`: whence it is."""

    name: str
    url: str
    state: str
    kind: str
    rtt: str
    memory: str
    contact: str
    origin: str
    rounds: str
    doubt: str
    key: str
    error: str
    may_ban: bool


class Away(NamedTuple):
    name: str
    state: str


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


# -- peers ----------------------------------------------------------------------------------


class Peers(NamedTuple):
    """`near`: whom there is a reason to look at, since the operator named them, they are there, or
    did something; `away`: the rest, by name."""

    near: Some[PeerRow]
    away: Some[Away]
    online: int

    @property
    def all(self) -> int:
        return self.near.all + self.away.all


def peers(sight: Sight) -> Peers:
    """The configured ones first, then who is there, then who is thought less of."""
    met, now_ns = sight.peers, sight.now_ns
    others = [one for one in met.others if one.url or one.trust.regard != "good"]
    near = [one for one in others if one.state == "online" or one.trust.regard != "good"]
    away = [one for one in others if one.state != "online" and one.trust.regard == "good"]
    rows = [_configured(one, now_ns) for one in met.peers[:MOST_ROWS]]
    rows += [_other(one, now_ns) for one in near[: MOST_ROWS - len(rows)]]
    online = sum(one.state == "online" for one in near)
    online += sum(one.state == "online" and one.answers for one in met.peers)
    return Peers(
        Some(rows, len(met.peers) + len(near) - len(rows)),
        some([Away(one.name, one.state) for one in away], MOST_AWAY),
        online,
    )


def some(every: Sequence[T], most: int = MOST_ROWS) -> Some[T]:
    return Some(every[:most], max(0, len(every) - most))


def _configured(seen: Seen, now_ns: int) -> PeerRow:
    return PeerRow(
        name=seen.name or "not met yet",
        url=seen.url,
        state=seen.state if seen.answers else "failing",
        kind=_kind(seen.kind, seen.version),
        rtt=ms(seen.rtt_ms),
        memory=seen.memory_mode or "–",
        contact=_contact(seen.last_contact_ns, now_ns),
        origin="configured",
        rounds=f"{seen.contact}; rounds: {seen.pulls:,}, new events: {seen.imported:,}",
        doubt=_doubt(seen),
        key=_key(seen),
        error=reason(seen.error, seen.url),
        may_ban=bool(seen.name),
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
        origin=other.origin,
        rounds="",
        doubt=_doubt(other),
        key=_key(other),
        error=reason(other.error, other.url),
        may_ban=True,
    )


def _doubt(one: Seen | Other) -> str:
    return "" if one.trust.regard == "good" else one.trust.regard


def _key(one: Seen | Other) -> str:
    if not one.name:
        return ""
    return f"key: {one.key_from}" if one.key_from else "key unknown"


def _kind(kind: str, version: str) -> str:
    return " ".join(filter(None, (kind, version))) or "–"


def _contact(at_ns: int, now_ns: int) -> str:
    return f"{span((now_ns - at_ns) / 1e9)} ago" if at_ns else "–"


# -- hosts ----------------------------------------------------------------------------------

_GRAVEST = ("failing", "behind", "level")


def links(sight: Sight, now: datetime) -> Some[LinkRow]:
    """Those that fail first."""
    every = sorted(sight.links.links, key=lambda link: _GRAVEST.index(_state(link)))
    found = some(every)
    return Some([_link(link, now) for link in found.rows], found.more)


def _state(link: LinkSeen) -> str:
    return "failing" if link.error else "behind" if link.queued else "level"


def _link(link: LinkSeen, now: datetime) -> LinkRow:
    return LinkRow(
        host=link.host,
        state=_state(link),
        queued=f"{link.queued:,}",
        acknowledged=f"{link.acknowledged:,}",
        received=f"{link.received:,}",
        contact="never" if link.last_contact is None else ago(now - link.last_contact),
        attempt="–" if link.next_attempt is None else until(link.next_attempt - now),
        dead=link.dead,
        notes=list(notes(link, now)),
    )


# -- devices --------------------------------------------------------------------------------


def devices(sight: Sight, now: datetime) -> Some[DeviceRow]:
    """Those that listen first, and of these those that are behind."""
    listening = {one.device: one for one in sight.listeners}
    known = [one for one in sight.devices if one.user is not None and one.registered is not None]
    known.sort(key=lambda one: _behind(listening.get(one.uuid)))
    found = some(known)
    return Some([_device(one, listening.get(one.uuid), now) for one in found.rows], found.more)


def _behind(listener: Listener | None) -> float:
    return 1.0 if listener is None else -listener.behind


def _device(device: DeviceSeen, listener: Listener | None, now: datetime) -> DeviceRow:
    if listener is None:
        state, text = "away", "away" if device.is_let_in else "shut out"
    elif listener.behind:
        state, text = "catching up", f"catching up: {listener.behind:,} positions behind"
    else:
        state, text = "live", "live, has everything"
    seen = "never" if device.last_seen is None else ago(now - device.last_seen)
    return DeviceRow(device.user or "", device.device, state, text, seen)
