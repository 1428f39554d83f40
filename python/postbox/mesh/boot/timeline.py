"""The checkpoint timeline, after a recovery: what the mesh agreed on of each name, from as many
peers as nara asks. Who was walked through has told it already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count

from postbox.errors import Fault, WireError
from postbox.logs import get
from postbox.mesh import wire
from postbox.mesh.boot.attempt import Means
from postbox.mesh.calling.client import SYNC_BOUNDS, Peer, PeerFault
from postbox.mesh.calling.pull import PageWalk
from postbox.mesh.checkpoints import listing
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.known import Known
from postbox.rules import Payer

TELLERS = 5
"""Peers that told theirs are enough (boot_checkpoint.go)."""
PAGE = 1_000
"""Checkpoints in one answer; nara's."""
MOST_PAGES = 100
"""Of a peer: a checkpoint a day of 1,000 names, for a quarter of a year."""

_LOG = get("postbox.mesh.boot")


class Timeline:
    def __init__(self, means: Means) -> None:
        self._means = means
        self.cut = 0
        """Peers that had more than is asked for."""

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
            met = await peer.meet()
            roster.met(known, met)
            await self._by_some_way(peer, met.name, took)
        except Fault as fault:
            await roster.failed(known, fault)
            _LOG.info("a peer tells no checkpoints", url=known.url, why=str(fault))
            return False
        roster.succeeded(known)
        return True

    async def _by_some_way(self, peer: Peer, name: str, took: Callable[[Report], None]) -> None:
        try:
            await self._walk(peer, name, took)
        except PeerFault as fault:
            _LOG.info("a peer gives no pages of checkpoints", name=name, why=str(fault))
            await self._list(peer, name, took)

    async def _walk(self, peer: Peer, name: str, took: Callable[[Report], None]) -> None:
        services, intake = ("checkpoint",), self._means.intake
        walk = PageWalk(peer, intake, services=services, page_size=PAGE)
        pages = count(1)

        def goes_on(taken: Report) -> bool:
            took(taken)
            return next(pages) < MOST_PAGES

        if not await walk.run(goes_on):
            self.cut += 1
            events = walk.report.total
            _LOG.warning(
                "a peer has more checkpoints than are asked for", name=name, asked_for=events
            )

    async def _list(self, peer: Peer, name: str, took: Callable[[Report], None]) -> None:
        """The other way to them, which nobody signs: nothing but checkpoints is taken, and each is
        believed as far as its votes prove it."""
        intake, offset = self._means.intake, 0
        for _ in range(MOST_PAGES):
            query = {"limit": str(PAGE), "offset": str(offset)}
            answer = await peer.get(listing.PATH, SYNC_BOUNDS, query)
            try:
                page = wire.decode_checkpoints(answer.body)
            except WireError as error:
                raise PeerFault(
                    f"{name} gave a list of checkpoints that is none: {error}"
                ) from error
            batch = await intake.decode(page.checkpoints)
            took(await intake.take(batch, Payer("peer", name)))
            offset += page.given
            if not page.has_more or not page.given:
                return
        raise PeerFault(f"{name} has {MOST_PAGES} pages of checkpoints, and no end")
