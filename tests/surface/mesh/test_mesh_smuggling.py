"""Attempts to bring in a key over the wire, past who may: whatever is tried, the key ring and who
waits are the same afterwards. `tests/unit/test_trust_smuggling.py` has what admission refuses.

The node knows `ann`, by its operator's word; `wa` waits. `cat` is who it meets, and `mallory` who
wants to be known, or to be taken for another.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from postbox.errors import Fault, WireError
from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.calling.pull import Mode, pull
from postbox.mesh.wire import HELLO_PATH, MODES, PING_PATH, SYNC_PATH
from postbox.net.asgi import JSON, Reply
from postbox.rules import Payer
from postbox.trust.authoring import HeyThere, make_event
from postbox.trust.hello import HELLO_BYTES
from postbox.trust.keys import Identity, identity_of
from postbox.trust.signatures import response_headers
from postbox.trust.waiting_rules import WaitingRules, waiting_draft
from support.mesh import ANN, CAT, MALLORY, believe, chau_of, hey_there, impostor, tease
from support.strangers import (
    ABOUT,
    ask,
    greet,
    held,
    hello_of,
    now_ns,
    ping_of,
    postbox_of,
    sources,
    sync_of,
)
from support.town import Answers, Canned, House, Town, in_town

HERE, THERE, ELSEWHERE = "100.64.0.1", "100.64.0.2", "100.64.0.9"
WANDA = identity_of("wa", b"wanda".ljust(32, b"."))
FALSE_ANN, FALSE_CAT, FALSE_NODE = map(impostor, ("ann", "cat", "node"))
WEAK = base64.b64encode(bytes(32)).decode()


@asynccontextmanager
async def guarded(town: Town, **mesh: Any) -> AsyncIterator[House]:
    async with town.house(HERE, "node", **mesh) as house:
        node = house.node
        await believe(node, ANN)
        waits = waiting_draft(
            node.world.new_id(), "wa", WANDA.public_key, WANDA.id, THERE, Payer("peer", THERE)
        )
        await node.admission.submit(WaitingRules(), [waits])
        yield house


def presented(who: Identity, by: Identity | None, **changes: str) -> bytes:
    """A hey-there of `who`, signed by `by`."""
    fields = {"from_": who.name, "public_key": who.public_key_base64, "mesh_ip": "", "id": who.id}
    return make_event(HeyThere(**(fields | changes)), now_ns(), by).body


def with_id_of(who: Identity, other: Identity) -> bytes:
    """Its own hey-there, and the other's id with that one's signature."""
    mine, theirs = json.loads(hello_of(who)), json.loads(hello_of(other))
    mine["hey_there"]["ID"] = theirs["hey_there"]["ID"]
    mine["hey_there"]["Signature"] = theirs["hey_there"]["Signature"]
    return json.dumps(mine).encode()


# -- brought to us ---------------------------------------------------------------------------------

BROUGHT: dict[str, tuple[Callable[[], bytes], int]] = {
    "nothing": (lambda: b"", 400),
    "an array": (lambda: b"[" + hello_of(MALLORY) + b"]", 400),
    "an event of another kind": (lambda: tease(1, MALLORY, "bob", MALLORY), 400),
    "a farewell": (lambda: chau_of(MALLORY, now_ns()), 400),
    "a hey-there that nobody signed": (lambda: presented(MALLORY, None), 400),
    "another's, signed by who brings it": (lambda: presented(CAT, MALLORY), 400),
    "another's name and key, signed in its name": (lambda: presented(CAT, FALSE_CAT), 400),
    "another's name over one's own key and signature": (
        lambda: hello_of(MALLORY).replace(b'"mallory"', b'"cat"'), 400,
    ),
    "a key that anyone can sign with": (
        lambda: presented(MALLORY, MALLORY, public_key=WEAK), 400,
    ),
    "a key of another length": (lambda: presented(MALLORY, MALLORY, public_key="YWJj"), 400),
    "a name with a colon": (lambda: presented(MALLORY, MALLORY, from_="mal:lory"), 400),
    "an id that another signed for": (lambda: with_id_of(MALLORY, CAT), 400),
    "one of half a minute ago": (lambda: hello_of(MALLORY, age_s=31), 400),
    "one of the future": (lambda: hello_of(MALLORY, age_s=-31), 400),
    "one longer than any": (lambda: hello_of(MALLORY) + b" " * HELLO_BYTES, 413),
    "two": (lambda: hello_of(MALLORY) + hello_of(CAT), 400),
    "a known name with another key": (lambda: hello_of(FALSE_ANN), 403),
    "the node's own name with another key": (lambda: hello_of(FALSE_NODE), 403),
}  # fmt: skip


@pytest.mark.parametrize("admit", ["open", "ask"])
@pytest.mark.parametrize("what", BROUGHT)
@in_town
async def test_no_key_comes_in_by_a_hello_that_is(town: Town, what: str, admit: str) -> None:
    body, status = BROUGHT[what]
    async with guarded(town, admit=admit) as house, town.caller(THERE) as http:
        before = held(house.node)
        assert (await greet(http, house.url, body())).status == status
        assert held(house.node) == before


@in_town
async def test_who_waits_keeps_its_key_when_another_comes_under_its_name(town: Town) -> None:
    other = identity_of("wa", b"other".ljust(32, b"."))
    async with guarded(town, admit="ask") as house, town.caller(THERE) as http:
        before = held(house.node)
        assert (await greet(http, house.url, hello_of(other))).status == 403
        assert held(house.node) == before


@pytest.mark.parametrize("address", ["93.184.216.34", "10.0.0.5", "127.0.0.1", "169.254.1.1"])
@in_town
async def test_no_key_comes_in_from_where_nobody_may_call(town: Town, address: str) -> None:
    async with guarded(town, admit="open") as house, town.caller(address) as http:
        before = held(house.node)
        assert (await greet(http, house.url, hello_of(MALLORY))).status == 403
        assert held(house.node) == before


@in_town
async def test_a_hello_that_was_seen_can_be_played_again_and_makes_known_what_is_true(
    town: Town,
) -> None:
    """Whoever brings it: it says whose the key is, and nothing about the address."""
    async with guarded(town, admit="open") as house, town.caller(THERE) as http:
        body = hello_of(CAT)
        async with town.caller(ELSEWHERE) as mallory:
            assert (await greet(mallory, house.url, body)).status == 200
        before = held(house.node)
        assert house.node.directory.key_of("cat") == CAT.public_key
        assert (await greet(http, house.url, body)).status == 200
        assert held(house.node) == before


ALIKE = {
    "in capitals": "ZOË",
    "with its accent apart": "zoe\u0308",
    "in wide letters": "ｚoë",
    "in Cyrillic letters": "zоë",
    "with an invisible letter": "zoë\u200b",
    "behind a byte order mark": "\ufeffzoë",
    "with a soft hyphen": "z\u00adoë",
    "written the other way round": "\u202ezoë",
}


@pytest.mark.parametrize("how", ALIKE)
@in_town
async def test_a_name_that_looks_like_a_known_one_is_another(town: Town, how: str) -> None:
    """Names are compared letter by letter, as they came: nothing folds them into one."""
    zoe = identity_of("zoë", b"zoe".ljust(32, b"."))
    alike = identity_of(ALIKE[how], b"alike".ljust(32, b"."))
    async with guarded(town, admit="open") as house, town.caller(THERE) as http:
        await believe(house.node, zoe)
        assert (await ask(http, house.url, alike)).status == 401
        assert (await greet(http, house.url, hello_of(alike))).status == 200
        assert house.node.directory.keys.keys_of("zoë") == [zoe.public_key]
        assert house.node.directory.keys.keys_of(alike.name) == [alike.public_key]
        assert (await ask(http, house.url, alike)).status == 200
        as_zoe = identity_of("zoë", b"alike".ljust(32, b"."))
        assert (await ask(http, house.url, as_zoe)).status == 401


# -- where we call ---------------------------------------------------------------------------------


def hello_by(who: Identity, age_s: int = 0) -> Callable[[], Reply]:
    return lambda: Reply(200, hello_of(who, age_s), JSON)


def moved(path: str, status: int = 307) -> Reply:
    return Reply(status, b"", JSON, {"location": f"http://{ELSEWHERE}:7433{path}"})


CAT_HERE = ping_of(CAT, postbox=ABOUT)

MET: dict[str, Answers] = {
    # it is cat, and does not say so when it is greeted
    "greets as another": {PING_PATH: CAT_HERE, HELLO_PATH: hello_by(MALLORY)},
    "greets with another key": {PING_PATH: CAT_HERE, HELLO_PATH: hello_by(FALSE_CAT)},
    "greets as us": {PING_PATH: CAT_HERE, HELLO_PATH: hello_by(FALSE_NODE)},
    "greets with what it heard long ago": {PING_PATH: CAT_HERE, HELLO_PATH: hello_by(CAT, 31)},
    "greets with an event of another kind": {
        PING_PATH: CAT_HERE, HELLO_PATH: Reply(200, tease(1, CAT, "bob", CAT), JSON),
    },
    "greets with what is none": {PING_PATH: CAT_HERE, HELLO_PATH: Reply(200, b"{}", JSON)},
    "greets at length": {PING_PATH: CAT_HERE, HELLO_PATH: Reply(200, b" " * 5_000, JSON)},
    "sends us elsewhere to greet": {PING_PATH: CAT_HERE, HELLO_PATH: moved(HELLO_PATH)},
    "does not let us in": {PING_PATH: CAT_HERE, HELLO_PATH: Reply(403, b"no")},
    "says that it is a postbox and knows no greeting": {PING_PATH: CAT_HERE},
    # it says who it is, and is not
    "has our name": {PING_PATH: ping_of(FALSE_NODE)},
    "is a nara of a known name with another key": {PING_PATH: ping_of(FALSE_ANN)},
    "is a postbox of a known name with another key": {
        **postbox_of(FALSE_ANN),
    },
    "has a weak key": {PING_PATH: ping_of(CAT, public_key=WEAK)},
    "has a key that is none": {PING_PATH: ping_of(CAT, public_key="cat")},
    "has no key": {PING_PATH: ping_of(CAT, public_key="")},
    "has a name that is none": {PING_PATH: ping_of(CAT, **{"from": "c a t"})},
    "answers at length": {PING_PATH: ping_of(CAT, mesh_ip="x" * 20_000)},
    "answers nothing": {PING_PATH: Reply(200, b"", JSON)},
    "answers with an error": {PING_PATH: Reply(500, CAT_HERE.body, JSON)},
    "sends us elsewhere": {PING_PATH: moved(PING_PATH)},
    "sends us elsewhere for good": {PING_PATH: moved(PING_PATH, 308)},
    "is not there": {},
}  # fmt: skip


@pytest.mark.parametrize("who", MET)
@in_town
async def test_nothing_is_learned_of_a_configured_peer_that(town: Town, who: str) -> None:
    elsewhere = Canned(postbox_of(MALLORY))
    async with (
        guarded(town, admit="open") as house,
        town.serving(THERE, Canned(MET[who])) as url,
        town.serving(ELSEWHERE, elsewhere),
    ):
        before = held(house.node)
        with pytest.raises(Fault) as fault:
            await house.mesh.peer(url).meet()
        assert url in str(fault.value)
        assert held(house.node) == before
        assert elsewhere.asked == []


@in_town
async def test_a_node_that_is_told_to_call_itself_says_so(town: Town) -> None:
    async with guarded(town, admit="open") as house:
        before = held(house.node)
        with pytest.raises(MeetingFault, match="is this node itself"):
            await house.mesh.peer(house.url).meet()
        assert held(house.node) == before


@in_town
async def test_nothing_is_learned_by_looking_who_is_there(town: Town) -> None:
    async with (
        guarded(town, admit="open") as house,
        town.serving(THERE, Canned(postbox_of(CAT))) as url,
    ):
        before = held(house.node)
        met = await house.mesh.introductions.look(url)
        assert (met.name, met.kind) == ("cat", "postbox")
        assert held(house.node) == before


# -- in what a peer answers ------------------------------------------------------------------------


def bare(who: Identity, *events: bytes) -> Reply:
    return Reply(200, sync_of(who, *events).body, JSON)


def other_headers(who: Identity, by: Identity, *events: bytes) -> Reply:
    """The content is of `who`, and the headers are signed by another."""
    body = sync_of(who, *events).body
    return Reply(200, body, JSON, response_headers(by, body, now_ns() // 10**6))


SENT = [hey_there(MALLORY), tease(1, MALLORY, "bob", MALLORY)]

UNPROVED: dict[str, Callable[[], Reply]] = {
    "by nobody": lambda: bare(CAT, *SENT),
    "by a stranger": lambda: sync_of(MALLORY, *SENT),
    "by a stranger, in the peer's name inside": lambda: other_headers(CAT, MALLORY, *SENT),
    "by another who is known": lambda: sync_of(ANN, *SENT),
    "by another who is known, in the peer's name inside": lambda: other_headers(CAT, ANN, *SENT),
    "with another key than the peer's": lambda: sync_of(FALSE_CAT, *SENT),
    "outside, and with another key inside": lambda: other_headers(FALSE_CAT, CAT, *SENT),
    "in our own name": lambda: sync_of(FALSE_NODE, *SENT),
}


@asynccontextmanager
async def answered(town: Town, answer: Callable[[], Reply]) -> AsyncIterator[tuple[House, str]]:
    """The node has met cat, who answers so."""
    answers: Mapping[str, Reply | Callable[[], Reply]] = {**postbox_of(CAT), SYNC_PATH: answer}
    async with guarded(town, admit="open") as house, town.serving(THERE, Canned(answers)) as url:
        await house.mesh.peer(url).meet()
        assert sources(house.node)["cat"] == "configured"
        yield house, url


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"legacy"}))
@pytest.mark.parametrize("signed", UNPROVED)
@in_town
async def test_no_hey_there_counts_in_an_answer_that_is_signed(
    town: Town, signed: str, mode: Mode
) -> None:
    async with answered(town, UNPROVED[signed]) as (house, url):
        before = held(house.node)
        with pytest.raises((Fault, WireError)):
            await pull(house.mesh.peer(url), house.node.intake, mode, lambda _: None)
        assert held(house.node) == before
        assert len(house.node.ledger.index) == 0


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"legacy"}))
@in_town
async def test_in_a_peer_s_own_answer_new_names_count_and_known_ones_keep_their_key(
    town: Town, mode: Mode
) -> None:
    """What keeps the tests above from passing for another reason."""
    events = [*SENT, hey_there(FALSE_ANN), hey_there(FALSE_CAT, 1), hey_there(FALSE_NODE, 2)]
    async with answered(town, lambda: sync_of(CAT, *events)) as (house, url):
        before = held(house.node)
        pulled = await pull(house.mesh.peer(url), house.node.intake, mode, lambda _: None)
        await house.node.settle()
        assert (pulled.report.imported, pulled.report.rejected) == (2, {"key_differs": 3})
        known = sources(house.node)
        assert known.pop("mallory") == "answer"
        assert set(known) == {one.name for one in before.known}
        for one in before.known:
            assert house.node.directory.get(one.name) == one


@in_town
async def test_of_two_keys_for_one_name_in_one_answer_the_first_counts(town: Town) -> None:
    one, other = (identity_of("zed", mark.ljust(32, b".")) for mark in (b"one", b"other"))
    events = [hey_there(one, 3), hey_there(other, 2), tease(5, other, "bob", other)]
    async with answered(town, lambda: sync_of(CAT, *events)) as (house, url):
        pulled = await pull(house.mesh.peer(url), house.node.intake, "recent", lambda _: None)
        await house.node.settle()
        assert pulled.report.imported == 1
        assert pulled.report.rejected == {"key_differs": 1, "bad_signature": 1}
        assert house.node.directory.keys.keys_of("zed") == [one.public_key]


@in_town
async def test_the_right_key_for_who_waits_in_a_peer_s_answer_lets_it_in(town: Town) -> None:
    """A hey-there in an authenticated answer makes a name known; that is no news about waiting."""
    async with answered(town, lambda: sync_of(CAT, hey_there(WANDA))) as (house, url):
        await pull(house.mesh.peer(url), house.node.intake, "recent", lambda _: None)
        assert sources(house.node)["wa"] == "answer"
        assert house.node.directory.keys.name_of(WANDA.id) is None
        assert house.node.waiting.all() == []
