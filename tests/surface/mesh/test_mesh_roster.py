"""The roster of a node: what it learns of peers, what it forgets, and what outlives the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from msgspec import structs

from postbox.errors import Fault, Full, Stopped, Unavailable
from postbox.mesh.calling.introductions import Met
from postbox.mesh.calling.pull import EndlessPages
from postbox.mesh.door import Mesh
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers import roster as rosters
from postbox.mesh.peers.known import Known, Origin, Purpose
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.mesh.peers.saving import SAVE_EVERY_S
from postbox.mesh.peers.standing_rules import Offence, Regard
from postbox.mesh.wire import MODES, PING_PATH, SYNC_PATH, About
from postbox.metrics import Metrics
from postbox.net.faults import TooLarge, TooSlow
from postbox.node import Node, open_node
from postbox.store.contract import Query
from postbox.trust.authoring import HeyThere, make_event
from postbox.trust.keys import Identity
from support.mesh import BOB, CAT, MALLORY, NOW_NS, PEER, believe, config_of, take
from support.strangers import ABOUT as WORDS
from support.strangers import ping_of, sync_of
from support.town import Canned, Town, in_town

URL, OTHER_URL = "http://100.64.0.7:7433", "http://100.64.0.8:7433"
ABOUT = About("1", list(MODES), "", "hog", 3_600)
PURPOSES: tuple[Purpose, ...] = ("recovery", "refresh", "gossip", "ping", "checkpoints")
CONTACTS = Query("contacts", "select last_contact_ns from peer")


def met(name: str = "bob", about: About | None = ABOUT) -> Met:
    return Met(name, about, 1.5, 0.0)


@asynccontextmanager
async def door(town: Town, **mesh: Any) -> AsyncIterator[tuple[Node, Mesh]]:
    """Of a node that is started anew on the disk and in the home that it had before."""
    config = config_of(loopback=False, **mesh)
    async with open_node(town.world("100.64.0.1"), town.homes / "ann", config, "ann") as node:
        async with node.open_mesh(Metrics()) as mesh_door:
            yield node, mesh_door


def hello(who: Identity, at: str, number: int, signer: bool = True) -> bytes:
    payload = HeyThere(from_=who.name, public_key=who.public_key_base64, mesh_ip=at, id="")
    return make_event(payload, NOW_NS - number * 10**9, who if signer else None).body


def names(roster: Roster) -> list[str]:
    return [one.name for one in roster.all()]


# -- what is learned ------------------------------------------------------------------------------


@in_town
async def test_a_configured_peer_gets_its_name_when_it_has_signed_an_answer(town: Town) -> None:
    async with door(town, peers=(URL + "/", URL)) as (_, mesh):
        roster = mesh.peers
        (bob,) = roster.configured
        assert (bob.url, bob.name, roster.get("bob"), roster.all()) == (URL, "", None, [bob])
        roster.met(bob, met())
        assert (bob.name, roster.get("bob")) == ("", None)
        roster.proved(bob)
        assert roster.get("bob") is bob
        assert roster.all() == [bob], "once, though it has a name now"
        assert (bob.kind, bob.memory_mode, bob.uptime_s) == ("postbox", "hog", 3_600)
        assert roster.at(URL + "/") is bob


@in_town
async def test_peers_are_found_in_a_log_that_came_without_them(town: Town) -> None:
    """By their last hellos, as far as these are proved: as if the node had been there."""
    later, earlier = hello(BOB, "100.64.0.8", 1), hello(BOB, "100.64.0.7", 2)
    async with door(town) as (node, mesh):
        await believe(node, BOB)
        await take(node, [later, earlier, hello(CAT, "100.64.0.9", 3)], PEER)
        false_bob = hello(BOB, "100.64.0.66", 0, signer=False)
        assert (await take(node, [false_bob])).imported == 1
        found = (mesh.peers.get("bob"), mesh.peers.get("cat"))
        assert found[0] is not None
        assert (found[0].url, found[0].origin) == (OTHER_URL, Origin.HEARD)
    async with door(town) as (node, mesh):
        assert (mesh.peers.get("bob"), mesh.peers.get("cat")) == found, "nothing had been saved"
        assert mesh.peers.get("ann") is None, "it is no peer of its own"


@in_town
@pytest.mark.parametrize("zone", ["\0", "eth0", 5_000 * "x"], ids=["nul", "word", "long"])
async def test_a_peer_cannot_say_that_it_is_where_no_row_can_hold_it(town: Town, zone: str) -> None:
    """Behind `%` in an address of IPv6 stands what one likes; a row with a NUL is refused."""
    async with door(town) as (node, mesh):
        await believe(node, BOB)
        assert (await take(node, [hello(BOB, f"fd7a:115c:a1e0::7%{zone}", 1)], PEER)).imported == 1
        bob = mesh.peers.get("bob")
        assert bob is not None
        assert (bob.url, bob.own_url, bob.origin) == ("", "", Origin.HEARD)
        await mesh.saver.save()
    async with door(town) as (_, mesh):
        assert names(mesh.peers) == ["bob"]


@in_town
async def test_another_node_at_the_url_begins_anew_under_its_own_name(town: Town) -> None:
    async with door(town, peers=(URL,)) as (_, mesh):
        (peer,) = mesh.peers.configured
        mesh.peers.met(peer, met("bob"))
        mesh.peers.proved(peer)
        mesh.peers.walked(peer, 5)
        mesh.peers.met(peer, met("cat", None))
        assert (mesh.peers.get("bob"), peer.cursor_ns) == (peer, 5), "it only says so"
        assert mesh.peers.cursor_ns(peer) == 0, "of cat nothing was asked for"
        mesh.peers.proved(peer)
        assert (mesh.peers.get("bob"), mesh.peers.get("cat"), peer.cursor_ns) == (None, peer, 0)
        assert peer.kind == "nara"


@in_town
async def test_who_says_that_it_is_another_peer_takes_nothing_of_that_ones(town: Town) -> None:
    """It knows the other's name and public key, as anybody does, and cannot sign."""
    eve = Canned({PING_PATH: ping_of(BOB, postbox=WORDS), SYNC_PATH: lambda: sync_of(MALLORY)})
    async with (
        town.serving("100.64.0.7", eve),
        town.house("100.64.0.1", "ann", peers=(URL,), admit="open") as house,
        trio.open_nursery() as nursery,
    ):
        roster = house.mesh.peers
        await believe(house.node, BOB)
        roster.heard("bob", OTHER_URL)
        bob = roster.get("bob")
        assert bob is not None
        roster.succeeded(bob)
        roster.walked(bob, NOW_NS)
        before = structs.replace(bob)
        house.mesh.recovery.had_turn.set()
        nursery.start_soon(house.mesh.loops()["keeping"])
        await trio.sleep(60)
        (link,) = roster.configured
        assert (link.said_name, link.name, link.pulls) == ("bob", "", 0)
        assert link.failures > 0
        assert roster.get("bob") is bob
        assert bob == before
        nursery.cancel_scope.cancel()


