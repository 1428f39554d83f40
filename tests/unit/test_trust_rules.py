"""Who may say which key a name has: drafts against rows, and nothing else."""

import msgspec
import pytest

from postbox.rules import Decision, Payer
from postbox.store.contract import Found, Lane
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import (
    MAX_OLD_KEYS,
    KeyDraft,
    KeyRules,
    hey_there_draft,
    operator_draft,
    own_draft,
    proof_draft,
    replacement_message,
)
from postbox.trust.tables import KEY, KIND_KEY, STREAM, VOTER, KnownKey, Source, known_key, row_of
from support.rows import Rows

RULES = KeyRules()
OPERATOR = Payer("operator", "")
PEER = Payer("peer", "mallory")

ALICE, BOB, MALLORY = (identity_of(name, name[:1].encode() * 32) for name in ("al", "bo", "ma"))
LATER = identity_of("al", b"later".ljust(32, b"."))  # alice with a new key
WEAK = bytes(32)


def draft_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def add(rows: Rows, who: Identity, number: int = 1, with_id: bool = True) -> Decision:
    voter_id = who.id if with_id else None
    draft = operator_draft(draft_id(number), who.name, who.public_key, voter_id)
    return rows.decide(RULES, draft, at_ms=number)


def known(rows: Rows, name: str) -> KnownKey:
    return known_key(rows.rows[KEY.name, (name,)])


def proof_of(old: Identity, new: Identity, payer: Payer = PEER) -> KeyDraft:
    message = replacement_message(old.name, old.public_key, new.public_key)
    return proof_draft(old.name, old.public_key, new.public_key, old.sign(message), payer)


@pytest.fixture
def rows() -> Rows:
    """Alice and Bob are known, with their ids."""
    rows = Rows()
    add(rows, ALICE, 1)
    add(rows, BOB, 2)
    return rows


def test_the_operator_adds_a_name_with_key_and_id(rows: Rows) -> None:
    assert known(rows, "al") == KnownKey("al", ALICE.public_key, ALICE.id, (), Source.OPERATOR, 1)
    assert rows.rows[VOTER.name, (ALICE.id,)] == (ALICE.id, "al")


def test_the_operator_replaces_a_key_and_the_old_one_is_kept(rows: Rows) -> None:
    assert add(rows, LATER, 3, with_id=False).refuse is None
    assert known(rows, "al").keys == (LATER.public_key, ALICE.public_key)
    assert known(rows, "al").id == ALICE.id


def test_the_operator_can_go_back_to_an_old_key(rows: Rows) -> None:
    add(rows, LATER, 3, with_id=False)
    add(rows, ALICE, 4)
    assert known(rows, "al").keys == (ALICE.public_key, LATER.public_key)


def test_the_operator_keeps_no_more_old_keys_than_fit(rows: Rows) -> None:
    for number in range(MAX_OLD_KEYS + 3):
        add(rows, identity_of("al", draft_id(number) * 2), 10 + number, with_id=False)
    assert len(known(rows, "al").old) == MAX_OLD_KEYS
    assert ALICE.public_key not in known(rows, "al").old


def test_an_id_can_be_added_to_a_known_key_later() -> None:
    rows = Rows()
    add(rows, ALICE, 1, with_id=False)
    assert known(rows, "al").id is None
    add(rows, ALICE, 2)
    assert known(rows, "al").id == ALICE.id
    assert known(rows, "al").keys == (ALICE.public_key,)


def test_a_new_id_of_a_name_does_not_set_the_old_one_free(rows: Rows) -> None:
    add(rows, LATER, 3)
    assert known(rows, "al").id == LATER.id
    decision = rows.decide(
        RULES, operator_draft(draft_id(4), "ma", MALLORY.public_key, ALICE.id), at_ms=4
    )
    assert decision.refuse is not None
    assert decision.refuse.code == "id_taken"


def test_the_same_again_is_accepted_and_changes_nothing(rows: Rows) -> None:
    before = dict(rows.rows)
    own = own_draft(draft_id(9), "al", ALICE.public_key, ALICE.id)
    hey = hey_there_draft("al", ALICE.public_key, OPERATOR)
    assert add(rows, ALICE, 7) == Decision()
    assert add(rows, ALICE, 8, with_id=False) == Decision()
    assert rows.decide(RULES, own, at_ms=9) == Decision()
    assert rows.decide(RULES, hey, at_ms=10) == Decision()
    assert rows.rows == before


