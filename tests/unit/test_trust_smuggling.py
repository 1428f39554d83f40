"""Attempts to bring in a key, or a voter's id, that nobody who may has vouched for.

The node of these tests is `me`; it knows `al`, who has an id and has changed its key once, and
`bo`, who has no id; `wa` waits for the operator; nobody knows `ne`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
import pytest

from postbox.rules import Payer
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import (
    OPERATOR,
    KeyDraft,
    configured_draft,
    hey_there_draft,
    introduction_draft,
    operator_draft,
    own_draft,
    ping_draft,
    proof_draft,
    replacement_message,
)
from postbox.trust.tables import LIMITS, TALLY, Group, Source
from postbox.trust.waiting_rules import AnyDraft, admit_draft, refuse_draft, waiting_draft
from support.key_ring import KeyRing

PEER, HOST, DEVICE = Payer("peer", "mallory"), Payer("host", "a.example:1"), Payer("device", "d")

ME, ALICE, BOB, WANDA, NEWCOMER, MALLORY = (
    identity_of(name, name.encode() * 16) for name in ("me", "al", "bo", "wa", "ne", "ma")
)
OLD_ALICE = identity_of("al", b"old alice".ljust(32, b"."))
FOREIGN = MALLORY.public_key

_numbers = count(1)


def new_id() -> bytes:
    return next(_numbers).to_bytes(16, "big")


def introduce(name: str, key: bytes, voter_id: str | None = None, payer: Payer = PEER) -> KeyDraft:
    return introduction_draft(new_id(), name, key, voter_id, payer)


def let_wait(name: str, key: bytes, voter_id: str | None = None, payer: Payer = PEER) -> AnyDraft:
    return waiting_draft(new_id(), name, key, voter_id, "198.51.100.7", payer)


def ping(name: str, key: bytes, voter_id: str | None = None, payer: Payer = PEER) -> KeyDraft:
    return msgspec.structs.replace(ping_draft(new_id(), name, key, payer), voter_id=voter_id)


def hey_there(name: str, key: bytes, voter_id: str | None = None, payer: Payer = PEER) -> KeyDraft:
    return msgspec.structs.replace(hey_there_draft(name, key, payer), voter_id=voter_id)


def imported(name: str, key: bytes, voter_id: str | None = None, _: Payer = PEER) -> KeyDraft:
    return hey_there(name, key, voter_id, OPERATOR)


def add(who: Identity, voter_id: str | None = None) -> KeyDraft:
    return operator_draft(new_id(), who.name, who.public_key, voter_id)


def proof(old: Identity, new: Identity) -> KeyDraft:
    message = replacement_message(old.name, old.public_key, new.public_key)
    return proof_draft(old.name, old.public_key, new.public_key, old.sign(message), PEER)


@pytest.fixture
def ring() -> KeyRing:
    ring = KeyRing()
    for draft in (
        own_draft(new_id(), "me", ME.public_key, ME.id),
        add(OLD_ALICE),
        add(ALICE, ALICE.id),
        add(BOB),
        let_wait("wa", WANDA.public_key, WANDA.id),
    ):
        assert ring.say(draft) == "changed"
    return ring


# -- what is claimed, by every way that a claim can come ----------------------------------------

ROUTES: dict[str, Callable[..., KeyDraft | AnyDraft]] = {
    "an introduction": introduce,
    "an introduction that waits": let_wait,
    "an answer to ping": ping,
    "a hey-there in a peer's answer": hey_there,
    "a hey-there in an import": imported,
}

CLAIMS: dict[str, tuple[str, bytes, str | None, str, dict[str, str]]] = {
    # who claims what: name, key, id, the answer, and where a route answers otherwise
    "a known name has another key": ("al", FOREIGN, None, "other_key_known", {}),
    "a known name has the key it gave up": (
        "al", OLD_ALICE.public_key, None, "other_key_known", {},
    ),
    "a known name has another key, and its own id": (
        "al", FOREIGN, ALICE.id, "other_key_known",
        dict.fromkeys(list(ROUTES)[2:], "id_not_allowed"),
    ),
    "this node's own name has another key": (
        "me", FOREIGN, None, "own_name", dict.fromkeys(list(ROUTES)[3:], "other_key_known"),
    ),
    "a known name has another key, and the id of another": (
        "bo", FOREIGN, ALICE.id, "other_key_known",
        dict.fromkeys(list(ROUTES)[2:], "id_not_allowed"),
    ),
    "a known name has the id of another": (
        "bo", BOB.public_key, ALICE.id, "nothing",
        dict.fromkeys(list(ROUTES)[2:], "id_not_allowed"),
    ),
    "a known name without an id has one": (
        "bo", BOB.public_key, BOB.id, "nothing",
        dict.fromkeys(list(ROUTES)[2:], "id_not_allowed"),
    ),
    "a known name has another id than it has": (
        "al", ALICE.public_key, "another", "nothing",
        dict.fromkeys(list(ROUTES)[2:], "id_not_allowed"),
    ),
    "a key is 32 zero bytes": ("ne", bytes(32), None, "no_draft", {}),
    "a key is of small order": ("ne", b"\x01" + bytes(31), None, "no_draft", {}),
    "a key is a byte short": ("ne", FOREIGN[:31], None, "no_draft", {}),
    "a key is a byte long": ("ne", FOREIGN + b"\0", None, "no_draft", {}),
    "a key is empty": ("ne", b"", None, "no_draft", {}),
    "a name is empty": ("", FOREIGN, None, "no_draft", {}),
    "a name holds a colon": ("ne:al", FOREIGN, None, "no_draft", {}),
    "a name ends in a space, to look like a known one": ("al ", FOREIGN, None, "no_draft", {}),
    "a name holds a line break": ("al\n", FOREIGN, None, "no_draft", {}),
    "a name holds a zero": ("al\0", FOREIGN, None, "no_draft", {}),
    "a name holds half a character": ("al\ud800", FOREIGN, None, "no_draft", {}),
    "a name has 65 letters": ("n" * 65, FOREIGN, None, "no_draft", {}),
    "an id is empty": ("ne", FOREIGN, "", "no_draft", {}),
    "an id holds a colon": ("ne", FOREIGN, "a:b", "no_draft", {}),
    "an id has 65 letters": ("ne", FOREIGN, "i" * 65, "no_draft", {}),
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_key_ring_is_the_same_after(ring: KeyRing, claim: str, route: str) -> None:
    name, key, voter_id, answer, otherwise = CLAIMS[claim]
    before = ring.held()
    said = ring.attempt(lambda: ROUTES[route](name, key, voter_id))
    assert said == otherwise.get(route, answer)
    assert ring.held() == before


@pytest.mark.parametrize("voter_id", [ALICE.id, ME.id, NEWCOMER.id], ids=["al's", "ours", "its"])
@pytest.mark.parametrize("route", list(ROUTES)[2:])
def test_no_id_comes_in_beside_a_key_that_did_not_introduce_itself(
    ring: KeyRing, route: str, voter_id: str
) -> None:
    before = ring.held()
    assert ring.say(ROUTES[route]("ne", NEWCOMER.public_key, voter_id)) == "id_not_allowed"
    assert ring.held() == before


@pytest.mark.parametrize("payer", [HOST, DEVICE], ids=["host", "device"])
@pytest.mark.parametrize("route", [route for route in ROUTES if "import" not in route])
def test_only_a_mesh_node_or_the_operator_brings_a_claim(
    ring: KeyRing, route: str, payer: Payer
) -> None:
    before = ring.held()
    draft = ROUTES[route]("ne", NEWCOMER.public_key, None, payer)
    assert ring.say(draft) == "not_admitted"
    assert ring.held() == before


AS_OPERATOR: dict[str, KeyDraft | AnyDraft] = {
    "adds a name": operator_draft(new_id(), "ne", FOREIGN, None),
    "replaces a key": operator_draft(new_id(), "al", FOREIGN, None),
    "gives an id": operator_draft(new_id(), "bo", BOB.public_key, "b"),
    "says who the node is": own_draft(new_id(), "me", FOREIGN, "m"),
    "says what was admitted": KeyDraft(new_id(), OPERATOR, Source.ADMITTED, "wa", FOREIGN),
    "speaks for a URL": KeyDraft(
        new_id(), OPERATOR, Source.CONFIGURED, "ne", FOREIGN, url="https://box.example"
    ),
    "admits who waits": admit_draft(new_id(), "wa"),
    "refuses who waits": refuse_draft(new_id(), "wa"),
}


@pytest.mark.parametrize("payer", [PEER, HOST, DEVICE], ids=["peer", "host", "device"])
@pytest.mark.parametrize("deed", AS_OPERATOR)
def test_nobody_speaks_for_the_operator(ring: KeyRing, deed: str, payer: Payer) -> None:
    before = ring.held()
    draft = msgspec.structs.replace(AS_OPERATOR[deed], payer=payer)
    assert ring.say(draft) == "not_the_operator"
    assert ring.held() == before


# -- stories ------------------------------------------------------------------------------------


def test_an_introduction_played_again_after_the_operator_replaced_the_key_is_refused(
    ring: KeyRing,
) -> None:
    for name, who in (("ne", introduce), ("ni", ping)):
        seen = identity_of(name, b"seen".ljust(32, b"."))
        replaced = identity_of(name, b"replaced".ljust(32, b"."))
        draft = who(name, seen.public_key)
        assert ring.say(draft) == "changed"
        assert ring.say(add(replaced)) == "changed"
        before = ring.held()
        assert ring.say(draft) == "duplicate"
        assert ring.say(who(name, seen.public_key)) == "other_key_known"
        assert ring.held() == before
        assert ring.directory.key_of(name) == replaced.public_key


def test_a_claimed_id_stays_a_claim_when_a_url_vouches_for_its_key(ring: KeyRing) -> None:
    at = "https://box.example"
    assert ring.say(introduce("ne", FOREIGN, "n")) == "changed"
    told = configured_draft(new_id(), "ne", NEWCOMER.public_key, "i", at)
    assert ring.say(told) == "changed"
    later = identity_of("ne", b"later".ljust(32, b"."))
    assert ring.say(proof(NEWCOMER, later)) == "changed"
    known = ring.directory.get("ne")
    assert known is not None
    assert (known.source, known.id, known.voter_id) == (Source.CONFIGURED, "i", None)
    assert (known.keys, known.dropped) == ((later.public_key, NEWCOMER.public_key), 1)
    assert ring.directory.keys.name_of("i") is None
    assert ring.say(add(later, "i")) == "changed"
    assert ring.directory.keys.name_of("i") == "ne"


def test_a_url_that_vouches_for_an_introduction_leaves_it_its_claimed_id(ring: KeyRing) -> None:
    assert ring.say(introduce("ne", FOREIGN, "n")) == "changed"
    at = "https://box.example"
    assert ring.say(configured_draft(new_id(), "ne", FOREIGN, None, at)) == "changed"
    known = ring.directory.get("ne")
    assert known is not None
    assert (known.source, known.id, known.voter_id) == (Source.CONFIGURED, "n", None)


def test_a_url_frees_the_place_of_a_stranger_and_one_without_a_name_takes_none(
    ring: KeyRing,
) -> None:
    assert ring.say(hey_there("ne", NEWCOMER.public_key)) == "changed"
    assert ring.rows.rows[TALLY.name, ("told",)] == ("told", 1)
    nowhere = configured_draft(new_id(), "ne", FOREIGN, None, "")
    assert ring.say(nowhere) == "other_key_known"
    at = configured_draft(new_id(), "ne", NEWCOMER.public_key, None, "https://box.example")
    assert ring.say(at) == "changed"
    assert ring.rows.rows[TALLY.name, ("told",)] == ("told", 0)


def test_a_proof_is_not_played_again_nor_after_an_introduction(ring: KeyRing) -> None:
    later = identity_of("al", b"later".ljust(32, b"."))
    there = proof(ALICE, later)
    assert ring.say(there) == "changed"
    assert ring.say(add(ALICE)) == "changed"
    before = ring.held()
    assert ring.say(there) == "duplicate"
    assert ring.say(msgspec.structs.replace(there, id=new_id())) == "retired_key"
    assert ring.say(introduce("al", later.public_key)) == "other_key_known"
    assert ring.held() == before


def test_whoever_waits_first_is_whom_the_operator_sees_and_admits(ring: KeyRing) -> None:
    before = ring.held()
    assert ring.say(let_wait("wa", FOREIGN)) == "other_key_waiting"
    assert ring.say(let_wait("wa", FOREIGN, WANDA.id)) == "other_key_waiting"
    assert ring.say(let_wait("wa", WANDA.public_key, "another")) == "nothing"
    assert ring.held() == before
    assert ring.say(admit_draft(new_id(), "wa")) == "changed"
    assert ring.directory.key_of("wa") == WANDA.public_key
    assert ring.directory.keys.name_of(WANDA.id) == "wa"


def test_nothing_is_admitted_that_does_not_wait(ring: KeyRing) -> None:
    before = ring.held()
    for name in ("ne", "al", "me"):
        assert ring.say(admit_draft(new_id(), name)) == "nothing_waits"
        assert ring.say(refuse_draft(new_id(), name)) == "nothing_waits"
    assert ring.held() == before


def test_an_id_that_the_operator_gave_to_another_meanwhile_is_not_admitted(ring: KeyRing) -> None:
    assert ring.say(add(BOB, WANDA.id)) == "changed"
    before = ring.held()
    assert ring.say(admit_draft(new_id(), "wa")) == "id_taken"
    assert ring.held() == before


@pytest.mark.parametrize("voter_id", [ALICE.id, ME.id], ids=["al's", "ours"])
def test_who_introduces_itself_with_the_id_of_another_comes_in_or_waits_without_it(
    ring: KeyRing, voter_id: str
) -> None:
    """Or a squatter of an id could keep the true one out, or the true one be taken for it."""
    owner = ring.directory.keys.name_of(voter_id)
    assert ring.say(introduce("ne", NEWCOMER.public_key, voter_id)) == "changed"
    assert ring.say(let_wait("ma", FOREIGN, voter_id)) == "changed"
    known, waiting = ring.directory.get("ne"), ring.waiting.get("ma")
    assert known is not None
    assert waiting is not None
    assert known.id is waiting.id is None
    assert ring.say(admit_draft(new_id(), "ma")) == "changed"
    assert ring.directory.keys.name_of(voter_id) == owner


def test_an_id_in_an_introduction_counts_for_nothing_until_the_operator_gives_it(
    ring: KeyRing,
) -> None:
    """And until then it keeps nobody else from it, however many claim it."""
    ids = ring.directory.keys
    for name, key in (("ma", FOREIGN), ("ne", NEWCOMER.public_key)):
        assert ring.say(introduce(name, key, NEWCOMER.id)) == "changed"
        known = ring.directory.get(name)
        assert known is not None
        assert (known.id, known.voter_id) == (NEWCOMER.id, None)
    assert ring.say(let_wait("ni", BOB.public_key, NEWCOMER.id)) == "changed"
    assert ids.name_of(NEWCOMER.id) is None
    assert ring.say(add(NEWCOMER, NEWCOMER.id)) == "changed"
    assert ids.name_of(NEWCOMER.id) == "ne"
    given = ring.held()
    assert ring.say(introduce("ne", NEWCOMER.public_key, NEWCOMER.id)) == "nothing"
    assert ring.say(introduce("ma", FOREIGN, NEWCOMER.id)) == "nothing"
    assert ring.say(operator_draft(new_id(), "ma", FOREIGN, NEWCOMER.id)) == "id_taken"
    assert ring.say(admit_draft(new_id(), "ni")) == "id_taken"
    assert ring.held() == given


def test_a_claimed_id_is_not_confirmed_by_the_way(ring: KeyRing) -> None:
    """Neither by the operator's word for the key alone, nor by a proof with the key."""
    later = identity_of("ma", b"later".ljust(32, b"."))
    assert ring.say(introduce("ma", FOREIGN, NEWCOMER.id)) == "changed"
    assert ring.say(proof(MALLORY, later)) == "changed"
    assert ring.directory.keys.name_of(NEWCOMER.id) is None
    assert ring.say(imported("ma", later.public_key)) == "nothing"
    assert ring.say(add(later)) == "changed"
    known = ring.directory.get("ma")
    assert known is not None
    assert (known.id, known.source) == (None, Source.OPERATOR)
    assert ring.directory.keys.name_of(NEWCOMER.id) is None
    assert ring.say(add(NEWCOMER, NEWCOMER.id)) == "changed"