@in_town
async def test_only_its_own_word_moves_a_peer_that_answers(town: Town) -> None:
    """Told, then heard, then met; and told again when it does not answer any more."""
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.told("bob")
        bob = roster.get("bob")
        assert bob is not None
        assert (bob.url, bob.origin) == ("", Origin.TOLD)
        roster.told("bob", URL)
        roster.told("bob", OTHER_URL)
        assert bob.url == URL, "the first that was told of, until it fails"
        roster.heard("bob", OTHER_URL)
        assert (bob.url, bob.origin) == (OTHER_URL, Origin.HEARD)
        roster.told("bob", URL)
        assert bob.url == OTHER_URL
        roster.met(bob, met())
        roster.succeeded(bob)
        roster.heard("bob", URL)
        assert (bob.url, bob.origin) == (OTHER_URL, Origin.MET)
        for _ in range(rosters.MOVED_FAILURES):
            await roster.failed(bob, Fault("away"))
        roster.heard("bob", URL)
        assert bob.url == URL


@in_town
async def test_a_ping_alone_is_no_contact(town: Town) -> None:
    """Whoever is there may know a name and its public key."""
    async with door(town) as (_, mesh):
        mesh.peers.told("bob", URL)
        bob = mesh.peers.get("bob")
        assert bob is not None
        mesh.peers.met(bob, met())
        assert (bob.origin, bob.last_contact_ns) == (Origin.TOLD, 0)
        assert mesh.peers.choose(1, purpose="gossip") == []
        mesh.peers.succeeded(bob)
        assert mesh.peers.choose(1, purpose="gossip") == [bob]


@in_town
async def test_what_whoever_is_in_a_peers_place_does_is_not_held_against_the_peer(
    town: Town,
) -> None:
    """It answers pings in the peer's name, as anybody can, and then with a flood."""
    forged = Report(imported=0, rejected=Counter({"id_mismatch": 40}))
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.told("bob", URL)
        bob = roster.get("bob")
        assert bob is not None
        for _ in range(5):
            roster.met(bob, met())
            await roster.failed(bob, TooLarge("21 MiB"))
            await roster.failed(bob, TooSlow("60 s"))
            await roster.gave(bob, forged)  # as a nara may hand them on
        assert not roster.accused()
        roster.succeeded(bob)  # so it is bob, there
        await roster.failed(bob, TooLarge("21 MiB"))
        assert list(roster.accused()) == ["bob"]
        assert roster.regard("bob") is Regard.GOOD


