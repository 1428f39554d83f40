"""Saying howdy to whoever says hey-there by MQTT, and hearing who says it to us: how a newcomer
that knows nobody finds a mesh.

By nara's rule: after a moment of up to three seconds, unless ten others were quicker; each names
whom no other has named yet. What a howdy says is a hint: the roster looks where it points, within
its bounds, and whoever is met there proves itself.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from math import inf

import trio

from postbox.errors import Fault, WireError
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.heard import Heard
from postbox.mesh.bus.howdy_messages import (
    MAX_NEIGHBOURS,
    About,
    Howdy,
    Neighbour,
    decode_howdy,
    encode_howdy,
)
from postbox.mesh.bus.plaza import MESSAGES_BURST, MESSAGES_PER_MINUTE, require_seldom
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.places import mesh_ip_of, place_of, place_told
from postbox.mesh.peers.roster import Roster
from postbox.net.addresses import Reach
from postbox.net.rates import Rate, TooOften
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.world import Pool, World, fraction

MOST_HOWDIES = 10
"""To one newcomer, of the whole mesh."""
DELAY_S = 3.0
FORGET_S = 30.0
"""nara's time for one hey-there and all its howdies."""
MAX_NEWCOMERS = 100
"""At once; a flood of hey-theres is answered no further."""
PER_MINUTE, BURST = 20, 20
"""Howdies of ours, and howdies to us that are looked at: a mesh starts fifty nodes at once."""


class _Newcomer:
    """Somebody who said hey-there, or will be seen to have: the howdies to it may come first."""

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self.due_s = inf  # when it is our turn
        self.howdies = 0  # of others
        self.mentioned: set[str] = set()
        self.is_answered = False


class Howdies:
    def __init__(
        self,
        world: World,
        identity: Identity,
        bus: Bus,
        directory: Directory,
        roster: Roster,
        reach: Reach,
        heard: Heard,
        about: Callable[[], About],
        start_time_s: Callable[[str], int],
    ) -> None:
        """`about`: what this node says of itself. `start_time_s`: of a name, 0 if unknown;
        called in a thread, since it may be long."""
        self._world = world
        self._identity = identity
        self._bus = bus
        self._directory = directory
        self._roster = roster
        self._reach = reach
        self._heard = heard
        self._about = about
        self._start_time_s = start_time_s
        self._newcomers: dict[str, _Newcomer] = {}
        self._came = trio.Event()
        self._messages = Rate(MESSAGES_PER_MINUTE, MESSAGES_BURST)
        self._sent = Rate(PER_MINUTE, BURST)
        self._read = Rate(PER_MINUTE, BURST)
        bus.handle(topics.HOWDY, self._hear)

    # -- saying ---------------------------------------------------------------------------------

    def greeted(self, name: str) -> None:
        """Somebody said hey-there."""
        newcomer = self._newcomer(name)
        if not newcomer.is_answered:
            delay_s = DELAY_S * fraction(self._world.random)
            newcomer.due_s = min(newcomer.due_s, self._now_s() + delay_s)
            self._came.set()

    def _newcomer(self, name: str) -> _Newcomer:
        """Of too many the oldest is forgotten."""
        now_s, found = self._now_s(), self._newcomers.get(name)
        if found is None or found.until_s <= now_s:
            self._newcomers.pop(name, None)
            found = self._newcomers[name] = _Newcomer(now_s + FORGET_S)
            if len(self._newcomers) > MAX_NEWCOMERS:
                del self._newcomers[next(iter(self._newcomers))]
        return found

    async def run(self) -> None:
        while True:
            next_s = min((one.due_s for one in self._newcomers.values()), default=inf)
            with trio.move_on_after(max(0.0, next_s - self._now_s())):
                await self._came.wait()
            self._came = trio.Event()
            await self._say_due()

    async def _say_due(self) -> None:
        now_s = self._now_s()
        for name, newcomer in list(self._newcomers.items()):
            if newcomer.due_s <= now_s:
                newcomer.due_s, newcomer.is_answered = inf, True
                is_wanted = newcomer.howdies < MOST_HOWDIES
                if is_wanted and not self._sent.wait_s("all", now_s):
                    await self._say(name, newcomer)

    async def _say(self, name: str, newcomer: _Newcomer) -> None:
        work = partial(self._start_time_s, name)
        start_time_s = await self._world.threads.run(Pool.READER, work)
        howdy = Howdy(
            self._identity.name,
            name,
            newcomer.howdies + 1,
            start_time_s,
            self._neighbours(name, newcomer.mentioned),
            self._about(),
        )
        try:
            await self._bus.publish(topics.HOWDY, encode_howdy(self._identity, howdy))
        except Fault:
            return  # the connection broke: others will have said it

    def _neighbours(self, newcomer: str, mentioned: set[str]) -> tuple[Neighbour, ...]:
        """Those that are here first, then whoever has a key here."""
        others = {newcomer, self._identity.name, *mentioned}
        found = {peer.name: self._neighbour(peer.name, peer) for peer in self._roster.here()}
        for known in self._directory.all():
            found.setdefault(known.name, self._neighbour(known.name, self._roster.get(known.name)))
        wanted = [one for name, one in found.items() if name not in others and one.public_key]
        return tuple(wanted[:MAX_NEIGHBOURS])

    def _neighbour(self, name: str, peer: Known | None) -> Neighbour:
        known = self._directory.get(name)
        if known is None:
            return Neighbour(name, "", "", "")
        mesh_ip = mesh_ip_of(peer.url) if peer is not None else ""
        return Neighbour(name, b64encode(known.key).decode("ascii"), mesh_ip, known.id or "")

    # -- hearing --------------------------------------------------------------------------------

    async def _hear(self, topic: str, payload: bytes) -> None:
        await trio.lowlevel.checkpoint()
        require_seldom(self._messages, self._now_s())
        howdy = decode_howdy(payload)
        self._roster.require_dealings(howdy.sender)
        newcomer = self._newcomer(howdy.receiver)
        newcomer.howdies += 1
        if newcomer.howdies <= MOST_HOWDIES:  # more are not needed, and may be anybody's
            newcomer.mentioned |= {howdy.sender, *(one.name for one in howdy.neighbours)}
        if howdy.receiver == self._identity.name and howdy.sender != self._identity.name:
            self._learn(howdy)

    def _learn(self, howdy: Howdy) -> None:
        wait_s = self._read.wait_s("all", self._now_s())
        if wait_s:
            raise TooOften("too many howdies to this node", wait_s)
        key = self._directory.key_of(howdy.sender)
        if key is not None and key != howdy.key:
            raise WireError(f"a howdy of {howdy.sender!r} by another key than is known")
        self._heard.hear(howdy.sender)
        about = howdy.about
        url = place_told(about.url, self._reach) or place_of(about.mesh_ip, self._reach)
        self._roster.told(howdy.sender, url)
        for one in howdy.neighbours:
            self._heard.mention([one.name])
            self._roster.told(one.name, place_of(one.mesh_ip, self._reach))

    def _now_s(self) -> float:
        return self._world.clock.elapsed_s()
