"""How many links fail, and what waits, comes out as gauges."""

from __future__ import annotations

from postbox.hosts.links.summary import LinkSummary
from postbox.hosts.serving.figures import GAUGES, counts


def link(**more: int) -> LinkSummary:
    plain = {"queued": 0, "attempts": 0, "unhandled": 0, "dead": 0, **more}
    return LinkSummary(
        host="b.example:1",
        acknowledged=0,
        next_attempt_ms=0,
        error="",
        received=0,
        last_contact_ms=0,
        view=b"",
        **plain,
    )


def test_links_are_added_up() -> None:
    links = [link(), link(queued=5, attempts=3), link(queued=1, unhandled=2, dead=4)]
    found = counts(links)
    assert set(found) == set(GAUGES)
    assert list(found.values()) == [3, 1, 6, 2, 4]
