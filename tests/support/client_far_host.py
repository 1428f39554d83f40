"""Another host, by whose word users are in guilds and have invites: over all lives of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

from protobuf import Message

from postbox.clients.neighbours import tell
from postbox.hosts.applications.events import event_of
from postbox.hosts.guilds.policy import GuildPolicy
from postbox.hosts.links.arrivals import Arrival
from postbox.hosts.links.host_rules import Deal
from postbox.hosts.links.rules import HostRules
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft
from postbox.rules import Payer
from support.client_door import Door
from support.host_kernel import A, B, arrived

OWN, FAR = A, B
RULES = HostRules(GuildPolicy(OWN, tell=tell))


@dataclass
class FarHost:
    """It has all that it ever posted, and posts what the users' host does not have."""

    posted: list[Message] = field(default_factory=list)

    def joins(self, user: str, guild: str, name: str) -> None:
        self.posted.append(GuildJoined(user=f"{user}@{OWN}", guild=guild, name=name))

    def leaves(self, user: str, guild: str) -> None:
        self.posted.append(GuildLeft(user=f"{user}@{OWN}", guild=guild, reason="left"))

    def invites(self, user: str, invite: str) -> None:
        self.posted.append(
            DirectInvite(
                invite=invite, inviter=f"zoe@{FAR}", user=f"{user}@{OWN}", conversation="c"
            )
        )

    async def deliver(self, door: Door, users: tuple[str, ...]) -> None:
        """`users`: have to do with it."""
        world, submit = door.node.world, door.node.admission.submit
        payer = Payer("operator", "test")
        await submit(RULES, [Deal(world.new_id(), payer, f"{user}@{OWN}", FAR) for user in users])
        events = [arrived(event_of(each), seq, FAR) for seq, each in enumerate(self.posted, 1)]
        if events:
            await submit(RULES, [Arrival(world.new_id(), FAR, tuple(events))])
