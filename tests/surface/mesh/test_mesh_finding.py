"""Peers that nobody configured: how a node learns that they are there, where, and who they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from postbox.mesh.peers import finding, query
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.net.asgi import JSON, Reply
from postbox.trust.authoring import HeyThere, Ping, Social, make_event
from postbox.trust.keys import Identity
from support.mesh import BOB, CAT, MALLORY, NOW_NS, believe, take
from support.nara import nara_in
from support.town import PORT, Canned, House, Town, in_town

HOME, BOBS, CATS, DANS = (f"100.64.0.{number}" for number in (1, 2, 3, 4))
MINUTE_S = 60.0


def hello(who: Identity, mesh_ip: str = "", number: int = 0) -> bytes:
    """Its hey-there, as an event, `number` seconds ago."""
    payload = HeyThere(from_=who.name, public_key=who.public_key_base64, mesh_ip=mesh_ip, id="")
    return make_event(payload, NOW_NS - number * 10**9, who).body


def mention(name: str, number: int = 0) -> bytes:
    tease = Social(type="tease", actor="mallory", target=name, reason="random")
    return make_event(tease, NOW_NS - number * 10**9, MALLORY).body


def url_at(address: str) -> str:
    return f"http://{address}:{PORT}"


def known(house: House, name: str) -> Known:
    found = house.mesh.peers.get(name)
    assert found is not None, f"{name} is not on the roster"
    return found


def is_found(house: House, name: str) -> bool:
    found = house.mesh.peers.get(name)
    return found is not None and found.last_contact_ns > 0


@asynccontextmanager
async def living(*houses: House) -> AsyncIterator[None]:
    """They look for peers meanwhile."""
    async with trio.open_nursery() as nursery:
        for house in houses:
            nursery.start_soon(house.mesh.finder().run)
        yield
        nursery.cancel_scope.cancel()


async def until_found(house: House, name: str, minutes: int = 30) -> None:
    with trio.fail_after(minutes * MINUTE_S):
        while not is_found(house, name):  # noqa: ASYNC110  (nothing tells of it)
            await trio.sleep(1)


# -- how they find each other ---------------------------------------------------------------------


@in_town
async def test_two_nodes_that_know_only_a_third_find_each_other(town: Town) -> None:
    """Each introduced itself to the third, which tells where they are."""
    async with (
        town.house(BOBS, "bob") as bob,
        town.house(HOME, "ann", peers=(url_at(BOBS),)) as ann,
        town.house(CATS, "cat", peers=(url_at(BOBS),)) as cat,
    ):
        for house in (ann, cat):
            await take(house.node, [hello(house.node.identity)])
        async with trio.open_nursery() as nursery, living(ann, bob, cat):
            for house in (ann, cat):
                nursery.start_soon(house.mesh.keep_up)
            await until_found(ann, "cat")
            await until_found(cat, "ann")
            await until_found(bob, "ann")
            await until_found(bob, "cat")
            nursery.cancel_scope.cancel()
        assert (known(ann, "cat").url, known(ann, "cat").origin) == (url_at(CATS), Origin.MET)
        assert known(ann, "cat").kind == "postbox"
        assert {one.name for one in ann.mesh.peers.choose(5, purpose="gossip")} == {"bob", "cat"}


@in_town
async def test_a_nara_is_found_at_the_address_in_its_hey_there(town: Town) -> None:
    async with town.house(HOME, "ann") as ann, nara_in(town, CATS, CAT) as (cat, _):
        await take(ann.node, [hello(CAT, CATS)])
        async with living(ann):
            await until_found(ann, "cat")
        assert known(ann, "cat").kind == "nara"
        assert cat.complaints == []


@in_town
async def test_a_nara_tells_where_another_one_is(town: Town) -> None:
    async with (
        town.house(HOME, "ann", peers=(url_at(CATS),)) as ann,
        nara_in(town, CATS, CAT) as (cat, _),
        nara_in(town, BOBS, BOB) as (bob, _),
    ):
        cat.knows(BOB)
        cat.addresses["bob"] = BOBS
        await take(ann.node, [hello(BOB)])
        async with trio.open_nursery() as nursery, living(ann):
            nursery.start_soon(ann.mesh.keep_up)
            await until_found(ann, "bob")
            nursery.cancel_scope.cancel()
        assert known(ann, "bob").url == url_at(BOBS)
        assert bob.complaints == cat.complaints == []


@in_town
async def test_a_name_that_others_mention_is_got_to_know_by_an_introduction(town: Town) -> None:
    """Nothing of it came but its name: its key comes from itself, inside of the network."""
    async with (
        town.house(BOBS, "bob") as bob,
        town.house(CATS, "cat", peers=(url_at(BOBS),)) as cat,
        town.house(HOME, "ann", peers=(url_at(BOBS),)) as ann,
    ):
        await believe(ann.node, MALLORY)
        await take(ann.node, [mention("cat")])
        assert ann.node.directory.key_of("cat") is None
        async with trio.open_nursery() as nursery, living(ann, bob):
            for house in (ann, cat):
                nursery.start_soon(house.mesh.keep_up)
            await until_found(ann, "cat")
            nursery.cancel_scope.cancel()
        assert ann.node.directory.key_of("cat") == cat.node.identity.public_key
        assert bob.node.directory.key_of("cat") == cat.node.identity.public_key


@in_town
async def test_where_the_operator_is_asked_a_name_that_was_found_waits(town: Town) -> None:
    async with (
        town.house(BOBS, "bob") as bob,
        town.house(HOME, "ann", peers=(url_at(BOBS),), admit="ask") as ann,
        town.house(CATS, "cat") as cat,
    ):
        bob.mesh.peers.heard("cat", url_at(CATS))
        await believe(bob.node, cat.node.identity)
        ann.mesh.peers.told("cat", url_at(CATS))
        async with living(ann):
            await trio.sleep(3 * MINUTE_S)
        assert ann.node.directory.key_of("cat") is None
        assert [one.name for one in ann.node.waiting.all()] == ["cat"]


# -- whom they do not believe ---------------------------------------------------------------------


@in_town
async def test_whoever_has_taken_a_peers_place_is_not_taken_for_it(town: Town) -> None:
    """It knows the name and the public key, as everybody does, and cannot sign."""
    claim = {"from": "cat", "mesh_ip": "", "public_key": CAT.public_key_base64, "t": 0}
    ping = Reply(200, json.dumps(claim).encode(), JSON)
    taken = Reply(200, b'{"from":"cat","events":[],"ts":1,"sig":""}', JSON)
    host = Canned({"/ping": ping, "/events/sync": taken})
    async with town.house(HOME, "ann") as ann, town.serving(CATS, host):
        await take(ann.node, [hello(CAT, CATS)])
        async with living(ann):
            await trio.sleep(20 * MINUTE_S)
        assert "/events/sync" in host.asked
        assert not is_found(ann, "cat")
        assert ann.mesh.peers.choose(5, purpose="gossip") == []


@in_town
async def test_who_floods_in_a_peers_place_has_nobody_banned(town: Town) -> None:
    claim = {"from": "cat", "mesh_ip": "", "public_key": CAT.public_key_base64, "t": 0}
    ping = Reply(200, json.dumps(claim).encode(), JSON)
    host = Canned({"/ping": ping, "/events/sync": Reply(200, b" " * (21 * 2**20), JSON)})
    async with town.house(HOME, "ann") as ann, town.serving(CATS, host):
        await take(ann.node, [hello(CAT, CATS)])
        async with living(ann):
            await trio.sleep(3600)
        assert host.asked.count("/events/sync") >= 4
        assert not ann.mesh.peers.accused()


@in_town
async def test_peers_that_wait_for_their_turn_do_not_lose_it(town: Town) -> None:
    """Thirty at thirty places: at five a minute all were called on after six."""
    async with town.house(HOME, "ann") as ann:
        for number in range(30):
            ann.mesh.peers.told(f"name{number}", f"http://100.64.9.{number + 1}:7433")
        async with living(ann):
            await trio.sleep(9 * MINUTE_S)
        assert all(one.failures for one in ann.mesh.peers.all())


@in_town
async def test_who_was_found_once_and_is_online_by_events_is_not_called_on_again(
    town: Town,
) -> None:
    """Else a node of a large mesh, which is in touch with a few at a time, would never be done."""
    cats, dans = Canned({}), Canned({})
    async with (
        town.house(HOME, "ann") as ann,
        town.serving(CATS, cats),
        town.serving(DANS, dans),
    ):
        await believe(ann.node, CAT, MALLORY)
        for name, address in (("cat", CATS), ("mallory", DANS)):
            ann.mesh.peers.told(name, url_at(address))
            known(ann, name).last_contact_ns = NOW_NS - 600 * 10**9
        ping = Ping(observer="cat", target="bob", rtt=1.0)
        await take(ann.node, [make_event(ping, NOW_NS, CAT).body])
        async with living(ann):
            await trio.sleep(3 * MINUTE_S)
            assert ("/ping" in cats.asked, "/ping" in dans.asked) == (False, True)
            known(ann, "cat").failures = 1
            await trio.sleep(3 * MINUTE_S)
            assert "/ping" in cats.asked, "it is not where it was, perhaps"


@in_town
async def test_another_node_than_the_one_looked_for_is_left_alone(town: Town) -> None:
    async with town.house(HOME, "ann") as ann, town.house(CATS, "dan") as dan:
        await take(ann.node, [hello(CAT, CATS)])
        async with living(ann):
            await trio.sleep(5 * MINUTE_S)
            assert "dan" in known(ann, "cat").last_error
            await trio.sleep(2 * 3600)
        assert ann.node.directory.key_of("dan") is None
        assert dan.node.directory.key_of("ann") is None
        assert ann.mesh.peers.get("cat") is None, "never found, and forgotten"


@in_town
async def test_a_place_that_is_told_for_many_names_is_hardly_called(town: Town) -> None:
    host = Canned({})
    async with town.house(HOME, "ann") as ann, town.serving(CATS, host):
        for number in range(150):
            ann.mesh.peers.told(f"name{number}", url_at(CATS))
        async with living(ann):
            await trio.sleep(100 * MINUTE_S)
        assert len(host.asked) <= 12, "two at once, then one in ten minutes"


@in_town
async def test_names_that_are_made_up_are_bounded_and_forgotten(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FORGET_AFTER", 1)
    async with town.house(HOME, "ann") as ann, nara_in(town, CATS, CAT) as (cat, _):
        asked = counted(cat, query.PATH)
        await believe(ann.node, MALLORY, CAT)
        ann.mesh.peers.heard("cat", url_at(CATS))
        ann.mesh.peers.succeeded(known(ann, "cat"))
        await take(ann.node, [mention(f"nobody{number}", number) for number in range(3_000)])
        assert len(ann.mesh.peers.all()) <= 200 + 2
        async with living(ann):
            await trio.sleep(20 * MINUTE_S)
            assert 0 < len(asked) <= 26 * finding.LOOK_UPS
            await trio.sleep(35 * MINUTE_S)
        left = {one.name for one in ann.mesh.peers.all()}
        assert len(left) < 20, "nobody knows them, and they were forgotten"
        assert "cat" in left


def counted(nara: object, path: str) -> list[str]:
    """How often that was asked of it, from now on."""
    asked: list[str] = []
    answer = nara._open  # type: ignore[attr-defined]

    def counting(scope: dict[str, object]) -> object:
        if scope["path"] == path:
            asked.append(path)
        return answer(scope)

    nara._open = counting  # type: ignore[attr-defined]
    return asked


@in_town
async def test_a_banned_peer_is_not_called_on(town: Town) -> None:
    host = Canned({})
    async with town.house(HOME, "ann") as ann, town.serving(CATS, host):
        await ann.node.admission.submit(PeerRules(), [Sentence("cat", "ban", "", 1)])
        await take(ann.node, [hello(CAT, CATS)])
        async with living(ann):
            await trio.sleep(30 * MINUTE_S)
        assert host.asked == []


# -- what is told ---------------------------------------------------------------------------------


async def asked_for(town: Town, target: str, asked: Sequence[str] = ()) -> tuple[int, object, str]:
    async with town.caller(DANS) as http:
        answer = await http.request(
            "GET",
            url_at(HOME) + query.PATH,
            query={"target": target, "asked": ",".join(asked)},
            max_body_bytes=4_096,
            deadline_s=5.0,
        )
    body = json.loads(answer.body) if answer.status == 200 else None
    return answer.status, body, answer.headers.get(query.REDIRECT, "")


@in_town
async def test_a_node_tells_who_has_a_name_and_where(town: Town) -> None:
    async with town.house(HOME, "ann") as ann:
        await believe(ann.node, BOB, CAT)
        ann.mesh.peers.heard("bob", url_at(BOBS))
        ann.mesh.peers.told("cat", url_at(CATS))
        me = ann.node.identity
        for name, key, address in (
            ("bob", BOB.public_key_base64, BOBS),
            ("ann", me.public_key_base64, HOME),
        ):
            told = {
                "target": name,
                "public_key": key,
                "mesh_ip": address,
                "postbox": {"url": url_at(address)},
            }
            assert await asked_for(town, name) == (200, told, "")
        hearsay = {"target": "cat", "public_key": CAT.public_key_base64}
        assert await asked_for(town, "cat") == (200, hearsay, ""), "a rumour is not passed on"


@in_town
async def test_who_does_not_know_a_name_says_who_may(town: Town) -> None:
    async with town.house(HOME, "ann") as ann:
        assert await asked_for(town, "dan") == (404, None, "")
        for name, address in (("bob", BOBS), ("cat", CATS)):
            ann.mesh.peers.heard(name, url_at(address))
            ann.mesh.peers.succeeded(known(ann, name))
        assert await asked_for(town, "dan", ["bob"]) == (307, None, "cat")
        assert await asked_for(town, "dan", ["bob", "cat"]) == (404, None, "")
        many = ["bob", *[f"name{number}" for number in range(query.MAX_ASKED)]]
        assert await asked_for(town, "dan", many) == (404, None, "")


@pytest.mark.parametrize("target", ["", "a b", "a:b", "x" * 65, "\x00"])
def test_what_cannot_be_a_name_is_refused(target: str, tmp_path: object) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with town.house(HOME, "ann"):
            assert (await asked_for(town, target))[0] == 400

    test(tmp_path=tmp_path)
