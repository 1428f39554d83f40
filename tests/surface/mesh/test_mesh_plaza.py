"""What a node believes of what is said on the plaza, and what it says there itself."""

from __future__ import annotations

import json

import pytest
import trio

from postbox.mesh.bus import plaza, topics
from postbox.mesh.bus.plaza import EVENT_BYTES, STRANGERS_BURST
from postbox.trust.authoring import Social, make_event
from postbox.trust.keys import identity_of
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    NOW_NS,
    believe,
    chau_of,
    hello_of,
    hey_there,
    tease,
)
from support.on_bus import BROKER, ids, living, on_broker, says_hello, writes
from support.town import Town, in_town

HERE = "100.64.0.1"
SEC = 10**9


def id_of(body: bytes) -> str:
    return str(json.loads(body)["id"])


@in_town
async def test_a_hey_there_by_the_key_in_it_makes_a_stranger_known(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        body = await says_hello(broker, ANN, NOW_NS)
        await trio.sleep(1)
        assert id_of(body) in await ids(house)
        assert house.node.directory.key_of("ann") == ANN.public_key


@in_town
async def test_what_is_not_proved_is_refused_and_teaches_nothing(town: Town) -> None:
    social = Social(type="tease", actor="ann", target="bob", reason="random")
    as_bob = make_event(social, NOW_NS, MALLORY).body
    stolen = identity_of("ann", b"another key of ann".ljust(32, b"."))
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN)
        await trio.sleep(10)  # its own hello
        before = await ids(house)
        for topic, payload in [
            (topics.HEY_THERE, b""),
            (topics.HEY_THERE, b"{"),
            (topics.HEY_THERE, b"[" * 10_000),
            (topics.HEY_THERE, hello_of(BOB, NOW_NS).replace(b'"bob"', b'"cat"')),
            (topics.HEY_THERE, hello_of(stolen, NOW_NS)),
            (topics.HEY_THERE, hello_of(BOB, NOW_NS + 3600 * SEC)),
            (topics.HEY_THERE, b" " * (EVENT_BYTES + 1)),
            (topics.HEY_THERE, tease(1)),
            (topics.CHAU, chau_of(stolen, NOW_NS)),
            (topics.CHAU, chau_of(BOB, NOW_NS)),  # nobody here knows him
            (topics.CHAU, hello_of(BOB, NOW_NS)),
            (topics.SOCIAL, tease(1, signer=None)),
            (topics.SOCIAL, as_bob),
            (topics.SOCIAL, tease(1, by=BOB, signer=BOB)),
            (topics.SOCIAL, hey_there(BOB)),
        ]:
            await broker.say(topic, payload)
        await trio.sleep(10)
        assert await ids(house) == before
        assert house.node.directory.key_of("bob") is None
        assert house.node.directory.key_of("ann") == ANN.public_key
        assert house.mesh.bus.is_up


@in_town
async def test_what_a_known_name_signs_is_taken_in(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN)
        await broker.say(topics.SOCIAL, tease(1))
        await broker.say(topics.CHAU, chau_of(ANN, NOW_NS))
        await trio.sleep(1)
        assert {id_of(tease(1)), id_of(chau_of(ANN, NOW_NS))} <= await ids(house)
        assert house.node.projections.online("ann") == "offline"


@in_town
async def test_names_that_somebody_makes_up_are_let_in_slowly(town: Town) -> None:
    made_up = [
        identity_of(f"n{number}", f"n{number}".encode().ljust(32, b".")) for number in range(200)
    ]
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        for who in made_up:
            await says_hello(broker, who, NOW_NS)
        await trio.sleep(5)
        known = [who for who in made_up if house.node.directory.key_of(who.name)]
        assert STRANGERS_BURST <= len(known) <= STRANGERS_BURST + 5
        assert await says_hello(broker, known[0], NOW_NS + SEC)
        await trio.sleep(1)
        assert id_of(hello_of(known[0], NOW_NS + SEC)) in await ids(house), "who is known gets in"


@in_town
async def test_one_name_does_not_flood_the_log(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN, CAT)
        for number in range(250):
            await broker.say(topics.SOCIAL, tease(number))
        await broker.say(topics.SOCIAL, tease(1, by=CAT, signer=CAT))
        await trio.sleep(5)
        found = await ids(house)
        assert 50 < len(found) < 80
        assert id_of(tease(1, by=CAT, signer=CAT)) in found


@in_town
async def test_a_node_says_hello_at_each_connection_as_it_lies_in_its_log(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await trio.sleep(10)
        [hello] = broker.of(topics.HEY_THERE)
        assert id_of(hello) in await ids(house)
        old = hello_of(house.node.identity, NOW_NS - 3600 * SEC)
        await writes(house, [old, hey_there(ANN)])  # as they come from others
        await trio.sleep(1)
        await away(town, 1)
        assert broker.of(topics.HEY_THERE) == [hello, hello]
        await away(town, 400)
        *_, anew = broker.of(topics.HEY_THERE)
        assert id_of(anew) in await ids(house)
        assert len({*broker.of(topics.HEY_THERE)}) == 2


async def away(town: Town, seconds: float) -> None:
    town.simulation.net.cut(HERE, BROKER)
    await trio.sleep(seconds)
    town.simulation.net.heal(HERE, BROKER)
    await trio.sleep(120)


@in_town
async def test_a_node_that_leaves_says_chau_as_it_lies_in_its_log(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await trio.sleep(10)
        await house.mesh.leave()
        [chau] = broker.of(topics.CHAU)
        assert id_of(chau) in await ids(house)
        await away(town, 400)
        assert len(broker.of(topics.HEY_THERE)) == 1, "it does not come back by itself"


@in_town
async def test_a_chau_is_not_held_up_by_a_broker_that_is_away(town: Town) -> None:
    async with living(town, HERE, "me", is_up=False) as house:
        me, clock = house.node.identity, house.node.world.clock
        await writes(house, [hello_of(me, clock.now_ns()), chau_of(me, clock.now_ns())])
        with trio.fail_after(5):
            await house.mesh.on_bus.farewell()


@pytest.mark.parametrize("is_ours", [True, False])
@in_town
async def test_what_is_said_in_our_own_name_is_not_taken_from_the_broker(
    town: Town, is_ours: bool
) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        me = house.node.identity if is_ours else identity_of("me", b"x" * 32)
        body = await says_hello(broker, me, NOW_NS - 7200 * SEC)
        await trio.sleep(1)
        assert id_of(body) not in await ids(house)


@in_town
async def test_a_flood_of_messages_is_not_looked_at(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plaza, "MESSAGES_BURST", 50)
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN)
        for number in range(60):
            await broker.say(topics.SOCIAL, tease(number, signer=None))
        await broker.say(topics.SOCIAL, tease(1))
        await trio.sleep(1)
        assert id_of(tease(1)) not in await ids(house), "it came in the midst of a flood"
        await trio.sleep(10)
        await broker.say(topics.SOCIAL, tease(1))
        await trio.sleep(1)
        assert id_of(tease(1)) in await ids(house)
