"""What is posted: events of 200 bytes, as the figures of others are for."""

from __future__ import annotations

import os
from collections.abc import Iterator

from postbox.hosts.links.postings import Posted, Posting, posted
from postbox.rules import Payer
from postbox.world import system_world

TYPE_URL = "type.googleapis.com/bench.Event"
VALUE = os.urandom(200)
AT_MS = 1_763_700_000_000
_WORLD = system_world()


def event() -> Posted:
    """Its id is as a node makes them: those made later sort later."""
    return posted(_WORLD.new_id(), TYPE_URL, VALUE, AT_MS)


def postings(count: int, at_once: int, *, hosts: int = 1, payers: int = 1) -> list[Posting]:
    """So many, of `at_once` events each, to the hosts by turns."""
    return [
        Posting(
            Payer("operator", f"submitter {number % payers}"),
            f"{number % hosts}.bench.example:2289",
            tuple(_events(at_once)),
        )
        for number in range(count)
    ]


def _events(count: int) -> Iterator[Posted]:
    return (event() for _ in range(count))