def test_the_operator_replaces_the_key_of_an_introduced_name_and_its_claim_is_gone(
    ring: KeyRing,
) -> None:
    replaced = identity_of("ma", b"replaced".ljust(32, b"."))
    assert ring.say(introduce("ma", FOREIGN, BOB.id)) == "changed"
    assert ring.say(add(replaced)) == "changed"
    assert ring.directory.keys.name_of(BOB.id) is None
    assert ring.say(add(BOB, BOB.id)) == "changed"
    assert ring.directory.keys.name_of(BOB.id) == "bo"


def test_a_name_that_only_looks_like_a_known_one_is_another(ring: KeyRing) -> None:
    alike = "\u0430l"  # the first letter is Cyrillic
    assert ring.say(introduce(alike, FOREIGN)) == "changed"
    assert ring.directory.key_of("al") == ALICE.public_key
    assert ring.directory.key_of(alike) == FOREIGN


def minted(number: int) -> Identity:
    return identity_of(f"minted{number}", number.to_bytes(32, "big"))


@pytest.mark.parametrize(
    ("routes", "group", "code"),
    [
        ((introduce, ping), Group.INTRODUCED, "too_many_names"),
        ((hey_there,), Group.TOLD, "too_many_names"),
        ((let_wait,), Group.WAITING, "too_many_waiting"),
    ],
    ids=["introductions and pings", "peers' answers", "waiting"],
)
def test_so_many_names_come_from_strangers_and_no_more(
    routes: tuple[Callable[..., KeyDraft | AnyDraft], ...], group: Group, code: str
) -> None:
    ring = KeyRing()
    for number in range(LIMITS[group]):
        one = minted(number)
        assert ring.say(routes[number % len(routes)](one.name, one.public_key)) == "changed"
    before = ring.held()
    last = minted(LIMITS[group])
    for route in routes:
        assert ring.say(route(last.name, last.public_key)) == code
        first = minted(0)
        assert ring.say(route(first.name, first.public_key)) in ("nothing", "duplicate")
    assert ring.held() == before
    assert ring.say(add(last)) == "changed"


