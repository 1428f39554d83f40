"""How the links stand, as gauges: looked at now and then, since it takes a look at each of them."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from postbox.errors import Fault
from postbox.hosts.links.links import Links
from postbox.hosts.links.summary import LinkSummary
from postbox.metrics import Metrics

EVERY_S = 30.0
"""As often as Prometheus asks."""
UNKNOWN = float("nan")

GAUGES: Final = {
    "host_links": "Hosts that there is a link with.",
    "host_links_failing": "Hosts that the last attempt to send to failed.",
    "host_events_queued": "Events that other hosts have not acknowledged.",
    "host_events_unhandled": "Events of other hosts that no handler has seen.",
    "host_dead_letters": "Events that were given up.",
}


class Figures:
    def __init__(self, links: Links, metrics: Metrics) -> None:
        self._links = links
        self._counts: dict[str, int] = {}
        for name, text in GAUGES.items():
            metrics.watch(name, text, partial(self._count, name))

    async def keep(self) -> None:
        """The task that looks. While the store does not answer nothing is known."""
        while True:
            try:
                self._counts = counts(await self._links.summary())
            except Fault:
                self._counts = {}
            await trio.sleep(EVERY_S)

    def _count(self, name: str) -> float:
        return self._counts.get(name, UNKNOWN)


def counts(links: list[LinkSummary]) -> dict[str, int]:
    """By the gauges' names."""
    return {
        "host_links": len(links),
        "host_links_failing": sum(link.attempts > 0 for link in links),
        "host_events_queued": sum(link.queued for link in links),
        "host_events_unhandled": sum(link.unhandled for link in links),
        "host_dead_letters": sum(link.dead for link in links),
    }
