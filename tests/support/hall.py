"""Nodes on one broker in memory that know each other, on virtual time: where councils meet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import trio

from postbox.mesh.checkpoints.attestations import encode, propose
from postbox.mesh.checkpoints.chains import Chain, chain_of
from postbox.mesh.checkpoints.consensus import INTERVAL_S
from postbox.trust.authoring import HeyThere, Observation, Tally, make_event
from postbox.trust.keys import Identity, identity_of
from postbox.world import World
from support.broker import Broker, broker_at
from support.mesh import believe, take
from support.town import House, Town

BROKER = "100.64.0.100"
DAY_S = INTERVAL_S
OTHERS = [identity_of(f"other{n}", bytes([200 + n]) * 32) for n in range(8)]
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

    @property
    def first(self) -> House:
        return self.houses[0]

    def now_s(self) -> int:
        return self.first.node.world.clock.now_ns() // 10**9

    def said(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.broker.of(topic)]

    async def remember(self, subject: str, restarts: int, *houses: House) -> None:
        """`houses` (or all) saw so many restarts of `subject`, a day apart, the first long ago."""
        for house in houses or self.houses:
            seen = [
                Observation(
                    observer="old-watcher",
                    subject=subject,
                    type="restart",
                    importance=3,
                    start_time=1_700_000_000 + DAY_S * n,
                    restart_num=n,
                )
                for n in range(restarts)
            ]
            bodies = [make_event(one, one.start_time * 10**9, None).body for one in seen]
            await take(house.node, bodies)

    async def greet(self) -> None:
        """Everybody was heard of just now."""
        now_ns = self.first.node.world.clock.now_ns()
        who = [house.node.identity for house in self.houses]
        hellos = [
            make_event(
                HeyThere(from_=one.name, public_key=one.public_key_base64, mesh_ip="", id=one.id),
                now_ns,
                one,
            ).body
            for one in who
        ]
        for house in self.houses:
            await take(house.node, hellos)

    async def stay(self, seconds: float) -> None:
        """So long, while all are heard of."""
        until_s = trio.current_time() + seconds
        while trio.current_time() < until_s:
            await self.greet()
            await trio.sleep(min(HEARD_OF_EVERY_S, until_s - trio.current_time()))

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


@asynccontextmanager
async def hall(
    town: Town, count: int = 7, *, whole: bool = False, world_at: WorldAt | None = None
) -> AsyncIterator[Hall]:
    """They know the others, too. `whole`: with all that a node does, from when it finds no peers
    over HTTP; else with their councils alone, and awake at once. `world_at`: of an address."""
    async with broker_at(town.world(BROKER).net, BROKER) as broker, trio.open_nursery() as nursery:

        async def live(n: int, task_status: trio.TaskStatus[House]) -> None:
            where = f"100.64.0.{n + 1}"
            async with (
                town.house(
                    where,
                    f"node{n}",
                    world=world_at(where) if world_at else None,
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
        here = Hall(town, broker, houses)
        for one in (*who, *OTHERS[:2]):
            await here.remember(one.name, 1)
        await trio.sleep(SETTLED_S if whole else 1)
        yield here
        nursery.cancel_scope.cancel()
