"""Zines and direct messages at the door of a node: from naras, from other postboxes, and from those
who mean no good. Byte for byte as a nara has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postbox.mesh.calling.client import Lied, PeerFault
from postbox.mesh.gossip.exchange import ZINES_PER_MINUTE
from postbox.mesh.gossip.zine import (
    LATELY_NS,
    OWN_BYTES,
    OWN_EVENTS,
    OWN_EVENTS_EACH,
    make_zine,
    read_zine,
)
from postbox.mesh.synthetic import identities
from postbox.mesh.wire import DM_PATH, ZINE_PATH
from postbox.net.client import Answer
from postbox.trust.authoring import Social, make_event
from postbox.trust.keys import Identity
from postbox.trust.signatures import sign_digest
from support.answer_digest import answer_digest
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    NOW_NS,
    believe,
    held_ids,
    hey_there,
    id_of_body,
    node_at,
    observation,
    take,
    tease,
)
from support.nara import Nara, nara_in
from support.nara_events import go
from support.town import House, Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"
NOW_S = NOW_NS // 10**9


async def acquainted(house: House, nara: Nara) -> None:
    await believe(house.node, nara.who, ANN, BOB)
    nara.knows(house.node.identity, ANN, BOB)


# -- with a nara ---------------------------------------------------------------------------------


@in_town
async def test_a_nara_and_a_node_exchange_zines_whoever_begins(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await acquainted(box, cat)
        await take(box.node, [tease(20), tease(10_000)])
        cat.add(tease(30), tease(10_001))
        told = await cat.gossip(box.url)
        assert [one["id"] for one in told] == [id_of_body(tease(20)).hex()], "the old one is not"
        assert id_of_body(tease(30)) in held_ids(box.node)
        await take(box.node, [tease(19)])
        cat.add(tease(29))
        report = await box.mesh.zines.exchange(box.mesh.peer(url))
        assert report.imported == 1
        assert id_of_body(tease(29)) in held_ids(box.node)
        assert id_of_body(tease(19)).hex() in cat.events
        assert cat.complaints == []


@in_town
async def test_of_nothing_new_the_zines_are_null(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await acquainted(box, cat)
        assert await cat.gossip(box.url) == []
        report = await box.mesh.zines.exchange(box.mesh.peer(url))
        assert report.total == 0
        assert b'"events":null,"signature"' in cat.asked[0].body
        assert cat.complaints == []


@in_town
async def test_a_nara_sends_and_gets_direct_messages(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await acquainted(box, cat)
        answers = [await cat.dm(box.url, tease(5)) for _ in range(2)]
        assert [one.body for one in answers] == [
            b'{"success":true,"from":"box"}\n',
            b'{"success":false,"from":"box"}\n',
        ]
        assert held_ids(box.node) == {id_of_body(tease(5))}
        messages, peer = box.mesh.direct_messages, box.mesh.peer(url)
        assert await messages.bring(peer, tease(6))
        assert not await messages.bring(peer, tease(6)), "it has it"
        assert cat.complaints == []


# -- what a zine is ------------------------------------------------------------------------------


async def test_a_zine_has_the_newest_that_fit(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        crowd = identities(1, 12)
        await believe(node, *crowd)
        many = range(OWN_EVENTS + 200)
        await take(node, [said(crowd[number % 12], number) for number in many])
        made = make_zine(node.identity, node.ledger.index, NOW_NS)
        zine = read_zine(made.body)
        times = [json.loads(event)["ts"] for event in zine.events]
        assert made.events == len(times) == OWN_EVENTS
        assert times == sorted(times)
        assert times[-1] == NOW_NS, "the newest"


def said(who: Identity, ago_ns: int, reason: str = "") -> bytes:
    social = Social(type="tease", actor=who.name, target="bob", reason=reason)
    return make_event(social, NOW_NS - ago_ns, who).body


async def test_nobody_fills_the_zine_of_others_with_a_flood_or_with_dates_ahead(
    tmp_path: Path,
) -> None:
    """Who comes and who goes is told first."""
    minute_ns = 60 * 10**9
    async with node_at(tmp_path) as node:
        loud, *quiet = crowd = identities(1, 5)
        await believe(node, *crowd)
        flood = [said(loud, number) for number in range(2 * OWN_EVENTS)]
        ahead = [said(one, -minute_ns - number) for one in crowd for number in range(300)]
        hellos = [hey_there(one, 299) for one in crowd]
        others = [said(one, 4 * minute_ns + number) for one in quiet for number in range(9)]
        await take(node, [*flood, *ahead, *hellos, *others])
        zine = read_zine(make_zine(node.identity, node.ledger.index, NOW_NS).body)
        assert set(zine.events) == {*hellos, *others, *flood[:OWN_EVENTS_EACH]}


async def test_a_zine_of_large_events_has_a_bound_in_bytes(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        large = [
            make_event(
                Social(type="tease", actor="ann", target="bob", reason=f"{number:060000}"),
                NOW_NS - number,
                ANN,
            ).body
            for number in range(25)
        ]
        await take(node, large)
        made = make_zine(node.identity, node.ledger.index, NOW_NS)
        assert OWN_BYTES * 0.9 < len(made.body) < OWN_BYTES + 1_000
        assert read_zine(made.body).events[-1] == large[0]


async def test_a_zine_tells_of_five_minutes(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        lately_s = LATELY_NS // 10**9
        await take(node, [tease(lately_s - 1), tease(lately_s), tease(lately_s + 1)])
        zine = read_zine(make_zine(node.identity, node.ledger.index, NOW_NS).body)
        assert zine.events == [tease(lately_s), tease(lately_s - 1)]


# -- from those who mean no good -----------------------------------------------------------------


def zine(
    *events: bytes, sender: str = "cat", at_s: int = NOW_S, ids: list[str] | None = None
) -> bytes:
    """Signed by cat, whatever it says."""
    claimed = [json.loads(event)["id"] for event in events] if ids is None else ids
    signature = sign_digest(CAT, answer_digest(sender, at_s, claimed))
    head = go({"from": sender, "created_at": at_s})[:-1]
    return head + b',"events":[' + b",".join(events) + b'],"signature":' + go(signature) + b"}"


WRONG = {
    "another's name": (zine(tease(1), sender="ann"), 403, b"it is from 'ann'"),
    "a set that is not signed": (zine(tease(1), ids=[]), 403, b"does not fit the events"),
    "an old one": (zine(tease(1), at_s=NOW_S - 301), 400, b"its time is off"),
    "one of the future": (zine(tease(1), at_s=NOW_S + 301), 400, b"its time is off"),
    "an event that is none": (zine(b"5", ids=[]), 403, b"no objects"),
    "too many events": (zine(*[b"{}"] * 5_001, ids=[]), 400, b"this is no zine"),
    "no zine": (b'{"from":"cat"', 400, b"this is no zine"),
    "no time": (b'{"from":"cat","events":null,"signature":""}', 400, b"created_at"),
    "deep": (b'{"from":"cat","x":' + b"[" * 100_000, 400, b"this is no zine"),
    "too large": (b" " * (4 * 2**20 + 1), 413, b"larger"),
}


@pytest.mark.parametrize("name", WRONG)
@in_town
async def test_a_zine_that_is_wrong_brings_nothing(town: Town, name: str) -> None:
    body, status, words = WRONG[name]
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await acquainted(box, cat)
        answer = await cat.post(box.url, ZINE_PATH, body)
        assert (answer.status, words in answer.body) == (status, True), answer.body
        assert held_ids(box.node) == set()


@in_town
async def test_a_bad_event_in_a_zine_costs_its_neighbours_nothing(town: Town) -> None:
    forged = with_signature_of(tease(3), tease(4))
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await acquainted(box, cat)
        answer = await cat.post(box.url, ZINE_PATH, zine(tease(2), forged, observation(4)))
        assert answer.status == 200
        assert held_ids(box.node) == {id_of_body(tease(2)), id_of_body(observation(4))}


@in_town
async def test_zines_of_one_name_come_at_a_rate(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await acquainted(box, cat)
        answers = [await cat.post(box.url, ZINE_PATH, zine()) for _ in range(ZINES_PER_MINUTE + 1)]
        assert [one.status for one in answers] == [200] * ZINES_PER_MINUTE + [429]
        assert "retry-after" in answers[-1].headers


@in_town
async def test_a_stranger_hands_over_nothing(town: Town) -> None:
    async with (
        town.house(HERE, "box", admit="ask") as box,
        nara_in(town, THERE, MALLORY) as (
            mallory,
            _,
        ),
    ):
        for path in (ZINE_PATH, DM_PATH):
            answer = await mallory.post(box.url, path, mallory.zine())
            assert (answer.status, b"unknown sender" in answer.body) == (401, True)
        assert held_ids(box.node) == set()


async def answered(town: Town, body: bytes) -> tuple[Answer, set[bytes]]:
    """What a direct message gets, and what the node holds then."""
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await acquainted(box, cat)
        return await cat.dm(box.url, body), held_ids(box.node)


def with_signature_of(body: bytes, other: bytes) -> bytes:
    one, another = (json.loads(event)["sig"].encode() for event in (body, other))
    return body.replace(one, another)


DIRECT = {
    "unsigned": (observation(1), 400, b"must be signed"),
    "no event": (b"{}", 400, b"no event"),
    "nothing": (b"", 400, b"no event"),
    "a changed one": (tease(1).replace(b"random", b"comebk"), 400, b"id_mismatch"),
    "by a stranger": (tease(1, MALLORY, signer=MALLORY), 403, b"unknown emitter: mallory"),
    "signed wrongly": (with_signature_of(tease(1), tease(2)), 403, b"bad_signature"),
}


@pytest.mark.parametrize("name", DIRECT)
@in_town
async def test_a_direct_message_that_is_wrong_is_refused(town: Town, name: str) -> None:
    body, status, words = DIRECT[name]
    answer, held = await answered(town, body)
    assert (answer.status, words in answer.body) == (status, True), answer.body
    assert held == set()


@in_town
async def test_a_peer_whose_zine_disproves_itself_has_lied(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await acquainted(box, cat)
        for body, fault in (
            (WRONG["another's name"][0], Lied),
            (WRONG["a set that is not signed"][0], Lied),
            (WRONG["an event that is none"][0], Lied),
            (WRONG["an old one"][0], PeerFault),
            (WRONG["no zine"][0], PeerFault),
        ):
            cat.zine = lambda body=body: body  # type: ignore[method-assign,misc]
            with pytest.raises(fault) as told:
                await box.mesh.zines.exchange(box.mesh.peer(url))
            assert isinstance(told.value, Lied) == (fault is Lied)
        assert held_ids(box.node) == set()