@in_town
async def test_a_relay_at_a_place_that_others_told_gets_no_honest_peer_banned(town: Town) -> None:
    """It signs what it answers, whatever it was asked. Where it says itself that it is, it is
    thought to have been asked what was asked."""
    endless = EndlessPages("after a page that is not the one between")
    forged = Report(imported=0, rejected=Counter({"id_mismatch": 40}))
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.told("bob", URL)
        roster.heard("cat", OTHER_URL)
        for name in ("bob", "cat"):
            known = roster.get(name)
            assert known is not None
            roster.met(known, met(name))
            roster.succeeded(known)
            for _ in range(4):
                await roster.failed(known, endless)
                await roster.gave(known, forged)
        assert (roster.regard("bob"), roster.regard("cat")) == (Regard.DEMOTED, Regard.BANNED)


@in_town
async def test_an_older_hello_does_not_make_a_place_a_peers_own(town: Town) -> None:
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.heard("bob", URL, at_ns=2)
        roster.heard("bob", OTHER_URL, at_ns=1)
        bob = roster.get("bob")
        assert bob is not None
        assert (bob.url, bob.is_at_its_place) == (URL, True)
        bob.url = OTHER_URL
        assert not bob.is_at_its_place


@in_town
async def test_nobody_becomes_a_peer_of_itself_or_under_what_is_no_name(town: Town) -> None:
    async with door(town) as (_, mesh):
        for name in ("ann", "", "a b", "a:b", "x" * 65):
            mesh.peers.told(name, URL)
            mesh.peers.heard(name, URL)
        assert mesh.peers.all() == []


@in_town
async def test_the_roster_is_bounded_and_forgets_who_is_only_told_of(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rosters, "MAX_PEERS", 5)
    async with door(town, peers=(URL,)) as (_, mesh):
        roster = mesh.peers
        roster.met(roster.configured[0], met("configured"))
        roster.proved(roster.configured[0])
        for name in ("met", "old"):
            roster.told(name)
            peer = roster.get(name)
            assert peer is not None
            roster.succeeded(peer)
            await trio.sleep(1)
        roster.heard("heard")
        for number in range(100):
            roster.told(f"told{number}")
            await trio.sleep(1)
        assert names(roster) == ["configured", "heard", "met", "old", "told99"]


@in_town
@pytest.mark.parametrize("fault", [Unavailable("away"), Full("full"), Stopped("stopped")], ids=str)
async def test_a_peer_has_no_part_in_what_our_own_log_cannot_take(town: Town, fault: Fault) -> None:
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.told("bob", URL)
        bob = roster.get("bob")
        assert bob is not None
        roster.succeeded(bob)
        for _ in range(10):
            await roster.failed(bob, fault)
        assert (bob.failures, bob.failed_ns, bob.last_error) == (0, 0, "")
        assert roster.is_here(bob)
        assert roster.choose(1, purpose="gossip") == [bob]


# -- who is chosen --------------------------------------------------------------------------------


@in_town
async def test_a_peer_counts_as_here_for_five_minutes_and_a_failing_one_is_left_alone(
    town: Town,
) -> None:
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.told("bob", URL)
        bob = roster.get("bob")
        assert bob is not None
        roster.succeeded(bob)
        await trio.sleep(299)
        assert roster.is_here(bob)
        await trio.sleep(2)
        assert not roster.is_here(bob)
        roster.are_online = lambda names: [name == "bob" for name in names]
        assert roster.choose(1, purpose="ping") == [bob], "events say that it is online"
        for failures, pause_s in ((1, 60), (2, 120), (3, 240), (4, 480), (5, 960), (6, 1_920)):
            await roster.failed(bob, Fault("away"))
            assert bob.failures == failures
            assert roster.choose(1, purpose="recovery") == []
            await trio.sleep(pause_s - 1)
            assert roster.choose(1, purpose="recovery") == []
            await trio.sleep(2)
            assert roster.choose(1, purpose="recovery") == [bob]


@in_town
async def test_nobody_is_asked_where_others_say_that_it_is_before_it_proved_itself(
    town: Town,
) -> None:
    """Events say that all are online; whether they are there, one loop finds out, within bounds."""
    async with door(town) as (_, mesh):
        roster = mesh.peers
        roster.are_online = lambda names: [True] * len(names)
        roster.told("told", URL)
        roster.heard("heard", OTHER_URL)
        for purpose in PURPOSES:
            chosen = [one.name for one in roster.choose(5, purpose=purpose)]
            assert chosen == (["heard"] if purpose == "recovery" else [])
        told = roster.get("told")
        assert told is not None
        roster.succeeded(told)
        assert roster.choose(5, purpose="gossip") == [told]


