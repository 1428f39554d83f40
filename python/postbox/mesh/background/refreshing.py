"""Every half hour a node asks one or two peers that it does not keep up with anyway: a nara for the
newest hundred events, a postbox, by cursor, for all that is new (M8).

Of what a nara says only observations and social events of the last day are taken, and pings: the
rest comes by zines, from those whom it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import trio

from postbox.errors import OUR_LOG, Fault
from postbox.event import Service
from postbox.logs import get, limited
from postbox.mesh.background.keeping import most_new, require_end
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.pull import PageWalk
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.roster import Roster
from postbox.mesh.rules import MeshDraft
from postbox.mesh.wire import SyncRequest
from postbox.metrics import Metrics
from postbox.pauses import around
from postbox.world import World, fraction

RECENT = 100
"""Events that a nara is asked for."""
DAY_MS = 86_400 * 1000
JITTER_S = 300.0
"""Of the half hour, up or down, and of any longer pause; a sixth of a shorter one."""
FIRST_S = 300.0
"""At most until the first round, drawn: nodes that started together do not ask together."""
OVERLAP_NS = 3600 * 10**9
"""A walk begins so long before the newest event that the last one saw: some come late."""
WHOLE_SHARE = 1 / 24
"""Of the walks begin at the beginning, some three a day: what reached a peer later than that hour,
as from a part of the mesh that was cut off, is found by these."""
WALK_S = 600.0
"""For what is new at one peer; what is left then is for the next time."""

PeerOf: TypeAlias = Callable[[Known], Peer]


class Refresher:
    def __init__(
        self,
        world: World,
        roster: Roster,
        intake: Intake,
        peer_of: PeerOf,
        metrics: Metrics,
        every_s: float,
    ) -> None:
        self._world = world
        self._roster = roster
        self._intake = intake
        self._peer_of = peer_of
        self._metrics = metrics
        self._every_s = every_s
        self._log = get("postbox.mesh.background.refreshing")

    async def run(self) -> None:
        await trio.sleep(min(FIRST_S, self._every_s) * fraction(self._world.random))
        while True:
            await self.round()
            part = min(1 / 6, JITTER_S / self._every_s)
            await trio.sleep(around(self._every_s, part, fraction(self._world.random)))

    async def round(self) -> None:
        """One peer, or two as often."""
        kept_up_with = [one.name for one in self._roster.configured]
        count = 1 if fraction(self._world.random) < 0.5 else 2
        for known in self._roster.choose(count, purpose="refresh", but=kept_up_with):
            try:
                report = await self._ask(known)
            except OUR_LOG:
                raise  # no peer has a part in it
            except Fault as fault:
                await self._failed(known, fault)
            else:
                await self._succeeded(known, report)

    async def _ask(self, known: Known) -> Report:
        peer = self._peer_of(known)
        met = await peer.meet()
        self._roster.met(known, met)
        if met.about is None:
            return await self._newest(peer)
        return await self._new(peer, known, most_new(met))

    async def _newest(self, peer: Peer) -> Report:
        heard = await peer.ask(SyncRequest(mode="recent", limit=RECENT), self._intake)
        since_ms = self._world.clock.now_ns() // 10**6 - DAY_MS

        def is_wanted(draft: MeshDraft) -> bool:
            match draft.service:
                case Service.PING:
                    return True
                case Service.SOCIAL | Service.OBSERVATION:
                    return draft.at_ms >= since_ms
                case _:
                    return False

        return await self._intake.take(heard.batch, heard.payer, is_wanted)

    async def _new(self, peer: Peer, known: Known, most: int) -> Report:
        """Or as much of it as comes in time: the line may be slow. The next walk goes on there."""
        is_from_cursor = fraction(self._world.random) >= WHOLE_SHARE
        since_ns = max(0, known.cursor_ns - OVERLAP_NS) if is_from_cursor else 0
        walk = PageWalk(peer, self._intake, since_ns)

        def took(_: Report) -> bool:
            require_end(known, walk.report, most)
            return True

        is_whole = False
        with trio.move_on_after(WALK_S):
            is_whole = await walk.run(took)
        self._roster.walked(known, walk.newest_ns if is_whole else walk.reached_ns)
        return walk.report

    async def _succeeded(self, known: Known, report: Report) -> None:
        self._metrics.pull("done")
        self._roster.succeeded(known)
        known.pulls += 1
        known.imported += report.imported
        known.rejected += report.rejected.total()
        await self._roster.gave(known, report)
        if report.imported:
            self._log.info("refreshed", name=known.name, new_events=report.imported)

    async def _failed(self, known: Known, fault: Fault) -> None:
        self._metrics.pull("failed")
        await self._roster.failed(known, fault)
        log = limited(self._log, known.name)
        log.info("a peer cannot be asked for what is new", name=known.name, error=str(fault))
