"""How a node's chau gets to others before it stops: it brings it to a few peers itself.

Others hear of it by those peers' zines; who hears of nobody's chau finds the node missing after a
while. So nothing waits long for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import trio

from postbox.errors import Fault
from postbox.logs import get
from postbox.mesh.calling.client import Peer
from postbox.mesh.gossip.direct import DirectMessages
from postbox.mesh.gossip.rhythm_rules import MOST
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.roster import Roster

FAREWELL_S = 2.0
"""Of the ten that an operator gives a node to stop."""

PeerOf: TypeAlias = Callable[[Known], Peer]


class Farewell:
    def __init__(self, messages: DirectMessages, roster: Roster, peer_of: PeerOf) -> None:
        self._messages = messages
        self._roster = roster
        self._peer_of = peer_of

    async def bring(self, chau: bytes) -> None:
        """To a few that are here. Whatever fails, the node stops all the same."""
        with trio.move_on_after(FAREWELL_S):
            async with trio.open_nursery() as nursery:
                for known in self._roster.choose(MOST, purpose="gossip"):
                    nursery.start_soon(self._bring_to, known, chau)

    async def _bring_to(self, known: Known, chau: bytes) -> None:
        log = get("postbox.mesh.gossip")
        try:
            await self._messages.bring(self._peer_of(known), chau)
        except Fault as fault:
            log.debug("a peer was not told goodbye", name=known.name, error=str(fault))
