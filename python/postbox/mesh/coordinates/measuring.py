"""Measures the ways to peers: every half a minute one peer is asked where it is and then, over the
connection that is there by now, pinged.

The round trip is of a small request and its answer, in fractions of a millisecond: connecting is
not in it, the peer's own work is. What is measured moves us, and is told to the mesh as a ping
event, signed, as nara does; a node finds those that name it in the log (`news`).

Two questions a measurement, neither of them signed: a peer may say what it likes about itself, and
nobody else can, since the wire is secure. A postbox that calls itself by another name than we look
for there is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from postbox.errors import Fault, WireError
from postbox.logs import get, limited
from postbox.mesh import wire
from postbox.mesh.calling.client import Bounds, Peer
from postbox.mesh.coordinates import telling
from postbox.mesh.coordinates.coordinates import Coordinates
from postbox.mesh.coordinates.vivaldi import is_round_trip
from postbox.mesh.merging.intake import Intake
from postbox.metrics import Metrics
from postbox.pauses import around
from postbox.rules import Payer
from postbox.trust.authoring import Ping, make_event
from postbox.trust.keys import Identity
from postbox.world import World, fraction

EVERY_S = 30.0
"""From one measurement to the next, and until the first: nara's, two a minute in any mesh."""
JITTER = 0.2
"""Of it, up or down: nodes that started together would measure each other's measuring."""
BOUNDS = Bounds(16 * 2**10, 5.0)
"""A peer that takes longer than nara waits is not where it says."""
CANDIDATES = 50
"""Peers that are here, drawn anew each time, of which one is measured: to look at a thousand would
cost as much as to measure one."""
NEVER = 1_000.0
UNSURE = 0.5
UNSURE_WEIGHT = 100.0
CHANCE = 10.0
"""nara's priorities: who was never measured comes first, then whoever was measured longest ago in
seconds, ahead by 100 for each unit of an error over 0.5, and up to ten seconds by chance."""
OWN = Payer("operator", "this node")


class Target(NamedTuple):
    """A peer that is here."""

    name: str
    url: str


class Measuring:
    def __init__(
        self,
        world: World,
        identity: Identity,
        coordinates: Coordinates,
        intake: Intake,
        targets: Callable[[], Sequence[Target]],
        peer: Callable[[str, str], Peer],
        metrics: Metrics,
    ) -> None:
        """`peer`: of a URL and the name that must be there."""
        self._world = world
        self._identity = identity
        self._coordinates = coordinates
        self._intake = intake
        self._targets = targets
        self._peer = peer
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled."""
        self._coordinates.is_kept = True
        try:
            while True:
                await trio.sleep(around(EVERY_S, JITTER, fraction(self._world.random)))
                await self.once()
        finally:
            self._coordinates.is_kept = False

    async def once(self) -> None:
        """One peer, if there is one."""
        target = self._next()
        if target is None:
            return
        self._coordinates.asked(target.name, self._world.clock.now_ns())
        log = limited(get("postbox.mesh.coordinates"), target.name)
        try:
            rtt_ms = await self._measure(target)
        except (Fault, WireError) as error:
            self._metrics.measurement("failed")
            log.info("the way to a peer cannot be measured", name=target.name, error=str(error))
            return
        self._metrics.measurement("done")
        await self._tell(target.name, rtt_ms)

    def _next(self) -> Target | None:
        targets = [one for one in self._targets() if one.url and one.name != self._identity.name]
        return max(targets, key=lambda one: self._priority(one.name), default=None)

    def _priority(self, name: str) -> float:
        chance = CHANCE * fraction(self._world.random)
        asked_ns = self._coordinates.asked_ns(name)
        if not asked_ns:
            return NEVER + chance
        place = self._coordinates.place_of(name)
        error = 0.0 if place is None or place.error <= UNSURE else place.error
        since_s = (self._world.clock.now_ns() - asked_ns) / 1e9
        return since_s + UNSURE_WEIGHT * min(error, 2.0) + chance

    async def _measure(self, target: Target) -> float:
        """Raises WireError or a fault."""
        peer, clock = self._peer(target.url, target.name), self._world.clock
        told = telling.decode((await peer.get(telling.PATH, BOUNDS)).body)
        _require_name(target, told.name)
        if told.coordinates is not None and not self._coordinates.heard(
            target.name, told.coordinates
        ):
            raise WireError("it says it is where nobody can be")
        since_s = clock.elapsed_s()
        answer = await peer.get(wire.PING_PATH, BOUNDS)
        rtt_ms = (clock.elapsed_s() - since_s) * 1e3
        _require_name(target, wire.decode_ping(answer.body).sender)
        self._coordinates.measured(target.name, rtt_ms, clock.now_ns())
        return rtt_ms

    async def _tell(self, name: str, rtt_ms: float) -> None:
        if not is_round_trip(rtt_ms):
            return
        me = self._identity
        ping = Ping(observer=me.name, target=name, rtt=round(rtt_ms, 4))
        event = make_event(ping, self._world.clock.now_ns(), me)
        await self._intake.take(await self._intake.decode([event.body]), OWN)


def _require_name(target: Target, said: str) -> None:
    if said != target.name:
        raise WireError(f"{target.url} is {said[:80]!r}, and {target.name} was looked for there")