def test_the_places_for_introductions_are_not_those_for_peers_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for group in Group:
        monkeypatch.setitem(LIMITS, group, 1)
    ring = KeyRing()
    for number, route in enumerate((introduce, hey_there, let_wait)):
        assert ring.say(route(minted(number).name, minted(number).public_key)) == "changed"
    assert ring.say(imported("ne", NEWCOMER.public_key)) == "changed"
    room = {source: ring.directory.room_for(source) for source in Source}
    assert {source for source in Source if room[source] == 0} == {
        Source.ANSWER,
        Source.INTRODUCTION,
        Source.PING,
    }
    assert not ring.waiting.has_room_for("another")
    assert ring.waiting.has_room_for("minted2")


def test_nobody_makes_room_for_more_names_by_changing_its_own_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIMITS, Group.INTRODUCED, 1)
    ring = KeyRing()
    later = identity_of("ma", b"later".ljust(32, b"."))
    assert ring.say(introduce("ma", FOREIGN)) == "changed"
    assert ring.say(proof(MALLORY, later)) == "changed"
    assert ring.directory.key_of("ma") == later.public_key
    assert ring.say(introduce("ne", NEWCOMER.public_key)) == "too_many_names"
    assert ring.directory.room_for(Source.PING) == 0
    assert ring.say(add(later)) == "changed", "now the operator vouches for it"
    assert ring.directory.room_for(Source.PING) == 1
    assert ring.rows.rows[TALLY.name, ("introduced",)] == ("introduced", 0)
    assert ring.say(introduce("ne", NEWCOMER.public_key)) == "changed"
