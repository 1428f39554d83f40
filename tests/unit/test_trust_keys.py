"""Identities: nara's souls, ids and names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from postbox.core import base58_decode, base58_encode
from postbox.event import is_name
from postbox.trust.keys import (
    Identity,
    SoulError,
    identity_from_text,
    identity_of,
    make_identity,
    name_of_seed,
)
from postbox.trust.words import FIRST, SECOND

VECTORS = json.loads((Path(__file__).parents[1] / "data/nara/vectors.json").read_bytes())
GOLDEN = VECTORS["identities"]
GENERIC_WORDS = ("localhost", "raspberrypi", "raspberry", "debian", "ubuntu", "nixos", "nara")
"""A nara refuses to be called anything that holds one of these (identity/names.go)."""


class Counting:
    """Bytes that differ from call to call."""

    def __init__(self) -> None:
        self.calls = 0

    def bytes(self, count: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * count


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_soul_key_and_id_are_what_nara_derives_from_the_seed(golden: dict[str, Any]) -> None:
    identity = identity_of(golden["name"], bytes.fromhex(golden["seed"]))
    assert identity.soul_text == golden["soul"]
    assert identity.public_key_base64 == golden["public_key"]
    assert identity.id == golden["id"]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_a_soul_in_base58_gives_the_identity_back(golden: dict[str, Any]) -> None:
    identity = identity_from_text(golden["name"], golden["soul"])
    assert identity == identity_of(golden["name"], bytes.fromhex(golden["seed"]))


@pytest.mark.parametrize(
    ("name", "soul", "reason"),
    [
        ("bob", GOLDEN[0]["soul"], "does not belong to the name 'bob'"),
        ("alice", GOLDEN[0]["soul"][:-1], "not 40"),
        ("alice", "", "0 bytes long, not 40"),
        ("alice", "0OIl", "not base58"),
        ("alice", base58_encode(b"x" * 40), "does not belong"),
        ("a:b", GOLDEN[0]["soul"], "cannot be a name"),
    ],
)
def test_a_soul_that_does_not_fit_is_refused_and_never_quoted(
    name: str, soul: str, reason: str
) -> None:
    with pytest.raises(SoulError, match=reason) as caught:
        identity_from_text(name, soul)
    assert not soul or soul not in str(caught.value)


def test_one_flipped_bit_anywhere_in_a_soul_is_noticed() -> None:
    soul = base58_decode(GOLDEN[0]["soul"])
    for at in range(len(soul)):
        damaged = soul[:at] + bytes([soul[at] ^ 1]) + soul[at + 1 :]
        with pytest.raises(SoulError):
            identity_from_text("alice", base58_encode(damaged))


def test_no_text_form_of_an_identity_shows_its_soul() -> None:
    identity = identity_of("alice", b"s" * 32)
    for text in (repr(identity), str(identity), f"{identity}", repr([identity])):
        assert text in ("Identity(name='alice')", "[Identity(name='alice')]")


def test_a_given_name_is_kept_and_a_bad_one_refused() -> None:
    assert make_identity(Counting(), "my-node").name == "my-node"
    for bad in ("", "a b", "a:b", "x" * 65):
        with pytest.raises(ValueError, match="cannot be a name"):
            make_identity(Counting(), bad)


def test_two_new_identities_differ() -> None:
    random = Counting()
    one, other = make_identity(random), make_identity(random)
    assert one.public_key != other.public_key
    assert one.name != other.name


def is_generic(name: str) -> bool:
    """Would a nara refuse to be called this?"""
    return any(word in name for word in GENERIC_WORDS) or bool(re.fullmatch("[0-9a-f]{12,}", name))


def test_a_made_name_is_one_that_a_nara_would_keep() -> None:
    for number in range(500):
        name = name_of_seed(number.to_bytes(32, "big"))
        assert is_name(name)
        assert not is_generic(name)
        assert len(name.split("-")) == 3


def test_no_two_words_make_a_generic_name_together() -> None:
    assert len(set(FIRST)) == len(set(SECOND)) == 64
    assert [f"{a}-{b}" for a in FIRST for b in SECOND if is_generic(f"{a}-{b}")] == []


def test_a_made_name_follows_from_the_key() -> None:
    assert name_of_seed(b"s" * 32) == name_of_seed(b"s" * 32)
    identity = make_identity(Counting())
    assert identity.name == name_of_seed(identity.soul[:32])


def test_a_signature_follows_from_soul_and_data() -> None:
    identity: Identity = identity_of("alice", b"s" * 32)
    assert identity.sign(b"data") == identity.sign(b"data")
    assert len(identity.sign(b"data")) == 64
    assert identity.sign(b"data") != identity.sign(b"date")
