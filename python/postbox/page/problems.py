"""What is wrong, the gravest first, each with what to do: as `postbox doctor` says it, and of links
and peers what their own lists say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from postbox.admin import findings
from postbox.admin.findings import Finding
from postbox.admin.links import LinkSeen
from postbox.admin.peers import Trust
from postbox.admin.words import distrust, mqtt, notes
from postbox.page.gathering import Sight


def problems(sight: Sight, now: datetime) -> list[Finding]:
    found = [one for one in _findings(sight) if one.state != "ok" and one.what != "hosts"]
    found += [one for link in sight.links.links for one in _of_link(link, now)]
    found += [_of_trust(name, trust, sight.now_ns) for name, trust in distrusted(sight)]
    return sorted(found, key=lambda one: one.state != "wrong")


def _findings(sight: Sight) -> Iterator[Finding]:
    status = sight.status
    room_bytes = None if status.disk is None else status.disk.room_bytes
    if room_bytes is not None:
        yield findings.of_room(room_bytes)
    yield from findings.of_status(status, sight.now_ns)
    yield from findings.of_listening(sight.doubts)
    yield from findings.of_issuer(sight.issuer)
    yield from findings.of_peers(sight.peers, sight.now_ns)
    if status.mqtt is not None and not status.mqtt.up:
        cure = "is the broker running, and mesh.mqtt right? Peers are asked over HTTP meanwhile"
        yield Finding("mqtt", "warning", mqtt(status.mqtt), cure)


def _of_link(link: LinkSeen, now: datetime) -> Iterator[Finding]:
    """Of a link that fails. What was given up is a finding of its own."""
    if link.error:
        text = "; ".join(notes(link, now))
        cure = f"it is tried again by itself; postbox doctor {link.host} walks the way there"
        yield Finding(f"host {link.host}", "warning", text, cure)


def _of_trust(name: str, trust: Trust, now_ns: int) -> Finding:
    cure = f"nothing, if that is right; postbox peers forgive {name} ends it"
    return Finding(f"peer {name}", "warning", distrust(name, trust, now_ns), cure)


def distrusted(sight: Sight) -> Sequence[tuple[str, Trust]]:
    """By name, each once."""
    named = {one.name: one.trust for one in sight.peers.others}
    named |= {one.name: one.trust for one in sight.peers.peers}
    return [(name, named[name]) for name in sorted(named) if named[name].regard != "good"]
