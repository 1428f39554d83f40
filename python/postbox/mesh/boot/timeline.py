"""The checkpoint timeline, after a recovery: what the mesh agreed on of each name, from as many
peers as nara asks. Who was walked through has told it already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from postbox.errors import Fault
from postbox.logs import get
from postbox.mesh.boot.attempt import Means
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.pull import PageWalk
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.known import Known

TELLERS = 5
"""Peers that told theirs are enough (boot_checkpoint.go)."""
PAGE = 1_000
"""Checkpoints in one answer; nara's."""

_LOG = get("postbox.mesh.boot")


class Timeline:
    def __init__(self, means: Means) -> None:
        self._means = means

    async def fetch(self, walked: Collection[str], took: Callable[[Report], None]) -> int:
        """`walked`: names of peers that told everything. How many peers have told theirs now."""
        told = len(walked)
        for known in self._means.roster.choose(2 * TELLERS, purpose="checkpoints", but=walked):
            if told >= TELLERS:
                break
            told += await self._told(known, took)
        return told

    async def _told(self, known: Known, took: Callable[[Report], None]) -> bool:
        peer = self._means.peer_of(known)
        roster = self._means.roster
        try:
            await self._walk(peer, took)
        except Fault as fault:
            await roster.failed(known, fault)
            _LOG.info("a peer tells no checkpoints", url=known.url, why=str(fault))
            return False
        roster.succeeded(known)
        return True

    async def _walk(self, peer: Peer, took: Callable[[Report], None]) -> None:
        services, intake = ("checkpoint",), self._means.intake
        walk = PageWalk(peer, intake, services=services, page_size=PAGE)
        has_more = True
        while has_more:
            has_more = await walk.step()
            took(walk.taken)
