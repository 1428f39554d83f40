"""While a node's own database is away, or its disk full, no peer has failed: not one of the ways in
which peers are asked holds it against them, shows it beside them, or counts it as theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import pytest
import trio

from postbox.errors import OUR_LOG, Fault, Full, Unavailable, leaves
from postbox.mesh.background.keeping import Keeper
from postbox.mesh.background.loops import PAUSE_S
from postbox.mesh.background.refreshing import Refresher
from postbox.mesh.boot.progress import Stage
from postbox.mesh.gossip.rounds import Gossip
from postbox.mesh.peers.known import Contact, Known, Origin
from postbox.metrics import Metrics
from postbox.world import Pool
from support.mesh import ANN, CAT, believe, held_ids, id_of_body, tease
from support.nara import Nara, nara_in
from support.threads import Broken
from support.town import House, Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"
AWAY = Unavailable("the database is away")
FULL = Full("the disk is full")


@dataclass
class Home:
    """A node with a peer, and its disk."""

    house: House
    cat: Nara
    url: str
    disk: Broken
    metrics: Metrics

    @property
    def known(self) -> Known:
        known = self.house.mesh.peers.get("cat")
        assert known is not None
        return known

    def failures(self) -> list[bytes]:
        lines = self.metrics.render().splitlines()
        return [line for line in lines if b'"failed"' in line and not line.endswith(b" 0.0")]

    def holds(self, body: bytes) -> bool:
        return id_of_body(body) in held_ids(self.house.node)


@asynccontextmanager
async def home_of(town: Town, *, is_configured: bool = False) -> AsyncIterator[Home]:
    world = town.world(HERE)
    disk = Broken(world.threads, Pool.WRITER)
    async with nara_in(town, THERE, CAT) as (cat, url):
        peers = (url,) if is_configured else ()
        world = replace(world, threads=disk)
        async with town.house(HERE, "box", world=world, peers=peers) as house:
            await believe(house.node, ANN, CAT)
            cat.knows(house.node.identity, ANN)
            roster = house.mesh.peers
            if not is_configured:
                roster.restore([Known(url, "cat", Origin.MET, kind="nara", last_contact_ns=1)])
            roster.are_online = lambda names: [True] * len(names)
            yield Home(house, cat, url, disk, Metrics())


Round: TypeAlias = Callable[[Home], Awaitable[object]]


async def refresh(home: Home) -> None:
    mesh = home.house.mesh
    intake = mesh.knowledge.intake
    await Refresher(mesh.world, mesh.peers, intake, mesh.peer_of, home.metrics, 1_800).round()


async def gossip(home: Home) -> None:
    mesh = home.house.mesh
    rounds = Gossip(
        mesh.world,
        mesh.zines,
        mesh.peers,
        mesh.peer_of,
        home.metrics,
        chattiness=50,
        is_short=False,
    )
    await rounds.round()


async def find(home: Home) -> None:
    home.house.mesh.peers.are_online = lambda names: [False] * len(names)
    await home.house.mesh.finder().turn()


@pytest.mark.parametrize("asks", [refresh, gossip, find])
@in_town
async def test_a_round_ends_by_our_own_fault_and_no_peer_s(town: Town, asks: Round) -> None:
    async with home_of(town) as home:
        home.cat.add(tease(5))
        home.disk.fault = FULL
        with pytest.raises((Fault, ExceptionGroup)) as raised:
            await asks(home)
        assert all(isinstance(one, OUR_LOG) for one in leaves(raised.value))
        assert (home.known.failures, home.known.last_error) == (0, "")
        assert home.failures() == []
        home.disk.fault = None
        await asks(home)
        assert home.holds(tease(5))


@in_town
async def test_a_configured_peer_is_as_it_was_and_its_walk_goes_on(town: Town) -> None:
    async with home_of(town, is_configured=True) as home:
        mesh = home.house.mesh
        (link,) = mesh.peers.configured
        intake = mesh.knowledge.intake
        keeper = Keeper(
            mesh.world, mesh.peer(home.url), link, mesh.peers, intake, 60.0, home.metrics
        )
        await keeper.round()
        assert link.contact is Contact.REACHED
        home.cat.add(tease(5))
        home.disk.fault = FULL
        assert [await keeper.round() for _ in range(3)] == [PAUSE_S] * 3
        assert (link.contact, link.failures, link.last_error) == (Contact.REACHED, 0, "")
        assert home.failures() == []
        home.disk.fault = None
        await keeper.round()
        assert home.holds(tease(5))


@pytest.mark.parametrize("fault", [AWAY, FULL], ids=str)
@in_town
async def test_a_recovery_goes_on_when_there_is_a_log_again(town: Town, fault: Fault) -> None:
    """What waits for a database that is away is not a peer's silence."""
    async with home_of(town, is_configured=True) as home:
        home.cat.add(tease(5))
        home.disk.fault = fault
        recovery = home.house.mesh.recovery
        (link,) = home.house.mesh.peers.configured
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recovery.run)
            await recovery.had_turn.wait()
            assert str(recovery.progress.stage) == Stage.PAUSING
            assert (link.failures, link.last_error) == (0, "")
            home.disk.fault = None
            await trio.sleep(60)
            assert home.holds(tease(5))
            assert str(recovery.progress.stage) == Stage.DONE
