"""A node on the bus: everything that it says and hears there, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from postbox.mesh.background.loops import Loop
from postbox.mesh.bus.announcing import Announcer, Presence
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.exchange import Exchange
from postbox.mesh.bus.heard import Heard
from postbox.mesh.bus.howdies import Howdies
from postbox.mesh.bus.howdy_messages import About
from postbox.mesh.bus.plaza import Plaza
from postbox.mesh.knowledge import Knowledge
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.memory import mode_of
from postbox.mesh.peers.places import mesh_ip_of
from postbox.mesh.peers.roster import Roster
from postbox.net.addresses import Reach
from postbox.trust.keys import Identity
from postbox.world import World

FAREWELL_S = 2.0
"""For the broker to take a chau, when the node stops."""


@dataclass(frozen=True)
class OnBus:
    bus: Bus
    announcer: Announcer
    howdies: Howdies
    exchange: Exchange

    def loops(self) -> Mapping[str, Loop]:
        """Without a broker there are none."""
        if not self.bus.is_configured:
            return {}
        return {
            "bus": self.bus.run,
            "announcing": self.announcer.run,
            "howdies": self.howdies.run,
            "exchange": self.exchange.run,
        }

    async def farewell(self) -> None:
        """Until the broker has the chau that was written."""
        await self.bus.farewell(self.announcer.said_all, FAREWELL_S)


def join(
    world: World,
    knowledge: Knowledge,
    bus: Bus,
    roster: Roster,
    presence: Presence,
    reach: Reach,
    url: str,
) -> OnBus:
    """`url`: where others reach this node, "" if that is not known."""
    identity, directory, ledger = knowledge.identity, knowledge.directory, knowledge.ledger
    intake, projections = knowledge.intake, knowledge.projections
    heard = Heard(world.clock)
    howdies = Howdies(
        world,
        identity,
        bus,
        directory,
        roster,
        reach,
        heard,
        lambda: _about(identity, ledger, url),
        lambda name: projections.opinion(name).start_time_s,
    )
    plaza = Plaza(
        world.clock, identity.name, bus, directory, intake, heard, roster.require_dealings
    )
    plaza.listen(howdies.greeted)
    return OnBus(
        bus=bus,
        announcer=Announcer(world, identity.name, bus, presence),
        howdies=howdies,
        exchange=Exchange(
            world, identity.name, bus, ledger.index, directory, roster, intake, heard
        ),
    )


def _about(identity: Identity, ledger: MeshLedger, url: str) -> About:
    return About(
        public_key=identity.public_key_base64,
        id=identity.id,
        mesh_ip=mesh_ip_of(url),
        url=url,
        memory_mode=mode_of(ledger.index.capacity),
    )
