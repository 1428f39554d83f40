"""The round of asking peers that a node does not keep up with: whom, when, and what is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import NamedTuple

import trio

from postbox.mesh.background.refreshing import (
    FIRST_S,
    JITTER_S,
    RECENT,
    WHOLE_SHARE,
    Refresher,
)
from postbox.mesh.peers.known import Known, Origin
from postbox.trust.authoring import Ping, make_event
from support.mesh import (
    ANN,
    BOB,
    CAT,
    NOW_NS,
    believe,
    checkpoint,
    held_ids,
    hey_there,
    id_of_body,
    observation,
    take,
    tease,
)
from support.nara import Nara, nara_in
from support.town import House, Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"
DAY_S, EVERY_S = 86_400, 1_800


def ping(number: int) -> bytes:
    payload = Ping(observer="ann", target="bob", rtt=12.5)
    return make_event(payload, NOW_NS - number * 10**9, ANN).body


class Pair(NamedTuple):
    box: House
    cat: Nara
    refresher: Refresher


@asynccontextmanager
async def box_and_cat(town: Town) -> AsyncIterator[Pair]:
    """A nara that the node knows, and was not told of by its operator."""
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await believe(box.node, ANN, BOB, CAT)
        cat.knows(box.node.identity, ANN, BOB)
        is_here(box, Known(url, "cat", Origin.MET, kind="nara", memory_mode="medium"))
        mesh = box.mesh
        refresher = Refresher(
            mesh.world, mesh.peers, mesh.knowledge.intake, mesh.peer_of, mesh.metrics, EVERY_S
        )
        yield Pair(box, cat, refresher)


def is_here(house: House, known: Known) -> None:
    known.last_contact_ns = 1  # once
    house.mesh.peers.restore([known])
    house.mesh.peers.are_online = lambda names: [True] * len(names)


@in_town
async def test_of_what_a_nara_says_the_last_day_is_taken_and_all_pings(town: Town) -> None:
    new = [tease(DAY_S - 60), observation(DAY_S - 60), ping(DAY_S - 60), ping(9 * DAY_S)]
    old = [tease(DAY_S + 60), observation(DAY_S + 60)]
    others = [hey_there(ANN, 5), checkpoint([ANN, BOB], 6)]
    async with box_and_cat(town) as (box, cat, refresher):
        cat.add(*new, *old, *others)
        await refresher.round()
        assert held_ids(box.node) == {id_of_body(body) for body in new}
        assert {asked.body for asked in cat.asked} == {
            b'{"from":"box","services":null,"subjects":null,"mode":"recent","limit":%d}' % RECENT
        }
        assert cat.complaints == []


@in_town
async def test_what_a_nara_has_is_asked_every_half_hour(town: Town) -> None:
    asked_s: list[float] = []
    async with box_and_cat(town) as (_, cat, refresher), trio.open_nursery() as loops:
        began_s = trio.current_time()
        loops.start_soon(refresher.run)
        for _ in range(20_000):
            if len(cat.asked) > len(asked_s):
                asked_s.append(trio.current_time() - began_s)
            await trio.sleep(1)
        loops.cancel_scope.cancel()
    assert asked_s[0] <= FIRST_S + 1
    pauses_s = [later - earlier for earlier, later in pairwise(asked_s)]
    assert len(pauses_s) >= 9
    assert all(EVERY_S - JITTER_S - 2 <= one <= EVERY_S + JITTER_S + 2 for one in pauses_s)
    assert max(pauses_s) - min(pauses_s) > 60, "they differ"


@in_town
async def test_a_postbox_is_asked_for_all_that_is_new_since_the_last_time(town: Town) -> None:
    async with town.house(THERE, "peer") as peer, town.house(HERE, "box") as box:
        await believe(box.node, ANN, peer.node.identity)
        await believe(peer.node, ANN, box.node.identity)
        is_here(box, Known(peer.url, "peer", Origin.MET))
        refresher = Refresher(
            box.mesh.world,
            box.mesh.peers,
            box.mesh.knowledge.intake,
            box.mesh.peer_of,
            box.mesh.metrics,
            EVERY_S,
        )
        await take(peer.node, [tease(10 * DAY_S), hey_there(BOB, 5 * DAY_S), tease(3)])
        await refresher.round()
        assert len(held_ids(box.node)) == 3
        known = box.mesh.peers.get("peer")
        assert known is not None
        assert known.cursor_ns == NOW_NS - 3 * 10**9
        await take(peer.node, [tease(2), tease(20 * DAY_S)])
        await refresher.round()
        assert id_of_body(tease(2)) in held_ids(box.node)
        late = id_of_body(tease(20 * DAY_S))
        assert late not in held_ids(box.node), "before the cursor"
        rounds = 0
        while late not in held_ids(box.node) and rounds < 10 / WHOLE_SHARE:
            await refresher.round()
            rounds += 1
        assert late in held_ids(box.node), "what came to the peer late is not missed for ever"
        assert rounds > 1


@in_town
async def test_peers_that_are_kept_up_with_are_not_asked_again(town: Town) -> None:
    async with (
        nara_in(town, THERE, CAT) as (cat, url),
        town.house(HERE, "box", peers=(url,)) as (box),
    ):
        await believe(box.node, CAT)
        cat.knows(box.node.identity)
        box.mesh.peers.met(box.mesh.peers.at(url), await box.mesh.peer(url).meet())
        box.mesh.peers.are_online = lambda names: [True] * len(names)
        refresher = Refresher(
            box.mesh.world,
            box.mesh.peers,
            box.mesh.knowledge.intake,
            box.mesh.peer_of,
            box.mesh.metrics,
            EVERY_S,
        )
        await refresher.round()
        assert cat.asked == []


@in_town
async def test_a_peer_that_fails_is_left_alone_for_a_while(town: Town) -> None:
    async with box_and_cat(town) as (box, cat, refresher):
        cat.is_down = True
        await refresher.round()
        known = box.mesh.peers.get("cat")
        assert known is not None
        assert (known.failures, "503" in known.last_error) == (1, True)
        cat.is_down = False
        await refresher.round()
        assert cat.asked == []
        await trio.sleep(61)
        await refresher.round()
        assert len(cat.asked) == 1
