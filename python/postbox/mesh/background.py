"""Keeping up with the peers that the operator configured: one task a peer, which walks through
the peer's pages from where it was, again and again, with a pause that differs from node to node.

A round begins an hour before the newest event that the last one saw, since events may arrive at
the peer later than they were made. What came even later is found by the rounds that begin at the
beginning: the first one, the one after a failure, and every so many.
"""

from __future__ import annotations

import trio

from postbox.errors import Fault
from postbox.mesh.client import Peer, Stranger
from postbox.mesh.intake import Intake
from postbox.mesh.peers import Contact, Link
from postbox.mesh.pull import Pulled, pull
from postbox.metrics import Metrics
from postbox.world import World

OVERLAP_NS = 3600 * 10**9
WHOLE_EVERY = 30
"""Rounds: with the default pause half an hour. To know 80,000 events again costs a second."""
JITTER = 0.2
"""Of the pause, up or down, so that nodes that started together do not ask together."""
FIRST_RETRY_S = 2.0
"""After a failure; it doubles up to the pause."""


class Keeper:
    """Of one link."""

    def __init__(
        self,
        world: World,
        peer: Peer,
        link: Link,
        intake: Intake,
        pause_s: float,
        metrics: Metrics,
    ) -> None:
        self._world = world
        self._peer = peer
        self._link = link
        self._intake = intake
        self._pause_s = pause_s
        self._metrics = metrics
        self._newest_ns = 0
        self._rounds = 0  # since the last one that began at the beginning
        self._failures = 0  # in a row

    async def run(self) -> None:
        while True:
            pause_s = await self.round()
            await trio.sleep(pause_s)

    async def round(self) -> float:
        """One walk. The seconds until the next."""
        self._link.contact = Contact.PULLING
        try:
            pulled = await self._walk()
        except Fault as fault:
            self._failed(fault)
        else:
            self._succeeded(pulled)
        return self._next_s()

    async def _walk(self) -> Pulled:
        met = await self._peer.meet()
        link = self._link
        link.name, link.kind, link.rtt_ms = met.name, met.kind, met.rtt_ms
        if met.about is not None:
            link.version, link.memory_mode = met.about.version, met.about.memory_mode
        is_whole = self._failures > 0 or self._rounds % WHOLE_EVERY == 0
        since_ns = 0 if is_whole else self._since_ns()
        return await pull(self._peer, self._intake, "page", lambda _: None, since_ns=since_ns)

    def _since_ns(self) -> int:
        """An event may say that it is of the future; what comes until then is not to be missed."""
        return max(0, min(self._newest_ns, self._world.clock.now_ns()) - OVERLAP_NS)

    def _succeeded(self, pulled: Pulled) -> None:
        report, link = pulled.report, self._link
        self._failures = 0
        self._rounds += 1
        self._newest_ns = max(self._newest_ns, pulled.newest_ns)
        self._metrics.pull("done")
        link.contact, link.last_error = Contact.REACHED, ""
        link.last_contact_ns = self._world.clock.now_ns()
        link.pulls += 1
        link.imported += report.imported
        link.rejected += report.rejected.total()

    def _failed(self, fault: Fault) -> None:
        self._failures += 1
        self._rounds = 0
        self._metrics.pull("failed")
        is_waiting = isinstance(fault, Stranger)
        self._link.contact = Contact.WAITING if is_waiting else Contact.FAILED
        self._link.last_error = str(fault)

    def _next_s(self) -> float:
        pause_s = self._pause_s
        if self._failures:
            pause_s = min(pause_s, FIRST_RETRY_S * 2 ** min(self._failures - 1, 20))
        drawn = int.from_bytes(self._world.random.bytes(4), "big") / 2**32
        return pause_s * (1 + JITTER * (2 * drawn - 1))


async def keep_up(keepers: list[Keeper]) -> None:
    """Until cancelled."""
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(keeper.run)
