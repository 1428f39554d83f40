"""Gossip: every few minutes a node hands its zine to a few peers that are here, and takes theirs.

What it costs a node does not grow with the mesh: so many exchanges a round, each of a bounded size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import trio

from postbox.errors import OUR_LOG, Fault
from postbox.logs import get, limited
from postbox.mesh.calling.client import Peer
from postbox.mesh.gossip.exchange import Zines
from postbox.mesh.gossip.rhythm_rules import FIRST_S, pause_s, peers_of_a_round
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.roster import Roster
from postbox.metrics import Metrics
from postbox.world import World, fraction

PeerOf: TypeAlias = Callable[[Known], Peer]


class Gossip:
    def __init__(
        self,
        world: World,
        zines: Zines,
        roster: Roster,
        peer_of: PeerOf,
        metrics: Metrics,
        *,
        chattiness: int,
        is_short: bool,
    ) -> None:
        self._world = world
        self._zines = zines
        self._roster = roster
        self._peer_of = peer_of
        self._metrics = metrics
        self._chattiness = chattiness
        self._is_short = is_short
        self._log = get("postbox.mesh.gossip")

    async def run(self) -> None:
        await trio.sleep(FIRST_S)
        while True:
            await self.round()
            await trio.sleep(pause_s(self._chattiness, fraction(self._world.random)))

    async def round(self) -> None:
        """With a few peers, beside each other."""
        count = peers_of_a_round(is_short=self._is_short, drawn=fraction(self._world.random))
        async with trio.open_nursery() as nursery:
            for known in self._roster.choose(count, purpose="gossip"):
                nursery.start_soon(self._with, known)

    async def _with(self, known: Known) -> None:
        peer = self._peer_of(known)
        try:
            self._roster.met(known, await peer.meet())
            report = await self._zines.exchange(peer)
        except OUR_LOG:
            raise  # no peer has a part in it
        except Fault as fault:
            await self._failed(known, fault)
        else:
            self._metrics.zine("ours", "done")
            self._roster.succeeded(known)
            await self._roster.gave(known, report)
            if report.imported:
                self._log.debug("gossip", name=known.name, new_events=report.imported)

    async def _failed(self, known: Known, fault: Fault) -> None:
        self._metrics.zine("ours", "failed")
        await self._roster.failed(known, fault)
        log = limited(self._log, known.name)
        log.info("gossip with a peer failed", name=known.name, error=str(fault))