@in_town
async def test_one_that_is_banned_is_never_chosen_and_one_that_is_demoted_comes_last(
    town: Town,
) -> None:
    async with door(town) as (node, mesh):
        roster = mesh.peers
        for name in ("good", "slow", "bad"):
            roster.told(name, URL)
            peer = roster.get(name)
            assert peer is not None
            roster.succeeded(peer)
        await roster.accuse("slow", Offence.LIED, "it lied")
        await node.admission.submit(PeerRules(), [Sentence("bad", "ban", "", 1)])
        assert [one.name for one in roster.choose(3, purpose="gossip")] == ["good", "slow"]
        assert [one.name for one in roster.choose(3, purpose="gossip", but={"good"})] == ["slow"]
        assert roster.regard("slow") is Regard.DEMOTED


@in_town
async def test_accusations_of_one_peer_are_few_in_the_log(town: Town) -> None:
    async with door(town) as (node, mesh):
        for _ in range(1_000):
            await mesh.peers.accuse("bob", Offence.LIED, "it lied")
            await trio.sleep(0.1)
        assert mesh.peers.regard("bob") is Regard.BANNED
        assert 10 <= node.records.of("bob").offences <= 12
        entries = await node.store.read(lambda reader: reader.head)
        assert entries < 20


# -- what outlives the process --------------------------------------------------------------------


@in_town
async def test_a_node_that_starts_again_knows_its_peers_and_what_they_did(town: Town) -> None:
    async with door(town, peers=(URL,)) as (_, mesh):
        roster = mesh.peers
        roster.met(roster.configured[0], met("bob"))
        roster.succeeded(roster.configured[0])
        roster.walked(roster.configured[0], 77)
        roster.heard("cat", OTHER_URL)
        roster.told("dan")
        await roster.accuse("cat", Offence.LIED, "it lied")
        before = [shown(one) for one in roster.all()]
        await mesh.saver.save(is_last=True)
    async with door(town, peers=(URL,)) as (node, mesh):
        assert [shown(one) for one in mesh.peers.all()] == before
        (bob,) = mesh.peers.configured
        assert (bob.name, bob.cursor_ns) == ("bob", 77)
        assert mesh.peers.get("bob") is bob
        assert mesh.peers.regard("cat") is Regard.DEMOTED
        assert node.records.of("cat").why == "lied: it lied"


def shown(peer: Known) -> tuple[object, ...]:
    return (peer.url, peer.name, peer.origin, peer.kind, peer.last_contact_ns, peer.told_ns)


@in_town
async def test_a_peer_that_is_configured_no_more_stays_one_that_was_met(town: Town) -> None:
    async with door(town, peers=(URL,)) as (_, mesh):
        mesh.peers.met(mesh.peers.configured[0], met("bob"))
        mesh.peers.proved(mesh.peers.configured[0])
        await mesh.saver.save()
    async with door(town, peers=(OTHER_URL,)) as (_, mesh):
        bob = mesh.peers.get("bob")
        assert bob is not None
        assert (bob.url, bob.origin) == (URL, Origin.MET)
        assert names(mesh.peers) == ["", "bob"]


@in_town
async def test_what_is_forgotten_leaves_the_rows_and_what_is_new_gets_there_by_itself(
    town: Town,
) -> None:
    async with door(town) as (_, mesh):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mesh.saver.run)
            mesh.peers.told("bob", URL)
            mesh.peers.told("cat", URL)
            await trio.sleep(SAVE_EVERY_S + 1)
            mesh.peers.forget("cat")
            await trio.sleep(SAVE_EVERY_S + 1)
            mesh.peers.told("dan", URL)  # and it is stopped at once
            nursery.cancel_scope.cancel()
    async with door(town) as (_, mesh):
        assert names(mesh.peers) == ["bob", "dan"]


@in_town
async def test_contact_alone_is_written_every_ten_minutes_and_not_every_one(town: Town) -> None:
    async with door(town) as (node, mesh):
        mesh.peers.told("bob", URL)
        bob = mesh.peers.get("bob")
        assert bob is not None
        await mesh.saver.save()
        written = []
        for _ in range(25):
            await trio.sleep(60)
            mesh.peers.succeeded(bob)
            bob.told_ns = bob.last_contact_ns
            await mesh.saver.save()
            (row,) = await node.store.read(lambda reader: reader.query(CONTACTS))
            written.append(row[0])
        assert len(set(written)) == 3