def test_a_hey_there_in_an_import_admits_a_new_name_without_an_id() -> None:
    rows = Rows()
    rows.decide(RULES, hey_there_draft("al", ALICE.public_key, OPERATOR), at_ms=5)
    assert known(rows, "al") == KnownKey("al", ALICE.public_key, None, (), Source.HEY_THERE, 5)


def test_a_proof_with_the_old_key_replaces_it_whoever_delivers_it(rows: Rows) -> None:
    assert rows.decide(RULES, proof_of(ALICE, LATER), at_ms=6).refuse is None
    alice = known(rows, "al")
    assert alice.keys == (LATER.public_key, ALICE.public_key)
    assert (alice.id, alice.source, alice.at_ms) == (ALICE.id, Source.PROOF, 6)


def test_of_two_proofs_with_one_old_key_the_first_wins(rows: Rows) -> None:
    other = identity_of("al", b"other".ljust(32, b"."))
    assert rows.decide(RULES, proof_of(ALICE, LATER), at_ms=6).refuse is None
    refused = rows.decide(RULES, proof_of(ALICE, other), at_ms=7).refuse
    assert refused is not None
    assert refused.code == "bad_proof"


def _altered(draft: KeyDraft, **changes: object) -> KeyDraft:
    return msgspec.structs.replace(draft, **changes)


_FOREIGN_KEY = MALLORY.public_key
_PROOF = proof_of(ALICE, LATER)

SMUGGLED = {
    "a hey-there of a known name in a peer's answer": (
        hey_there_draft("al", _FOREIGN_KEY, PEER),
        "other_key_known",
    ),
    "a hey-there from another host": (
        hey_there_draft("ne", _FOREIGN_KEY, Payer("host", "elsewhere:2289")),
        "not_admitted",
    ),
    "a device's hey-there": (
        hey_there_draft("ne", _FOREIGN_KEY, Payer("device", "x")),
        "not_admitted",
    ),
    "an imported hey-there of a known name with another key": (
        hey_there_draft("al", _FOREIGN_KEY, OPERATOR),
        "other_key_known",
    ),
    "a hey-there that brings an id": (
        _altered(hey_there_draft("ne", _FOREIGN_KEY, OPERATOR), voter_id="n"),
        "id_not_allowed",
    ),
    "a hey-there of a known key that brings an id": (
        _altered(hey_there_draft("al", ALICE.public_key, OPERATOR), voter_id="n"),
        "id_not_allowed",
    ),
    "a peer in the operator's name": (
        _altered(operator_draft(draft_id(5), "al", _FOREIGN_KEY, None), payer=PEER),
        "not_the_operator",
    ),
    "a peer in the node's own name": (
        _altered(own_draft(draft_id(5), "al", _FOREIGN_KEY, "n"), payer=PEER),
        "not_the_operator",
    ),
    "an id that belongs to another": (
        operator_draft(draft_id(5), "ne", _FOREIGN_KEY, ALICE.id),
        "id_taken",
    ),
    "an id that belongs to another, for a known name": (
        operator_draft(draft_id(5), "bo", BOB.public_key, ALICE.id),
        "id_taken",
    ),
    "a proof for a name that nobody knows": (
        proof_of(MALLORY, identity_of("ma", b"!" * 32)),
        "unknown_name",
    ),
    "a proof without a signature": (_altered(_PROOF, proof=b""), "bad_proof"),
    "a proof with zeros": (_altered(_PROOF, proof=bytes(64)), "bad_proof"),
    "a proof signed with the new key": (
        _altered(
            _PROOF,
            proof=LATER.sign(replacement_message("al", ALICE.public_key, LATER.public_key)),
        ),
        "bad_proof",
    ),
    "a proof for another new key": (_altered(_PROOF, key=_FOREIGN_KEY), "bad_proof"),
    "a proof for another name": (_altered(_PROOF, name="bo"), "bad_proof"),
    "a proof by somebody else": (
        _altered(
            _PROOF,
            key=_FOREIGN_KEY,
            proof=MALLORY.sign(replacement_message("al", ALICE.public_key, _FOREIGN_KEY)),
        ),
        "bad_proof",
    ),
    "a signature over something else": (
        _altered(_PROOF, proof=ALICE.sign(ALICE.public_key + LATER.public_key + b"al")),
        "bad_proof",
    ),
    "a proof that brings an id": (_altered(_PROOF, voter_id="n"), "id_not_allowed"),
}


