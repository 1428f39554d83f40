"""The types that an application handles, as the log knows them.

A process of the node that has no handler for a type must not be done with its events when another
process has one, or had one before it was stopped: nobody would see that the effect is missing. So
each process notes the types of its handlers, and whoever reads the inbox asks for all that were
noted (docs/decisions/0028-arrivals-are-judged-and-applied.md).
"""

from __future__ import annotations

from postbox.errors import Full, Unavailable
from postbox.hosts.applications.draft_tables import ALL_HANDLERS
from postbox.hosts.applications.handlers import Handlers
from postbox.hosts.applications.inbox_rules import InboxRules, Noted
from postbox.log.admission import Admission
from postbox.log.retries import Retries
from postbox.store.runner import StoreRunner
from postbox.world import World


class HandledTypes:
    def __init__(
        self, world: World, store: StoreRunner, admission: Admission, handlers: Handlers
    ) -> None:
        self._world = world
        self._store = store
        self._admission = admission
        self._handlers = handlers

    async def note(self) -> None:
        """Those of this process, as soon as the store takes them."""
        retries = Retries()
        while True:
            try:
                new = self._handlers.types - await self.noted()
                if new:
                    draft = Noted(self._world.new_id(), tuple(sorted(new)))
                    await self._admission.submit(InboxRules(), [draft])
                return
            except (Unavailable, Full):
                await retries.wait()

    async def noted(self) -> frozenset[str]:
        """By any process, ever."""
        rows = await self._store.read(lambda reader: list(reader.query(ALL_HANDLERS)))
        return frozenset(str(name) for (name,) in rows)
