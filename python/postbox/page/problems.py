"""What is wrong, the gravest first, each with what to do: the findings of `postbox doctor`, less
those that it has to call others for."""

from __future__ import annotations

from collections.abc import Iterator

from postbox.admin import findings
from postbox.admin.findings import EXPLAINED, Finding
from postbox.errors import Fault
from postbox.page.gathering import Sight

BLIND = "this page"


def problems(sight: Sight) -> list[Finding]:
    found = [one for one in _findings(sight) if one.state != "ok"]
    return sorted(found, key=lambda one: one.state != "wrong")


def blindness(fault: Fault) -> Finding:
    """The node could not be looked at, as while its database is away."""
    return Finding(BLIND, "wrong", f"what you see is from before: {fault}", EXPLAINED)


def _findings(sight: Sight) -> Iterator[Finding]:
    if sight.home is None:
        cure = "is its disk mounted? A node without its home cannot be started again"
        yield Finding("home", "wrong", "the folder of this node is not there any more", cure)
    else:
        yield from findings.of_home(sight.home)
    yield from findings.of_surroundings(sight.around, sight.now_ns)
    yield from findings.of_status(sight.status, sight.now_ns)
    yield from findings.of_listening(sight.doubts)
    yield from findings.of_issuer(sight.issuer)
    yield from findings.of_mqtt(sight.status.mqtt)
    yield from findings.of_links(sight.links.links, sight.now_ns)
    yield from findings.of_peers(sight.peers, sight.now_ns)
