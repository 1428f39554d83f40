"""A node says hello when it begins to take part, and goodbye when it leaves, as events."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import trio

from postbox.errors import Unavailable
from postbox.mesh.background.loops import run_loops
from postbox.mesh.door import GOODBYE_S
from postbox.mesh.gossip.presence import AGAIN_NS
from postbox.mesh.peers.known import Known, Origin
from postbox.node import Node
from postbox.trust.authoring import HeyThere, make_event
from postbox.world import Pool, Threads
from support.mesh import BOB, believe, chau_of, digest, stored, take
from support.nara import nara_in
from support.nara_events import Event, read_event, verifies
from support.threads import Broken
from support.town import House, Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"
AGAIN_S = AGAIN_NS / 1e9
T = TypeVar("T")


async def said(node: Node) -> list[Event]:
    """Hellos and goodbyes that the log holds, in its order."""
    events = [read_event(json.loads(entry.body or b"")) for entry in await stored(node)]
    return [event for event in events if event["svc"] in ("hey-there", "chau")]


async def words(node: Node) -> list[str]:
    return [event["svc"] for event in await said(node)]


@in_town
async def test_a_hello_is_naras_and_is_attested(town: Town) -> None:
    async with town.house(HERE, "box", url=f"http://{HERE}:7433") as box:
        await box.mesh.presence.enter()
        [hello] = await said(box.node)
        me = box.node.identity
        assert hello["hey_there"] == {
            "From": "box",
            "PublicKey": me.public_key_base64,
            "MeshIP": HERE,
            "ID": me.id,
            "Signature": "",
        }
        assert verifies(hello, me.public_key)
        assert box.node.ledger.index.counts()["attested"] == 1


@in_town
async def test_a_goodbye_follows_a_hello_and_is_said_once(town: Town) -> None:
    async with town.house(HERE, "box") as box:
        assert await box.mesh.presence.leave() is None, "nothing was said"
        await box.mesh.presence.enter()
        await box.mesh.leave()
        await box.mesh.leave()
        assert await words(box.node) == ["hey-there", "chau"]
        [_, chau] = await said(box.node)
        assert verifies(chau, box.node.identity.public_key)
        assert box.node.ledger.index.counts()["attested"] == 2


@in_town
async def test_who_was_here_a_moment_ago_does_not_say_hello_again(town: Town) -> None:
    for lives, pause_s, expected in ((3, 1.0, 1), (1, AGAIN_S + 1, 2)):
        for _ in range(lives):
            await trio.sleep(pause_s)
            async with town.house(HERE, "box") as box:
                await box.mesh.presence.enter()
                assert await words(box.node) == ["hey-there"] * expected


@in_town
async def test_hello_is_said_once_when_the_node_and_its_bus_would_both_say_it(town: Town) -> None:
    world = town.world(HERE)
    disk = Broken(world.threads, Pool.WRITER)
    async with town.house(HERE, "box", world=replace(world, threads=disk)) as box:
        disk.fault = Unavailable("the database does not answer")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(box.mesh.presence.enter)
                await trio.sleep(1)
            disk.fault = None
        assert await words(box.node) == ["hey-there"]


@in_town
async def test_who_left_says_hello_at_once(town: Town) -> None:
    async with town.house(HERE, "box") as box:
        await box.mesh.presence.enter()
        await trio.sleep(1)
        await box.mesh.leave()
        await trio.sleep(1)
        await box.mesh.presence.enter()
        assert await words(box.node) == ["hey-there", "chau", "hey-there"]


@in_town
async def test_what_others_say_in_its_name_silences_no_node(town: Town) -> None:
    async with town.house(HERE, "box") as box:
        me, now_ns = box.node.identity, box.node.world.clock.now_ns()
        hello = HeyThere(from_=me.name, public_key=me.public_key_base64, mesh_ip="", id=me.id)
        unsigned = make_event(hello, now_ns - 1, None).body
        await take(box.node, [unsigned, chau_of(BOB, now_ns - 2)])
        await box.mesh.presence.enter()
        assert me.name in [one.get("emitter") for one in await said(box.node)]


@in_town
async def test_a_node_alone_says_nothing_until_it_has_met_another(town: Town) -> None:
    async with town.house(HERE, "box") as box, trio.open_nursery() as loops:
        loops.start_soon(box.mesh.presence.run)
        await trio.sleep(600)
        box.mesh.peers.heard("bob", f"http://{THERE}:7433")  # so an imported event says
        await trio.sleep(600)
        assert await words(box.node) == []
        bob = box.mesh.peers.get("bob")
        assert bob is not None
        box.mesh.peers.succeeded(bob)
        await trio.sleep(10)
        assert await words(box.node) == ["hey-there"]
        loops.cancel_scope.cancel()


@in_town
async def test_a_process_that_was_taken_over_from_says_no_goodbye(town: Town) -> None:
    """The node is still here: the process that took over speaks for it now."""
    async with town.house(HERE, "box") as box:
        box.mesh.peers.heard("bob", f"http://{THERE}:7433")
        bob = box.mesh.peers.get("bob")
        assert bob is not None
        box.mesh.peers.succeeded(bob)
        async with trio.open_nursery() as loops:
            loops.start_soon(box.mesh.presence.run)
            await trio.sleep(10)
            assert await words(box.node) == ["hey-there"]
            loops.cancel_scope.cancel()
        assert await box.mesh.presence.leave() is None
        assert await words(box.node) == ["hey-there"]


class Away:
    """Threads of a node whose database is away, from some moment on."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.is_away = False

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if self.is_away and pool is Pool.WRITER:
            raise Unavailable("the database does not answer")
        return await self._threads.run(pool, work)


