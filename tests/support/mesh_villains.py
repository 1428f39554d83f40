"""Peers of ill will, to live among honest ones: naras that know the protocol well and lie in what
they answer and push. Each has one vice; what it signs is its own, and can be held against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from itertools import islice

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.trust.authoring import Observation, Social, make_event
from postbox.trust.keys import identity_of
from support.mesh import hello_of
from support.nara import SYNC, ZINE, Nara
from support.nara_events import Event

FLOOD_EVENTS = 500
"""In a page: the fewest that are followed."""
JUNK_EVENTS = 20
POISON_NS = (-(10**18), 14 * 60 * 10**9, 86_400 * 10**9)
"""Before all others, as late as is taken, and too late."""


class Vice(Enum):
    WITHHOLDS = "withholds"
    FORGES = "forges"
    FLOODS = "floods"
    STALLS = "stalls"
    POISONS = "poisons"


class Villain(Nara):
    """`honest`: names in which it lies."""

    vice: Vice
    honest: list[str]
    made = 0

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        if self.vice is Vice.STALLS and scope["path"] in (SYNC, ZINE):
            await trio.sleep_forever()
        await super().__call__(scope, receive, send)

    def merge(self, events: object) -> int:
        """It keeps nothing of what it is given."""
        return 0

    def _found(self, request: Event) -> tuple[list[Event], str]:
        match self.vice:
            case Vice.WITHHOLDS | Vice.STALLS:
                return [], ""
            case Vice.FLOODS:
                after_ns = int(str(request.get("cursor") or 10**18).split(".")[0])
                found = list(islice(self._made_up(after_ns + 1), FLOOD_EVENTS))
                return found, str(found[-1]["ts"]) if request["mode"] == "page" else ""
            case Vice.FORGES:
                return list(islice(self._forged(), JUNK_EVENTS)), ""
            case Vice.POISONS:
                return list(islice(self._poisoned(), JUNK_EVENTS)), ""

    def zine_events(self) -> list[Event]:
        found, _ = self._found({"mode": "recent"})
        return found[:JUNK_EVENTS]

    async def push(self, url: str) -> None:
        """A zine full of it."""
        self.events = {one["id"]: one for one in self.zine_events()}
        await self.post(url, ZINE, self.zine_of(list(self.events.values())))

    def zine_of(self, events: list[Event]) -> bytes:
        at_s = self.world.clock.now_ns() // 10**9
        signature = self._sign_set(at_s, events)
        zine = {"from": self.who.name, "created_at": at_s, "signature": signature}
        return self._as_zine(zine, events)

    # -- what it makes up -------------------------------------------------------------------------

    def _made_up(self, ts: int) -> Iterator[Event]:
        while True:
            self.made += 1
            actor = f"{self.who.name}-{self.made}"
            social = Social(type="tease", actor=actor, target="nobody", reason="random")
            yield json.loads(make_event(social, ts + self.made, None).body)

    def _forged(self) -> Iterator[Event]:
        """In honest names, by its own key; and hey-theres of them with a key of its own."""
        now_ns = self.world.clock.now_ns()
        while True:
            self.made += 1
            name = self.honest[self.made % len(self.honest)]
            false = identity_of(name, self.made.to_bytes(32, "big"))
            social = Social(type="tease", actor=name, target="nobody", reason="comeback")
            yield json.loads(make_event(social, now_ns - self.made, false).body)
            yield json.loads(hello_of(false, now_ns - self.made))

    def _poisoned(self) -> Iterator[Event]:
        """At times that are none, and junk under ids that are not its own."""
        now_ns = self.world.clock.now_ns()
        while True:
            self.made += 1
            name = self.honest[self.made % len(self.honest)]
            restart = Observation(
                observer=name,
                subject=name,
                type="restart",
                importance=3,
                start_time=self.made,
                restart_num=self.made,
            )
            ts = max(1, now_ns + POISON_NS[self.made % 3] + self.made)
            event = json.loads(make_event(restart, ts, None).body)
            yield event
            yield {**event, "ts": ts - 1}
