"""What this node makes of the events that it holds: who is online, what the mesh thinks of a name,
who has clout, how long the ways are.

A view of the ledger and no state of its own: each answer is worked out from the events that are
held at that moment, so it equals a replay from scratch whatever came late, was replaced or was
forgotten. `version` counts the commits that may have changed an answer. Only attested events say
who is online, give clout and tell round trips. May be asked from any thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import fsum
from typing import Literal, TypeAlias

from postbox.core import Ledger, Selection
from postbox.event import Service, Standing
from postbox.log.committed import Committed
from postbox.logs import get, limited
from postbox.mesh.checkpoints.chains import Chain, chain_of
from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.projections.clout import clout_of
from postbox.mesh.projections.opinions import (
    ENOUGH_OBSERVERS,
    Opinion,
    Remark,
    borne_out,
    is_past,
    opinion_of,
)
from postbox.mesh.projections.presence import Presence, presences
from postbox.mesh.reading import Checkpoint, Event, Observation, Ping, Unread, read_event
from postbox.store.contract import Lane
from postbox.world import Pool, World

MOST_REMARKS = 5_000
"""The newest so many observations make an opinion: 250 observers at twenty each; some 15 ms."""
PAGE_EVENTS = 5_000
_ANY_TIME_NS = 2**62

Role: TypeAlias = Literal["by", "about"]
Way: TypeAlias = tuple[str, str]  # observer, target


class Projections:
    def __init__(
        self, world: World, ledger: Ledger, soul_text: str, personality: Personality, fresh_ns: int
    ) -> None:
        """`ledger`: which applies each commit before this does. `fresh_ns`: for how long a sign of
        life tells that somebody is online (`presence`)."""
        self._world = world
        self._ledger = ledger
        self._soul_text = soul_text
        self._personality = personality
        self._fresh_ns = fresh_ns
        self._log = limited(get("postbox.mesh.projections"), "unread")
        self.version = 0

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        if committed.removes or any(entry.lane is Lane.MESH for entry in committed.entries):
            self.version += 1

    def names(self) -> list[str]:
        """Who answers for events that are held, most first."""
        return [name for name, _ in self._ledger.authors()]

    def online(self, name: str) -> Presence:
        return self.presences([name])[0]

    def presences(self, names: Sequence[str]) -> list[Presence]:
        now_ns = self._world.clock.now_ns()
        return presences(self._ledger, names, now_ns, self._fresh_ns)

    def are_online(self, names: Sequence[str]) -> list[bool]:
        return [presence == "online" for presence in self.presences(names)]

    def opinion(self, name: str) -> Opinion:
        now_s = self._world.clock.now_ns() // 10**9
        remarks = self._remarks(name, Standing.ATTESTED, MOST_REMARKS)
        believed = (one.observation.observer for one in remarks if is_past(one, now_s))
        if len(set(believed)) < ENOUGH_OBSERVERS:
            remarks = self._remarks(name, Standing.HEARSAY, MOST_REMARKS)
        return opinion_of(remarks, self._hellos_s(name), self.checkpoint(name), now_s)

    def told(self, name: str, most: int) -> list[Observation]:
        """What others signed about this name, newest first, but for restarts that nothing bears
        out; of the newest `most`."""
        signed = self._remarks(name, Standing.ATTESTED, most)
        return [one.observation for one in borne_out(signed, self._hellos_s(name))]

    def checkpoint(self, name: str) -> Checkpoint | None:
        """The last one about this name that counts."""
        latest = self.chain(name).latest
        return None if latest is None else latest.said

    def chain(self, name: str) -> Chain:
        """The checkpoints about this name that count by now."""
        return chain_of(self._ledger, name, self._world.clock.now_ns() // 10**9)

    def round_trip_ms(self, observer: str, target: str) -> float | None:
        """The mean of the way's pings that are held."""
        told = self._words(target, "about", Service.PING, Standing.ATTESTED, MOST_REMARKS)
        return _means(self._read(told)).get((observer, target))

    async def round_trips(self) -> dict[Way, float]:
        """All ways that were measured, in ms."""
        run = self._world.threads.run
        return await run(Pool.READER, lambda: _means(self._attested(Service.PING)))

    async def clout(self) -> dict[str, float]:
        """In this node's eyes, by name."""
        now_s = self._world.clock.now_ns() // 10**9

        def work() -> dict[str, float]:
            events = self._attested(Service.SOCIAL)
            return clout_of(events, self._personality, self._soul_text, now_s)

        return await self._world.threads.run(Pool.READER, work)

    # -- what is held ---------------------------------------------------------------------------

    def _remarks(self, name: str, least: Standing, most: int) -> list[Remark]:
        """Of others: one that observes many would crowd out what is said about itself."""
        told = self._words(name, "about", Service.OBSERVATION, least, most)
        return [
            Remark(event.payload, event.ts_ns // 10**9, standing == Standing.ATTESTED)
            for event, standing in self._judged(told)
            if isinstance(event.payload, Observation)
        ]

    def _hellos_s(self, name: str) -> set[int]:
        """When it said hello itself."""
        hellos = self._words(name, "by", Service.HEY_THERE, Standing.ATTESTED, MOST_REMARKS)
        return {event.ts_ns // 10**9 for event in self._read(hellos)}

    def _words(
        self, name: str, role: Role, service: Service, least: Standing, most: int
    ) -> Selection:
        return self._ledger.words(
            name, role, [service.wire_name], least=least, upto_ns=_ANY_TIME_NS, most=most
        )

    def _attested(self, service: Service) -> Iterator[Event]:
        """All of this service, page by page."""
        cursor = None
        while True:
            page = self._ledger.page(cursor, PAGE_EVENTS, [service.wire_name], [])
            for event, standing in self._judged(page):
                if standing == Standing.ATTESTED:
                    yield event
            cursor = page.next_cursor
            if cursor is None:
                return

    def _read(self, selection: Selection) -> Iterator[Event]:
        return (event for event, _ in self._judged(selection))

    def _judged(self, selection: Selection) -> Iterator[tuple[Event, int]]:
        for body, standing in zip(selection.bodies(), selection.standings(), strict=True):
            try:
                yield read_event(body), standing
            except Unread as unread:  # `verify` finds and names it
                self._log.warning("an event says nothing", why=str(unread))


def _means(events: Iterator[Event]) -> dict[Way, float]:
    ways: defaultdict[Way, list[float]] = defaultdict(list)
    for event in events:
        ping = event.payload
        if isinstance(ping, Ping) and ping.observer != ping.target:
            ways[ping.observer, ping.target].append(ping.rtt_ms)
    return {way: fsum(ways[way]) / len(ways[way]) for way in sorted(ways)}
