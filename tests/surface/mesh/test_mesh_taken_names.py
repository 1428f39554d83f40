"""Names that somebody takes who comes first: whose key a name gets that nobody had vouched for, and
what becomes of what a key that counts no more had signed.

`cat` is of ill will, and configured; `ann` is the node whose name it takes, by a hey-there that it
makes up, before this node has met the true one.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from postbox.config import LogConfig
from postbox.core import Batch
from postbox.event import Standing
from postbox.logs import configure
from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.calling.pull import pull
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import MeshRules
from postbox.mesh.serving.replies import NotAllowed
from postbox.mesh.wire import NARA_SYNC_PATH, PING_PATH
from postbox.net.asgi import Reply, text
from postbox.node import Node
from postbox.rules import Payer
from postbox.trust.keys import Identity, identity_of
from support.mesh import (
    ANN,
    BOB,
    CAT,
    NOW_NS,
    believe,
    hey_there,
    impostor,
    node_at,
    stored_standing,
    take,
    tease,
)
from support.simulate import FixedClock
from support.strangers import greet, held, hello_of, ping_of, postbox_of, sources, sync_of
from support.town import Canned, House, Town, in_town

HERE, CATS, ANNS = "100.64.0.1", "100.64.0.2", "100.64.0.3"
FALSE_ANN = impostor("ann")
HELLO, WORDS = hey_there(FALSE_ANN, 9), tease(8, FALSE_ANN, signer=FALSE_ANN)
PEER = Payer("peer", "cat")


@asynccontextmanager
async def taken(town: Town) -> AsyncIterator[tuple[House, Canned]]:
    """The node has pulled from cat: it takes the false ann for ann, and her words for proved."""
    cat = Canned(postbox_of(CAT, HELLO, WORDS))
    async with (
        town.house(HERE, "node", admit="open") as house,
        town.serving(CATS, cat) as url,
    ):
        await pull(house.mesh.peer(url), house.node.intake, "page", lambda _: None)
        assert sources(house.node) == {"node": "own", "cat": "configured", "ann": "answer"}
        assert await standings_of(house.node, HELLO, WORDS) == [Standing.ATTESTED] * 2
        yield house, cat


async def standings_of(node: Node, *bodies: bytes) -> list[int]:
    """Of those that are in the log; and the ledger holds no others of these."""
    found = [one for body in bodies for one in await stored_standing(node, body)]
    held_here = [bytes.fromhex(_id(body)) in node.ledger.index for body in bodies]
    assert sum(held_here) == len(found)
    return [standing for _, standing in found]


def _id(body: bytes) -> str:
    return body.split(b'"id":"', 1)[1][:32].decode()


async def require_true_ann(node: Node, source: str, key: bytes = ANN.public_key) -> None:
    """And nothing that the false one signed."""
    await node.settle()
    assert node.directory.keys.keys_of("ann") == [key]
    known = node.directory.get("ann")
    assert known is not None
    assert (known.source, known.old, known.dropped) == (source, (), 1)
    assert await standings_of(node, HELLO, WORDS) == []


@in_town
async def test_a_node_at_a_configured_url_gets_its_name_back_from_who_made_up_its_hey_there(
    town: Town,
) -> None:
    async with taken(town) as (house, _), town.house(ANNS, "ann", admit="open") as ann:
        spoken = tease(5, ann.node.identity, signer=ann.node.identity)
        await take(ann.node, [spoken])
        await pull(house.mesh.peer(ann.url), house.node.intake, "page", lambda _: None)
        await require_true_ann(house.node, "configured", ann.node.identity.public_key)
        assert await standings_of(house.node, spoken) == [Standing.ATTESTED]


def signing(who: Identity) -> dict[str, Reply | Callable[[], Reply]]:
    return {PING_PATH: ping_of(who), NARA_SYNC_PATH: lambda: sync_of(who)}


@in_town
async def test_a_nara_at_a_configured_url_gets_its_name_back_by_an_answer_that_it_signs(
    town: Town,
) -> None:
    async with taken(town) as (house, _), town.serving(ANNS, Canned(signing(ANN))) as url:
        await house.mesh.peer(url).meet()
        await require_true_ann(house.node, "configured")


@pytest.mark.parametrize("answer", ["nothing", "another's signature", "the false one's"])
@in_town
async def test_a_ping_alone_replaces_no_key(town: Town, answer: str) -> None:
    """Anybody can tell a name and a key."""
    answers: dict[str, Reply | Callable[[], Reply]] = {
        "nothing": text(401, "Authentication failed: unknown sender: node"),
        "another's signature": lambda: sync_of(BOB),
        "the false one's": lambda: sync_of(FALSE_ANN),
    }
    nara = Canned({PING_PATH: ping_of(ANN), NARA_SYNC_PATH: answers[answer]})
    async with taken(town) as (house, _), town.serving(ANNS, nara) as url:
        before = held(house.node)
        remedy = f"trust add ann {ANN.public_key_base64}"
        with pytest.raises(MeetingFault, match=rf"has another key already; .* {re.escape(remedy)}"):
            await house.mesh.peer(url).meet()
        assert held(house.node) == before


@in_town
async def test_the_operator_is_told_at_once_of_another_key_where_he_stands_behind_one(
    town: Town,
) -> None:
    async with taken(town) as (house, _), town.serving(ANNS, Canned(postbox_of(ANN))) as url:
        assert (await house.mesh.introductions.check(url)).name == "ann", "the false one gives way"
        await believe(house.node, FALSE_ANN)
        with pytest.raises(NotAllowed, match="ann has another key already"):
            await house.mesh.introductions.check(url)


@in_town
async def test_the_url_of_one_peer_takes_no_other_name(town: Town) -> None:
    """Or a configured peer of ill will could take one after the other."""
    bob = [hey_there(BOB, 9)]
    async with taken(town) as (house, cat), town.serving(ANNS, Canned(postbox_of(ANN))) as ann:
        await take(house.node, bob, PEER)
        false_bob = impostor("bob")
        cat.answers = postbox_of(false_bob)
        before = held(house.node)
        with pytest.raises(MeetingFault, match="bob has another key already"):
            await house.mesh.peer(f"http://{CATS}:7433").meet()
        assert held(house.node) == before
        await house.mesh.peer(ann).meet()
        await require_true_ann(house.node, "configured")


@in_town
async def test_nor_does_the_url_of_a_peer_that_the_operator_had_vouched_for(town: Town) -> None:
    async with town.house(HERE, "node") as house:
        await believe(house.node, CAT)
        await take(house.node, [HELLO], PEER)
        cat = Canned(postbox_of(CAT))
        async with town.serving(CATS, cat) as url:
            await pull(house.mesh.peer(url), house.node.intake, "recent", lambda _: None)
            cat.answers = postbox_of(ANN)
            with pytest.raises(MeetingFault, match="ann has another key already"):
                await house.mesh.peer(url).meet()
        assert house.node.directory.key_of("ann") == FALSE_ANN.public_key


@pytest.mark.parametrize("how", ["configured", "operator"])
@in_town
async def test_a_key_that_was_vouched_for_is_replaced_at_no_url(town: Town, how: str) -> None:
    later = identity_of("ann", b"later".ljust(32, b"."))
    ann = Canned(postbox_of(ANN))
    async with town.house(HERE, "node") as house, town.serving(ANNS, ann) as url:
        if how == "operator":
            await believe(house.node, ANN)
        await house.mesh.peer(url).meet()
        assert sources(house.node)["ann"] == how
        ann.answers = postbox_of(later)
        before = held(house.node)
        with pytest.raises(MeetingFault, match="ann has another key already"):
            await house.mesh.peer(url).meet()
        assert held(house.node) == before


@in_town
async def test_an_introduction_takes_no_name_and_keeps_none_from_a_configured_url(
    town: Town,
) -> None:
    """It proves a key, and not a right to the name."""
    async with (
        taken(town) as (house, _),
        town.caller(ANNS) as http,
        town.serving(ANNS, Canned(postbox_of(BOB))) as bob,
    ):
        before = held(house.node)
        assert (await greet(http, house.url, hello_of(ANN))).status == 403
        assert held(house.node) == before
        false_bob = impostor("bob")
        assert (await greet(http, house.url, hello_of(false_bob))).status == 200
        assert sources(house.node)["bob"] == "introduction"
        await house.mesh.peer(bob).meet()
        assert house.node.directory.keys.keys_of("bob") == [BOB.public_key]


@in_town
async def test_a_name_known_by_an_answer_is_vouched_for_once_it_is_met_at_its_url(
    town: Town,
) -> None:
    """The key was the true one all the time: nothing is looked at again."""
    async with town.house(HERE, "node") as house:
        await take(house.node, [hey_there(ANN, 9), tease(8)], PEER)
        assert sources(house.node)["ann"] == "answer"
        async with town.serving(ANNS, Canned(postbox_of(ANN))) as url:
            await house.mesh.peer(url).meet()
            assert sources(house.node)["ann"] == "answer", "a ping proves nothing"
            await pull(house.mesh.peer(url), house.node.intake, "recent", lambda _: None)
        known = house.node.directory.get("ann")
        assert known is not None
        assert (known.source, known.dropped) == ("configured", 0)
        assert house.node.directory.room_for(known.source) > 1_000


@in_town
async def test_the_operator_s_word_replaces_it_as_well(town: Town) -> None:
    async with taken(town) as (house, _):
        await believe(house.node, ANN)
        await require_true_ann(house.node, "operator")


async def test_a_former_key_that_the_operator_had_vouched_for_still_proves_what_it_signed(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await take(node, [HELLO, WORDS], PEER)
        await believe(node, FALSE_ANN)
        await believe(node, ANN)
        assert node.directory.keys.keys_of("ann") == [ANN.public_key, FALSE_ANN.public_key]
        assert await standings_of(node, HELLO, WORDS) == [Standing.ATTESTED] * 2


async def test_what_was_verified_with_the_former_key_and_came_in_later_goes_too(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await take(node, [HELLO], PEER)
        batch = Batch.decode([WORDS], NOW_NS)
        batch.verify(node.directory.keys)
        await believe(node, ANN)
        await node.admission.submit(MeshRules(), drafts_of(batch, PEER))
        assert await standings_of(node, WORDS) in ([Standing.ATTESTED], [])
        await require_true_ann(node, "operator")


async def test_what_a_crash_kept_from_being_looked_at_again_is_looked_at_by_the_next_life(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await take(node, [HELLO, WORDS], PEER)
    database = apsw.Connection(str(tmp_path / "postbox.db"))
    database.execute(
        """update "key" set "key" = ?, source = 'operator', dropped = 1 where name = 'ann'""",
        (ANN.public_key,),
    )
    database.close()
    async with node_at(tmp_path) as node:
        await require_true_ann(node, "operator")


async def test_the_log_says_what_became_of_the_name(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = configure(LogConfig(format="json"), FixedClock(NOW_NS), stream)
    async with node_at(tmp_path) as node:
        await take(node, [HELLO, WORDS], PEER)
        await believe(node, ANN)
    journal.close()
    said = stream.getvalue()
    assert "a name has another key now: nobody had vouched for the former one" in said
    assert "events are refuted by keys, and gone" in said
