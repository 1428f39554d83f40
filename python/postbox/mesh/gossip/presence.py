"""This node's own hey-there, when it begins to take part in the mesh, and its chau when it leaves.

Events like any others: they are in the log first, and reach others by zines, by sync and by MQTT.
Whoever leaves has no time for that, and brings its chau to a few peers itself.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from postbox.core import Ledger
from postbox.errors import Fault
from postbox.event import Service, Standing
from postbox.logs import get
from postbox.mesh.merging.intake import Intake
from postbox.mesh.reading import Event, read_event
from postbox.mesh.reading import HeyThere as SaidHeyThere
from postbox.rules import Payer
from postbox.trust.authoring import Chau, HeyThere, Payload, make_event
from postbox.trust.keys import Identity
from postbox.world import World

AGAIN_NS = 60 * 10**9
"""A node that was here so lately, and did not leave, does not say hello again: one that crashes
again and again, or whose processes take turns, would fill its peers' memory with its hellos."""
LOOK_S = 5.0
"""Between two looks for somebody: at the roster, in memory."""
_SELF = Payer("operator", "this node")


class Presence:
    def __init__(
        self,
        world: World,
        identity: Identity,
        ledger: Ledger,
        intake: Intake,
        mesh_ip: str,
        has_company: Callable[[], bool],
    ) -> None:
        """`has_company`: whether there is anybody in the mesh who can be told."""
        self._world = world
        self._identity = identity
        self._ledger = ledger
        self._intake = intake
        self._mesh_ip = mesh_ip
        self._has_company = has_company
        self._is_here = False
        self._entering = trio.Lock()

    async def run(self) -> None:
        """Until cancelled. Says hello when there is somebody to say it to: a node that is used
        without the mesh has no events of its own. A process that is taken over from has no goodbye
        to say: the node is still here."""
        try:
            await self._enter_in_company()
            await trio.sleep_forever()
        finally:
            self._is_here = False

    async def _enter_in_company(self) -> None:
        while True:
            if self._has_company():
                return await self.enter()
            await trio.sleep(LOOK_S)

    async def enter(self) -> None:
        """Says hello, unless that was said just now. May be called again, to say it anew."""
        async with self._entering:  # a log that is slow must not make two of it
            if not self._was_here():
                await self._say_hello()
            self._is_here = True

    async def leave(self) -> bytes | None:
        """Says goodbye, once: the event. None if this process has not said hello, or could not put
        its goodbye into the log: then it is missed, as one that crashed is."""
        if not self._is_here:
            return None
        self._is_here = False
        try:
            return await self._say_goodbye()
        except Fault as fault:
            get("postbox.mesh.gossip").warning("no goodbye was said", error=str(fault))
            return None

    async def _say_hello(self) -> None:
        me = self._identity
        hello = HeyThere(
            from_=me.name, public_key=me.public_key_base64, mesh_ip=self._mesh_ip, id=me.id
        )
        await self._say(hello)

    async def _say_goodbye(self) -> bytes:
        me = self._identity
        return await self._say(Chau(from_=me.name, public_key=me.public_key_base64, id=me.id))

    async def _say(self, payload: Payload) -> bytes:
        body = make_event(payload, self._world.clock.now_ns(), self._identity).body
        report = await self._intake.take(await self._intake.decode([body]), _SELF)
        if not report.imported:
            get("postbox.mesh.gossip").warning("an event of its own was not kept", report=report)
        return body

    def _was_here(self) -> bool:
        """By the last word of its own, of any of its processes."""
        event = self._last_word()
        if event is None or not isinstance(event.payload, SaidHeyThere):
            return False
        age_ns = self._world.clock.now_ns() - event.ts_ns
        return 0 <= age_ns < AGAIN_NS and event.payload.mesh_ip == self._mesh_ip

    def _last_word(self) -> Event | None:
        bodies = self._last_bodies()
        return read_event(bodies[0]) if bodies else None

    def _last_bodies(self) -> list[bytes]:
        """Of its hellos and goodbyes, the newest first."""
        services = [Service.HEY_THERE.wire_name, Service.CHAU.wire_name]
        found = self._ledger.recent(_LAST_WORDS, services, [self._identity.name])
        words = zip(found.bodies(), found.standings(), strict=True)
        return [body for body, standing in words if standing == Standing.ATTESTED]

    def last_hello(self) -> bytes:
        """The event by which it is here; empty if it has left, or never was."""
        for body in self._last_bodies():
            return body if isinstance(read_event(body).payload, SaidHeyThere) else b""
        return b""


_LAST_WORDS = 20
"""Looked at: others may have written unsigned ones in our name."""