@in_town
async def test_a_node_whose_database_is_away_leaves_without_a_goodbye(town: Town) -> None:
    world = town.world(HERE)
    threads = Away(world.threads)
    async with town.house(HERE, "box", world=replace(world, threads=threads)) as box:
        await box.mesh.presence.enter()
        threads.is_away = True
        with trio.fail_after(GOODBYE_S + 1):
            await box.mesh.leave()
        assert await words(box.node) == ["hey-there"]
        threads.is_away = False


async def acquainted(one: House, other: House) -> None:
    await believe(one.node, other.node.identity)
    await believe(other.node, one.node.identity)


@in_town
async def test_who_leaves_brings_its_goodbye_to_peers_that_are_here(town: Town) -> None:
    async with (
        town.house(THERE, "peer") as peer,
        town.house(HERE, "box", peers=(peer.url,)) as box,
        nara_in(town, "100.64.0.3", BOB) as (bob, url),
    ):
        await acquainted(box, peer)
        bob.knows(box.node.identity)
        await believe(box.node, BOB)
        for known_url in (peer.url, url):
            known = box.mesh.peers.at(known_url)
            met = await box.mesh.peer(known_url).meet()
            box.mesh.peers.met(known, met)
            box.mesh.peers.succeeded(known)
        await box.mesh.presence.enter()
        await box.mesh.leave()
        assert "chau" in await words(peer.node)
        assert [one["svc"] for one in bob.events.values()] == ["chau"]
        assert bob.complaints == []


@in_town
async def test_a_peer_that_does_not_answer_holds_no_node_up(town: Town) -> None:
    async with nara_in(town, THERE, BOB) as (bob, url), town.house(HERE, "box") as box:
        await believe(box.node, BOB)
        known = Known(url, "bob", Origin.MET)
        box.mesh.peers.met(known, await box.mesh.peer(url).meet())
        box.mesh.peers.succeeded(known)
        await box.mesh.presence.enter()
        bob.is_stuck = True
        began_s = trio.current_time()
        await box.mesh.leave()
        assert 1 < trio.current_time() - began_s < 3
        assert await words(box.node) == ["hey-there", "chau"]


@in_town
async def test_zines_carry_hellos_through_a_town(town: Town) -> None:
    """Each knows the next one alone; zines bring every name to every node, and its goodbye."""
    addresses = [f"100.64.0.{number}" for number in range(1, 6)]
    async with trio.open_nursery() as loops:
        houses = [
            await loops.start(resident, town, address, f"node{number}", following)
            for number, (address, following) in enumerate(
                zip(addresses, [*addresses[1:], addresses[0]], strict=True)
            )
        ]
        await trio.sleep(600)
        for house in houses:
            assert sorted(one["emitter"] for one in await said(house.node)) == [
                f"node{number}" for number in range(5)
            ]
        await houses[0].mesh.leave()
        await trio.sleep(400)
        assert [(await words(house.node)).count("chau") for house in houses] == [1] * 5
        assert len({digest(house.node) for house in houses}) == 1
        loops.cancel_scope.cancel()


async def resident(
    town: Town, address: str, name: str, following: str, task_status: trio.TaskStatus[House]
) -> None:
    """Gossips, and does nothing else by itself; it was introduced to one other."""
    url = f"http://{following}:7433"
    async with town.house(address, name, peers=(url,), admit="open") as house:
        task_status.started(house)
        await trio.sleep(10)  # until all are there
        known = house.mesh.peers.at(url)
        met = await house.mesh.peer(url).meet()
        house.mesh.peers.met(known, met)
        house.mesh.peers.succeeded(known)
        house.mesh.peers.are_online = lambda names: [True] * len(names)
        every = house.mesh.loops()
        await run_loops({loop: every[loop] for loop in ("presence", "gossip")})
