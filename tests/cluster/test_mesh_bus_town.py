"""Nodes that reach nobody by HTTP, and share a broker: how they find each other, and what one of
them still learns of what it missed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
import trio

from postbox.mesh.bus import exchange, topics
from postbox.mesh.bus.howdy_messages import About, Howdy, Neighbour, decode_howdy, encode_howdy
from postbox.mesh.bus.ledger_messages import encode_request, encode_responses
from postbox.mesh.reading import Social, read_event
from support.broker import Broker
from support.mesh import ANN, BOB, CAT, NOW_NS, believe, small_history, stored, take, tease
from support.on_bus import ids, living, on_broker, says_hello
from support.town import House, Town, in_town

SEC = 10**9


def id_of(body: bytes) -> str:
    return str(json.loads(body)["id"])


async def social_ids(house: House) -> set[str]:
    events = [read_event(one.body) for one in await stored(house.node) if one.body]
    return {event.id for event in events if isinstance(event.payload, Social)}


def cut_all(town: Town, addresses: Sequence[str]) -> None:
    for at, one in enumerate(addresses):
        for other in addresses[at + 1 :]:
            town.simulation.net.cut(one, other)


@in_town
async def test_a_newcomer_that_reaches_only_the_broker_gets_all_social_events(town: Town) -> None:
    addresses = [f"100.64.0.{number}" for number in range(1, 5)]
    cut_all(town, addresses)
    history = small_history(1_500)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(on_broker(town))
        olds = [
            await stack.enter_async_context(living(town, address, f"old{address[-1]}"))
            for address in addresses[:3]
        ]
        for old in olds:
            await take(old.node, history)
        new = await stack.enter_async_context(living(town, addresses[3], "new"))
        await trio.sleep(400)
        assert await social_ids(olds[0]) == await social_ids(new)
        assert len(await social_ids(new)) > 100
        standings = {one.flags for one in await stored(new.node) if one.kind == 0}
        assert standings == {0}, "hearsay, all of it"


@in_town
async def test_a_node_that_reaches_its_peers_asks_nobody_by_the_broker(town: Town) -> None:
    one, other = "100.64.0.1", "100.64.0.2"
    async with on_broker(town) as broker:
        async with (
            living(town, one, "one"),
            living(town, other, "other", peers=(f"http://{one}:7433",)),
        ):
            await trio.sleep(2_000)
            asked = [said.topic for said in broker.said if said.topic.endswith("/request")]
            assert topics.ledger_request("one") not in asked


@in_town
async def test_a_request_is_answered_with_what_is_asked_for(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, ANN, BOB, CAT)
        await take(house.node, [tease(1), tease(2, by=CAT, target="ann", signer=CAT)])
        await take(house.node, [tease(3, by=BOB, target="dan", signer=BOB)])
        await broker.say(topics.ledger_request("me"), encode_request("bob", ["ann"]))
        await trio.sleep(1)
        wanted = [tease(2, by=CAT, target="ann", signer=CAT), tease(1)]
        assert broker.of(topics.ledger_response("bob")) == list(encode_responses("me", wanted))
        await broker.say(topics.ledger_request("me"), encode_request("bob", ["nobody"]))
        await trio.sleep(1)
        assert broker.of(topics.ledger_response("bob"))[1:] == [b'{"From":"me","Events":null}']


@in_town
async def test_requests_are_answered_seldom_and_to_known_names(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, ANN, BOB)
        await take(house.node, [tease(1)])
        for payload in [
            encode_request("stranger", ["ann"]),
            encode_request("me", ["ann"]),
            b"{",
            *[encode_request("bob", ["ann"])] * 100,
        ]:
            await broker.say(topics.ledger_request("me"), payload)
        await trio.sleep(1)
        said = [one.topic for one in broker.said if one.topic.endswith("/response")]
        assert set(said) == {topics.ledger_response("bob")}
        assert 1 < len(said) < 10


@in_town
async def test_an_answer_that_nobody_asked_for_is_not_taken(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await trio.sleep(10)  # its own hello
        before = await ids(house)
        [answer] = encode_responses("bob", [tease(1)])
        await broker.say(topics.ledger_response("me"), answer)
        await trio.sleep(1)
        assert await ids(house) == before
        await says_hello(broker, BOB, NOW_NS)
        await trio.sleep(1)
        await house.mesh.on_bus.exchange.ask()
        await broker.say(topics.ledger_response("me"), answer)
        await broker.say(topics.ledger_response("me"), answer.replace(b'"bob"', b'"cat"', 1))
        await trio.sleep(1)
        assert id_of(tease(1)) in await ids(house)
        await trio.sleep(300)
        [late] = encode_responses("bob", [tease(2)])
        await broker.say(topics.ledger_response("me"), late)
        await trio.sleep(1)
        assert id_of(tease(2)) not in await ids(house)


@in_town
async def test_of_answers_only_so_much_is_read(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TAKE_BYTES", 600)
    answers = [next(encode_responses("bob", [tease(number)])) for number in range(10)]
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await says_hello(broker, BOB, NOW_NS)
        await trio.sleep(1)
        await house.mesh.on_bus.exchange.ask()
        for answer in answers:
            await broker.say(topics.ledger_response("me"), answer)
        await trio.sleep(1)
        assert 2 <= len(await social_ids(house)) <= 5


def howdies(broker: Broker) -> list[Howdy]:
    return [decode_howdy(payload) for payload in broker.of(topics.HOWDY)]


@in_town
async def test_who_says_hey_there_is_told_of_others(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, BOB)
        await says_hello(broker, ANN, NOW_NS)
        await trio.sleep(5)
        [howdy] = howdies(broker)
        assert (howdy.sender, howdy.receiver, howdy.number) == ("me", "ann", 1)
        assert howdy.key == house.node.identity.public_key
        assert howdy.neighbours == (Neighbour("bob", BOB.public_key_base64, "", BOB.id),)
        assert howdy.about.memory_mode == "custom"


@in_town
async def test_ten_howdies_to_one_newcomer_are_enough(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me"):
        about = About(BOB.public_key_base64, BOB.id, "", "", "")
        await says_hello(broker, ANN, NOW_NS)
        for number in range(10):
            howdy = Howdy("bob", "ann", number, 0, (), about)
            await broker.say(topics.HOWDY, encode_howdy(BOB, howdy))
        await trio.sleep(10)
        assert {howdy.sender for howdy in howdies(broker)} == {"bob"}


@in_town
async def test_whom_another_has_named_is_not_named_again(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, BOB, CAT)
        about = About(BOB.public_key_base64, BOB.id, "", "", "")
        await says_hello(broker, ANN, NOW_NS)
        await broker.say(topics.HOWDY, encode_howdy(BOB, Howdy("bob", "ann", 1, 0, (), about)))
        await trio.sleep(10)
        [_, ours] = howdies(broker)
        assert ours.number == 2
        assert [one.name for one in ours.neighbours] == ["cat"]


@in_town
async def test_a_howdy_is_a_hint_and_teaches_no_key(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        about = About(BOB.public_key_base64, BOB.id, "100.64.0.2", "", "hog")
        others = (
            Neighbour("cat", CAT.public_key_base64, "100.64.0.3", CAT.id),
            Neighbour("far", CAT.public_key_base64, "8.8.8.8", ""),
            Neighbour("odd", "", "not an address", ""),
        )
        await broker.say(topics.HOWDY, encode_howdy(BOB, Howdy("bob", "me", 1, 0, others, about)))
        await trio.sleep(1)
        roster = house.mesh.peers
        urls = {name: one.url for name in ("bob", "cat", "far", "odd") if (one := roster.get(name))}
        assert urls == {
            "bob": "http://100.64.0.2:7433",
            "cat": "http://100.64.0.3:7433",
            "far": "",
            "odd": "",
        }
        assert house.node.directory.key_of("bob") is None
        assert house.node.directory.key_of("cat") is None


@in_town
async def test_a_howdy_by_another_key_than_is_known_is_refused(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, BOB)
        about = About(CAT.public_key_base64, BOB.id, "100.64.0.2", "", "hog")
        howdy = Howdy("bob", "me", 1, 0, (Neighbour("dan", "", "100.64.0.4", ""),), about)
        await broker.say(topics.HOWDY, encode_howdy(CAT, howdy))
        await trio.sleep(1)
        assert house.mesh.peers.get("dan") is None


@in_town
async def test_a_flood_of_hey_theres_is_not_answered_without_end(town: Town) -> None:
    async with on_broker(town) as broker, living(town, "100.64.0.1", "me") as house:
        await believe(house.node, ANN)
        for number in range(55):
            await says_hello(broker, ANN, NOW_NS + number * SEC)
            await trio.sleep(0.2)
        await trio.sleep(10)
        assert 1 <= len(howdies(broker)) <= 25