@pytest.mark.parametrize(("draft", "code"), SMUGGLED.values(), ids=SMUGGLED.keys())
def test_a_key_is_not_smuggled_in_by(rows: Rows, draft: KeyDraft, code: str) -> None:
    before = dict(rows.rows)
    decision = rows.decide(RULES, draft, at_ms=9)
    assert decision.refuse is not None
    assert decision.refuse.code == code
    assert decision.refuse.text
    assert (decision.entries, decision.puts) == ((), ())
    assert rows.rows == before


def test_a_proof_is_not_good_again_after_the_operator_went_back(rows: Rows) -> None:
    proof = proof_of(ALICE, LATER)
    rows.decide(RULES, proof, at_ms=6)
    add(rows, ALICE, 7)
    refused = rows.decide(RULES, proof, at_ms=8).refuse
    assert refused is not None
    assert refused.code == "retired_key"
    assert known(rows, "al").key == ALICE.public_key


def test_a_name_cannot_make_its_row_as_long_as_it_likes(rows: Rows) -> None:
    current = ALICE
    for number in range(MAX_OLD_KEYS):
        following = identity_of("al", draft_id(number) * 2)
        assert rows.decide(RULES, proof_of(current, following), at_ms=9).refuse is None
        current = following
    refused = rows.decide(RULES, proof_of(current, LATER), at_ms=9).refuse
    assert refused is not None
    assert refused.code == "too_many_keys"


@pytest.mark.parametrize(
    ("name", "key", "voter_id", "reason"),
    [
        ("al", WEAK, None, "weak"),
        ("al", b"\x01" + bytes(31), None, "weak"),
        ("al", b"\xec" + b"\xff" * 30 + b"\x7f", None, "weak"),
        ("al", b"", None, "32 bytes, not 0"),
        ("al", ALICE.public_key + b"x", None, "32 bytes, not 33"),
        ("a:l", ALICE.public_key, None, "cannot be a name"),
        ("", ALICE.public_key, None, "cannot be a name"),
        ("al", ALICE.public_key, "", "cannot be an id"),
        ("al", ALICE.public_key, "a b", "cannot be an id"),
        ("al", ALICE.public_key, "x" * 65, "cannot be an id"),
    ],
)
def test_no_draft_can_be_made_of_a_weak_key_or_a_bad_name(
    name: str, key: bytes, voter_id: str | None, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        operator_draft(draft_id(1), name, key, voter_id)
    if voter_id is None:
        with pytest.raises(ValueError, match=reason):
            hey_there_draft(name, key, OPERATOR)
        with pytest.raises(ValueError, match=reason):
            proof_draft(name, ALICE.public_key, key, b"", PEER)


def test_a_change_has_an_entry_that_carries_the_whole_row(rows: Rows) -> None:
    decision = rows.decide(RULES, _PROOF, at_ms=6)
    (entry,) = decision.entries
    assert (entry.lane, entry.stream, entry.kind) == (Lane.NODE, STREAM, KIND_KEY)
    assert (entry.id, entry.at_ms, entry.numbered) == (_PROOF.id, 6, False)
    assert msgspec.json.decode(entry.body, type=KnownKey) == known(rows, "al")


def test_drafts_that_say_the_same_have_one_id_and_the_operators_has_its_own() -> None:
    assert proof_of(ALICE, LATER).id == _PROOF.id
    assert hey_there_draft("al", ALICE.public_key, PEER).id == (
        hey_there_draft("al", ALICE.public_key, OPERATOR).id
    )
    ids = {
        _PROOF.id,
        proof_of(LATER, ALICE).id,
        hey_there_draft("al", ALICE.public_key, PEER).id,
        hey_there_draft("al", LATER.public_key, PEER).id,
        hey_there_draft("bo", ALICE.public_key, PEER).id,
        operator_draft(draft_id(1), "al", ALICE.public_key, None).id,
    }
    assert len(ids) == 6
    assert {len(one) for one in ids} == {16}


def test_a_stored_draft_is_never_replaced() -> None:
    assert not RULES.replaces(_PROOF, Found(1, STREAM, None, KIND_KEY, 0, b""))


def test_a_row_comes_back_from_the_table_as_it_went_in(rows: Rows) -> None:
    row = KnownKey("al", LATER.public_key, None, (ALICE.public_key, WEAK), Source.PROOF, 7)
    assert known_key(row_of(row)) == row
    with pytest.raises(ValueError, match="not a row of the table key"):
        known_key(("al", None))
