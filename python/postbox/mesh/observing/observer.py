"""Tells the mesh what this node sees of others: that a name was met, began anew, came or went.

An event that this node signs is a claim that others weigh by its name, so only what is known first
hand is said (`watch`), and nothing before this node knows what it missed. What was said is read in
the log and kept nowhere else, so whoever starts anew goes on. However much happens out there, a
node says no more than `PER_MINUTE`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

import trio

from postbox.logs import get
from postbox.mesh.merging.intake import Intake
from postbox.mesh.observing.observing_rules import (
    IMPORTANCE,
    NEIGHBOURS,
    Fact,
    Kind,
    is_wanted,
    turn_s,
)
from postbox.mesh.observing.watch import Watch
from postbox.mesh.projections.opinions import Opinion
from postbox.mesh.reading import Observation
from postbox.net.rates import Rate
from postbox.pauses import around
from postbox.rules import Payer
from postbox.trust import authoring
from postbox.trust.authoring import make_event
from postbox.trust.keys import Identity
from postbox.world import Pool, World, fraction

LOOK_S = 20.0
JITTER = 0.25
"""Of it, up or down: so that nodes that began together do not all speak in one moment."""
MOST_TOLD = 100
"""Observations about a name that are read, the newest: a millisecond."""
MOST_DUE = 5_000
"""Two or three of each name that a roster has."""
PER_SUBJECT, SUBJECT_BURST = 2.0, 10
"""nara's: ten in five minutes about one name."""
PER_MINUTE, BURST = 20.0, 60
"""About all. Where a thousand nodes begin at once, each has some ten things to say."""
OWN = Payer("operator", "this node")

Told: TypeAlias = Mapping[str, Sequence[Observation]]
"""Signed observations about names that are borne out, newest first."""


class Views(Protocol):
    def opinion(self, name: str) -> Opinion: ...
    def told(self, name: str, most: int) -> list[Observation]: ...


class Scene(NamedTuple):
    """`is_settled`: whether this node's memory is back; `online`: how many others are there."""

    is_settled: Callable[[], bool]
    online: Callable[[], int]


class Observer:
    def __init__(
        self,
        world: World,
        identity: Identity,
        intake: Intake,
        views: Views,
        watch: Watch,
        scene: Scene,
    ) -> None:
        self._world = world
        self._me = identity
        self._intake = intake
        self._views = views
        self._watch = watch
        self._scene = scene
        self._due: dict[tuple[str, Kind], tuple[Fact, float]] = {}
        self._rate = Rate(PER_SUBJECT, SUBJECT_BURST)
        self._all = Rate(PER_MINUTE, BURST)
        self._log = get("postbox.mesh.observing")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(around(LOOK_S, JITTER, fraction(self._world.random)))
            if self._scene.is_settled():
                await self.look()

    async def look(self) -> None:
        """Notices what there is to say, and says what is due. Raises a fault if the log fails."""
        await self._notice(self._watch.look())
        due = [fact for fact, due_s in self._due.values() if due_s <= self._now_s()]
        for fact in due:
            if self._may_say(fact):
                del self._due[fact.subject, fact.kind]
                await self._say(fact)

    async def _notice(self, facts: Sequence[Fact]) -> None:
        """Each waits for its turn, in the place of what was to be said of that kind before."""
        told = await self._told({fact.subject for fact in facts})
        wanted = [fact for fact in facts if is_wanted(fact, told[fact.subject], self._me.name)]
        others = self._scene.online() if wanted else 0
        for fact in wanted:
            pool = others if self._watch.is_by_word(fact) else min(others, NEIGHBOURS)
            after_s = turn_s(fraction(self._world.random), pool)
            if after_s is not None and len(self._due) < MOST_DUE:
                self._put_off(fact, self._now_s() + after_s)

    def _put_off(self, fact: Fact, due_s: float) -> None:
        place = fact.subject, fact.kind
        before = self._due.get(place)
        if before is None or before[0] != fact:
            self._due[place] = fact, due_s

    async def _say(self, fact: Fact) -> None:
        """If it holds still, and was not said by enough others since."""
        told = (await self._told([fact.subject]))[fact.subject]
        if not self._watch.holds(fact) or not is_wanted(fact, told, self._me.name):
            return
        is_restart = fact.kind == "restart"
        said = authoring.Observation(
            observer=self._me.name,
            observer_id=self._me.id,
            subject=fact.subject,
            type=fact.kind,
            importance=IMPORTANCE[fact.kind],
            start_time=fact.start_s,
            restart_num=await self._number(fact, told) if is_restart else 0,
            last_restart=fact.start_s if is_restart else 0,
            online_state=fact.state,
        )
        event = make_event(said, self._world.clock.now_ns(), self._me)
        await self._intake.take(await self._intake.decode([event.body]), OWN)
        self._log.debug("told of a peer", name=fact.subject, what=fact.state or fact.kind)

    def _may_say(self, fact: Fact) -> bool:
        """Takes from both rates, where both have enough."""
        now_s = self._now_s()
        if self._all.due_s("", now_s) or self._rate.wait_s(fact.subject, now_s):
            return False
        self._all.take("", now_s, 1)
        return True

    async def _number(self, fact: Fact, told: Sequence[Observation]) -> int:
        """Of a restart: how many are counted here, with this one."""
        is_counted = any(one.type == fact.kind and one.start_time == fact.start_s for one in told)
        opinion = partial(self._views.opinion, fact.subject)
        counted = (await self._world.threads.run(Pool.READER, opinion)).counted_restarts
        return counted if is_counted else counted + 1

    async def _told(self, names: Collection[str]) -> Told:
        if not names:
            return {}

        def work() -> Told:
            return {name: self._views.told(name, MOST_TOLD) for name in sorted(names)}

        return await self._world.threads.run(Pool.READER, work)

    def _now_s(self) -> float:
        return self._world.clock.elapsed_s()
