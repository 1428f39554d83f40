"""Nodes on one broker in memory that know each other, on virtual time: where councils meet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import trio

from postbox.mesh.checkpoints.attestations import encode, propose
from postbox.mesh.checkpoints.chains import Chain, chain_of
from postbox.mesh.checkpoints.consensus import INTERVAL_S
from postbox.trust.authoring import Observation, Tally, make_event
from postbox.trust.keys import Identity, identity_of
from postbox.world import World
from support.broker import Broker, broker_at
from support.mesh import believe, hello_of, take
from support.town import House, Town, after

BROKER = "100.64.0.100"
DAY_S = INTERVAL_S
OTHERS = [identity_of(f"other{n}", bytes([200 + n]) * 32) for n in range(8)]
WATCHERS = OTHERS[-2:]
NOTHING = Tally()
SETTLED_S = 1_900.0
WorldAt: TypeAlias = Callable[[str], World]
HEARD_OF_EVERY_S = 250.0
"""Less than the five minutes after which who is silent is missing."""


@dataclass
class Hall:
    """Nodes on one broker, that know each other and each other's ids."""

    town: Town
    broker: Broker
    houses: list[House]
    lives: list[trio.CancelScope]
    again: Callable[[int], Awaitable[House]]

    @property
    def first(self) -> House:
        return self.houses[0]

    def now_s(self) -> int:
        return self.first.node.world.clock.now_ns() // 10**9

    def said(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.broker.of(topic)]

    async def remember(self, subject: str, restarts: int, *houses: House) -> None:
        """`houses` (or all) saw so many restarts of `subject`, a day apart, the first long ago: by
        the signed word of two, which counts beside what nodes say of each other."""
        seen = [_restart(subject, n, at) for n in range(restarts) for at in range(len(WATCHERS))]
        for house in houses or self.houses:
            await take(house.node, seen)

    async def greet(self) -> None:
        """Everybody was heard of just now."""
        now_ns = self.first.node.world.clock.now_ns()
        hellos = [hello_of(house.node.identity, now_ns) for house in self.houses]
        for house in self.houses:
            await take(house.node, hellos)

    async def stay(self, seconds: float) -> None:
        """So long, while all are heard of."""
        until_s = trio.current_time() + seconds
        while trio.current_time() < until_s:
            await self.greet()
            await trio.sleep(min(HEARD_OF_EVERY_S, until_s - trio.current_time()))

    async def restart(self, number: int, away_s: float) -> None:
        """It says goodbye, and is away for so long."""
        await self.houses[number].mesh.leave()
        self.lives[number].cancel()
        await trio.sleep(away_s)
        self.houses[number] = await self.again(number)

    async def propose(self) -> bool:
        """By the first, to the end of what follows."""
        heard = await self.first.mesh.council.propose()
        await trio.sleep(5)
        return heard

    def proposal(self, who: Identity, *, at_s: int | None = None, tally: Tally = NOTHING) -> bytes:
        return encode(propose(who, tally, "", self.now_s() if at_s is None else at_s, 1))

    def checkpoints(self, house: House, subject: str) -> list[str]:
        return [link.id for link in self.chain(house, subject).links]

    def chain(self, house: House, subject: str) -> Chain:
        return chain_of(house.node.ledger.index, subject, self.now_s())


def _restart(subject: str, number: int, watcher: int) -> bytes:
    by = WATCHERS[watcher]
    start_s = 1_700_000_000 + DAY_S * number
    seen = Observation(
        observer=by.name,
        subject=subject,
        type="restart",
        importance=3,
        start_time=start_s,
        restart_num=number,
    )
    return make_event(seen, start_s * 10**9 + watcher, by).body


@asynccontextmanager
async def hall(
    town: Town,
    count: int = 7,
    *,
    whole: bool = False,
    past: bool = True,
    trip_s: float = 0.0,
    world_at: WorldAt | None = None,
) -> AsyncIterator[Hall]:
    """They know the others, too. `whole`: with all that a node does, from when it finds no peers
    over HTTP; else with their councils alone, and awake at once. `past`: they remember one.
    `trip_s`: to another and back, of which there are pings; `world_at`: of an address."""
    async with broker_at(town.world(BROKER).net, BROKER) as broker, trio.open_nursery() as nursery:
        lives = [trio.CancelScope() for _ in range(count)]

        async def live(n: int, task_status: trio.TaskStatus[House]) -> None:
            where = f"100.64.0.{n + 1}"
            lives[n] = trio.CancelScope()
            with lives[n]:
                await dwell(n, where, task_status)

        async def dwell(n: int, where: str, task_status: trio.TaskStatus[House]) -> None:
            async with (
                town.house(
                    where,
                    f"node{n}",
                    world=world_at(where) if world_at else None,
                    wrap=after(trip_s),
                    mqtt=f"mqtt://{BROKER}",
                ) as house,
                trio.open_nursery() as loops,
            ):
                if whole:
                    loops.start_soon(house.mesh.keep_up)
                else:
                    house.mesh.recovery.progress.ended_ns = 1
                    loops.start_soon(house.mesh.bus.run)
                    loops.start_soon(house.mesh.council.propose_daily)
                    loops.start_soon(house.mesh.council.cast)
                task_status.started(house)
                await trio.sleep_forever()

        houses = [await nursery.start(live, n) for n in range(count)]
        who = [house.node.identity for house in houses]
        for house in houses:
            await believe(house.node, *who, *OTHERS)
        here = Hall(town, broker, houses, lives, partial(nursery.start, live))
        for one in (*who, *OTHERS[:2]) if past else ():
            await here.remember(one.name, 1)
        await trio.sleep(SETTLED_S if whole else 1)
        yield here
        nursery.cancel_scope.cancel()
