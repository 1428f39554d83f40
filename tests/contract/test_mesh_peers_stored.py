"""What a node knows of its peers, and holds against them, on a real store of either engine:
written, merged, followed by every process, and there after a start."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from postbox.config import Config
from postbox.mesh.calling.introductions import Met
from postbox.mesh.door import Mesh
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.rules import MAX_ROWS, PeerRules, Sentence
from postbox.mesh.peers.standing_rules import Offence, Regard
from postbox.mesh.tables import peer_row
from postbox.mesh.wire import MODES, About
from postbox.metrics import Metrics
from postbox.node import Node, open_node
from postbox.store.contract import Row
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from support.mesh import config_of, fixed_world
from support.witness import PATIENT_S

URL, OTHER_URL = "http://100.64.0.7:7433", "http://100.64.0.8:7433"
ABOUT = About("1.2.3", list(MODES), "", "hog", 2**63 - 1)


def config(place: str, **mesh: Any) -> Config:
    made = config_of(1_000, **mesh)
    store = place if "://" in place else ""
    return replace(made, node=replace(made.node, store=store))


@asynccontextmanager
async def opened(home: Path, place: str, **mesh: Any) -> AsyncIterator[tuple[Node, Mesh]]:
    async with open_node(fixed_world(), home, config(place, **mesh), "ann") as node:
        async with node.open_mesh(Metrics()) as door:
            yield node, door


def known(mesh: Mesh, name: str) -> Known:
    found = mesh.peers.get(name)
    assert found is not None
    return found


def shown(mesh: Mesh) -> list[Row]:
    return [peer_row(one) for one in mesh.peers.all()]


def meet(mesh: Mesh, name: str, url: str = "") -> Known:
    if url:
        mesh.peers.heard(name, url)
    peer = known(mesh, name)
    mesh.peers.met(peer, Met(name, ABOUT, 1.25, 0.0))
    mesh.peers.succeeded(peer)
    return peer


async def test_the_roster_comes_back_as_it_was(place: str, tmp_path: Path) -> None:
    many = [f"peer-{number:03}" for number in range(MAX_ROWS + 5)]
    async with opened(tmp_path / "home", place, peers=(URL,)) as (node, mesh):
        (bob,) = mesh.peers.configured
        mesh.peers.met(bob, Met("bob", None, 0.5, 0.0))
        mesh.peers.proved(bob)
        mesh.peers.walked(meet(mesh, "cat", OTHER_URL), node.world.clock.now_ns() - 5)
        for name in many:
            mesh.peers.told(name)
        mesh.peers.told("gone")
        await mesh.saver.save()
        mesh.peers.forget("gone")
        await mesh.saver.save(is_last=True)
        before = shown(mesh)
    async with opened(tmp_path / "home", place, peers=(URL,)) as (_, mesh):
        assert shown(mesh) == before
        assert len(before) == len(many) + 2
        assert known(mesh, "cat").origin is Origin.MET


async def test_what_is_held_against_a_peer_comes_back_and_the_operator_ends_it(
    place: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "home", place) as (node, mesh):
        for number in range(3):
            await mesh.peers.accuse("bob", Offence.LIED, f"for the {number + 1}. time, ünsinn")
        assert node.records.regard("bob") is Regard.BANNED
        ban = Sentence("cat", "ban", "", 1)
        await node.admission.submit(PeerRules(), [ban])
        before = node.records.all()
    async with opened(tmp_path / "home", place) as (node, _):
        assert node.records.all() == before
        assert node.records.of("bob").why == "lied: for the 3. time, ünsinn"
        assert node.records.of("cat").by_operator
        pardons = [Sentence(name, "forgive", "", 2) for name in ("bob", "cat")]
        await node.admission.submit(PeerRules(), pardons)
        assert node.records.all() == {}
    async with opened(tmp_path / "home", place) as (node, _):
        assert node.records.all() == {}


# -- several processes ----------------------------------------------------------------------------


@asynccontextmanager
async def two(folder: Path, database: str) -> AsyncIterator[list[tuple[Node, Mesh]]]:
    """Processes of one node, each with a home of its own."""
    async with opened(folder / "one", database) as one:
        (folder / "two").mkdir(mode=0o700)
        shutil.copy(folder / "one" / KEY_FILE, folder / "two" / KEY_FILE)
        async with opened(folder / "two", database) as other:
            yield [one, other]


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENT_S):
        while not is_so():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_who_takes_over_knows_what_the_other_process_saved(
    database: str, tmp_path: Path
) -> None:
    async with two(tmp_path, database) as [(node, mesh), (_, other)]:
        now_ns = node.world.clock.now_ns()
        other.peers.told("bob", URL)
        other.peers.told("dan", URL)
        mesh.peers.walked(meet(mesh, "bob", OTHER_URL), now_ns - 5)
        mesh.peers.told("cat", URL)
        await mesh.saver.save()
        await other.saver.take_over()
        bob = known(other, "bob")
        assert (bob.url, bob.origin, bob.cursor_ns) == (OTHER_URL, Origin.MET, now_ns - 5)
        assert (bob.kind, bob.uptime_s) == ("postbox", ABOUT.uptime_s)
        assert {one.name for one in other.peers.all()} == {"bob", "cat", "dan"}
        await other.saver.save(is_last=True)  # and takes nothing of it back
        await mesh.saver.take_over()
        assert shown(mesh) == shown(other)


async def test_who_begins_to_keep_up_begins_with_what_is_saved(
    database: str, tmp_path: Path
) -> None:
    """As a process does that gets the lease."""
    async with two(tmp_path, database) as [(_, mesh), (_, other)]:
        mesh.peers.told("cat")
        await mesh.saver.save()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.keep_up)
            await until(lambda: other.peers.get("cat") is not None)
            nursery.cancel_scope.cancel()


async def test_every_process_hears_of_a_ban_and_of_its_end(database: str, tmp_path: Path) -> None:
    async with two(tmp_path, database) as [(node, mesh), (other, _)]:
        for why in ("first", "second", "third"):
            await mesh.peers.accuse("bob", Offence.LIED, why)
        await until(lambda: other.records.regard("bob") is Regard.BANNED)
        await other.admission.submit(PeerRules(), [Sentence("bob", "forgive", "", 1)])
        await until(lambda: node.records.regard("bob") is Regard.GOOD)
