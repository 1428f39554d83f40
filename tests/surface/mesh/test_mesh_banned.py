"""A banned name is neither asked, nor answered, nor heard, whichever way it comes: over HTTP or on
the bus. What it signed and others hand on is judged by itself, like all events.
"""

from __future__ import annotations

import trio

from postbox.mesh.bus import topics
from postbox.mesh.bus.howdy_messages import About, Howdy, Neighbour, encode_howdy
from postbox.mesh.bus.ledger_messages import encode_request
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.node import Node
from support.mesh import (
    ANN,
    BOB,
    CAT,
    NOW_NS,
    PEER,
    believe,
    chau_of,
    hello_of,
    hey_there,
    take,
    tease,
)
from support.on_bus import ids, living, on_broker
from support.strangers import ask, greet, held
from support.strangers import hello_of as introduction_of
from support.town import Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"


async def ban(node: Node, name: str) -> None:
    draft = Sentence(name, "ban", "", node.world.clock.now_ns())
    await node.admission.submit(PeerRules(), [draft])


async def forgive(node: Node, name: str) -> None:
    draft = Sentence(name, "forgive", "", node.world.clock.now_ns())
    await node.admission.submit(PeerRules(), [draft])


@in_town
async def test_who_is_banned_is_not_greeted(town: Town) -> None:
    """Neither a stranger, who would be let in, nor a known name."""
    async with town.house(HERE, "me", admit="open") as house, town.caller(THERE) as http:
        await believe(house.node, BOB)
        for who in (ANN, BOB):
            await ban(house.node, who.name)
        before = held(house.node)
        for who in (ANN, BOB):
            refused = await greet(http, house.url, introduction_of(who))
            assert (refused.status, b"no dealings" in refused.body) == (403, True)
        assert (await ask(http, house.url, BOB)).status == 403
        assert held(house.node) == before
        assert house.mesh.peers.all() == []
        await forgive(house.node, "ann")
        assert (await greet(http, house.url, introduction_of(ANN))).status == 200


@in_town
async def test_who_is_banned_is_not_heard_on_the_bus(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN)
        for who in (ANN, BOB):
            await ban(house.node, who.name)
        await trio.sleep(10)  # its own hello
        before, known = await ids(house), held(house.node)
        for topic, payload in (
            (topics.HEY_THERE, hello_of(ANN, NOW_NS)),
            (topics.HEY_THERE, hello_of(BOB, NOW_NS)),
            (topics.SOCIAL, tease(1)),
            (topics.CHAU, chau_of(ANN, NOW_NS)),
        ):
            await broker.say(topic, payload)
        await trio.sleep(10)
        assert (await ids(house), held(house.node)) == (before, known)
        await forgive(house.node, "ann")
        await broker.say(topics.SOCIAL, tease(1))
        await trio.sleep(1)
        assert len(await ids(house)) == len(before) + 1


@in_town
async def test_a_howdy_of_a_banned_name_teaches_no_places(town: Town) -> None:
    there = Neighbour("cat", CAT.public_key_base64, "100.64.0.66", "")
    about = About(ANN.public_key_base64, ANN.id, THERE, "", "short")
    howdy = encode_howdy(ANN, Howdy("ann", "me", 1, 0, (there,), about))
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await ban(house.node, "ann")
        await broker.say(topics.HOWDY, howdy)
        await trio.sleep(1)
        assert house.mesh.peers.all() == []
        await forgive(house.node, "ann")
        await broker.say(topics.HOWDY, howdy)
        await trio.sleep(1)
        assert [one.name for one in house.mesh.peers.all()] == ["ann", "cat"]


@in_town
async def test_what_others_hand_on_of_a_banned_name_is_judged_by_itself(town: Town) -> None:
    async with town.house(HERE, "me") as house:
        await ban(house.node, "ann")
        report = await take(house.node, [hey_there(ANN), tease(1)], PEER)
        assert (report.imported, report.rejected.total()) == (2, 0)


@in_town
async def test_a_banned_name_is_told_nothing_on_the_bus(town: Town) -> None:
    async with on_broker(town) as broker, living(town, HERE, "me") as house:
        await believe(house.node, ANN, BOB)
        await take(house.node, [tease(1)])
        await ban(house.node, "bob")
        answers = topics.ledger_response("bob")
        await broker.say(topics.ledger_request("me"), encode_request("bob", ["ann"]))
        await trio.sleep(1)
        assert broker.of(answers) == []
        await forgive(house.node, "bob")
        await broker.say(topics.ledger_request("me"), encode_request("bob", ["ann"]))
        await trio.sleep(1)
        assert len(broker.of(answers)) == 1
