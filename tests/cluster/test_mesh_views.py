"""Nodes that hold the same events think the same, whatever way the events took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from postbox.mesh.merging.news import News
from postbox.mesh.synthetic import VOTERS, identities
from postbox.trust.authoring import Ping, make_event
from postbox.trust.keys import Identity
from support.cluster import PULL_EVERY_S, Cluster, Member, cluster_of, mixed_history
from support.mesh import ANN, BOB, CAT, NOW_NS, believe, chau_of, checkpoint, hey_there
from support.simulate import Simulation, simulate

S = 10**9
VIEWED = [*(one.name for one in identities(1, VOTERS)), "ann", "bob", "cat"]
VIEWED += [f"watcher{number}" for number in range(5)]


async def thoughts(member: Member) -> list[Any]:
    views = member.house.node.projections
    told: list[Any] = [(name, views.online(name), views.opinion(name)) for name in VIEWED]
    return [*told, await views.round_trips(), [views.checkpoint(name) for name in VIEWED]]


async def all_think_the_same(cluster: Cluster) -> list[Any]:
    await cluster.converge()
    first, *others = [await thoughts(member) for member in cluster.members]
    assert others == [first] * len(others)
    return first


def ping(by: Identity, target: str, rtt_ms: float) -> bytes:
    return make_event(Ping(observer=by.name, target=target, rtt=rtt_ms), NOW_NS, by).body


async def views_of_three(simulation: Simulation, homes: Path) -> None:
    history = mixed_history(300)
    async with cluster_of(simulation, homes) as cluster:
        one, two, three = cluster.members
        for member in cluster.members:
            await believe(member.house.node, *identities(1, VOTERS), ANN, BOB, CAT)
        news: list[News] = []
        two.house.node.news.listen(news.append)
        cluster.toggle(one, three)  # what one learns, three hears from two alone
        await cluster.give(one, [*history[:200], hey_there(ANN), hey_there(BOB)])
        await cluster.give(three, [*history[100:], ping(CAT, "ann", 7.5)])
        before = dict_of(await all_think_the_same(cluster))
        assert [before[name] for name in ("ann", "bob", "cat")] == ["online"] * 3
        assert ("cat", "ann", 7.5) in [trip[:3] for told in news for trip in told.pings]
        assert {hello.name for told in news for hello in told.hellos} >= {"ann", "bob"}

        await three.crash()
        await cluster.give(two, [chau_of(BOB, NOW_NS + 20 * S), checkpoint([ANN, CAT], 5, BOB)])
        await trio.sleep(PULL_EVERY_S)
        await cluster.start(three)
        told = await all_think_the_same(cluster)
        assert dict_of(told)["bob"] == "offline"
        assert [one for one in told[-1] if one is not None][-1].subject == "bob"


def dict_of(told: list[Any]) -> dict[str, str]:
    return {name: presence for name, presence, _ in told[: len(VIEWED)]}


def test_nodes_that_hold_the_same_events_think_the_same(tmp_path: Path) -> None:
    simulate(3, lambda simulation: views_of_three(simulation, tmp_path))
