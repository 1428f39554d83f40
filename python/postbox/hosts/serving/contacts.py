"""Notes in the log who was in touch: for the operator, and for the next start, when each of them is
asked what it has."""

from __future__ import annotations

from postbox.hosts.links.host_rules import Contact
from postbox.hosts.links.rules import HostRules
from postbox.log.admission import Admission
from postbox.net.rates import Rate
from postbox.world import World

NOTE_EVERY_S = 60.0
"""A host that posts all day is written down once a minute."""
VIEW_EVERY_S = 5.0
"""How it sees the link changes with every batch, and is looked at by people."""


class Contacts:
    def __init__(self, world: World, admission: Admission, rules: HostRules) -> None:
        self._world = world
        self._admission = admission
        self._rules = rules
        self._met = Rate(60 / NOTE_EVERY_S, 1)
        self._seen = Rate(60 / VIEW_EVERY_S, 1)

    async def met(self, host: str, view: bytes | None = None) -> None:
        """It has proved who it is. Durable on return, if it was the first time. `view`: a View, of
        the link as it sees it."""
        clock, rate = self._world.clock, self._met if view is None else self._seen
        if rate.wait_s(host, clock.elapsed_s()):
            return
        draft = Contact(self._world.new_id(), host, clock.now_ns() // 1_000_000, view)
        await self._admission.submit(self._rules, [draft])
