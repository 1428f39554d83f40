"""Notes in the log who was in touch: for the operator, and for the next start, when each of them is
asked what it has."""

from __future__ import annotations

from postbox.hosts.host_rules import Contact
from postbox.hosts.link_rules import HostRules
from postbox.log.admission import Admission
from postbox.world import World

NOTE_EVERY_S = 60.0
"""A host that posts all day is written down once a minute."""
MAX_NOTED = 10_000
"""Hosts of which it is remembered when they were noted. One that was forgotten is noted again."""


class Contacts:
    def __init__(self, world: World, admission: Admission, rules: HostRules) -> None:
        self._world = world
        self._admission = admission
        self._rules = rules
        self._noted_s: dict[str, float] = {}  # oldest first

    async def met(self, host: str) -> None:
        """It has proved who it is. Durable on return, if it was the first time."""
        clock, noted_s = self._world.clock, self._noted_s.get(host)
        if noted_s is not None and clock.elapsed_s() < noted_s + NOTE_EVERY_S:
            return
        self._note(host, clock.elapsed_s())
        draft = Contact(self._world.new_id(), host, clock.now_ns() // 1_000_000)
        await self._admission.submit(self._rules, [draft])

    def _note(self, host: str, now_s: float) -> None:
        self._noted_s.pop(host, None)
        self._noted_s[host] = now_s
        if len(self._noted_s) > MAX_NOTED:
            del self._noted_s[next(iter(self._noted_s))]
