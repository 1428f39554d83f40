"""An issuer's key set: its Ed25519 keys count, and nothing else that may stand there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.clients.identity.jwks import MAX_BYTES, MAX_KEYS, BadKeySet, KeySet, read_key_set
from postbox.trust.host_keys import host_key
from support.forged_tokens import encoded

ONE, OTHER = (host_key(seed * 32, 0).public_key for seed in (b"1", b"2"))


def jwk(kid: str = "k1", key: bytes = ONE, **more: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(key)} | more


def read(*keys: object) -> KeySet:
    return read_key_set(json.dumps({"keys": keys}).encode())


def test_keys_are_known_by_their_kid() -> None:
    found = read(jwk(), jwk("k2", OTHER, use="sig", alg="EdDSA", x5c=["ignored"]))
    assert found == KeySet({"k1": ONE, "k2": OTHER}, ())
    assert read(jwk(alg="Ed25519")).keys == {"k1": ONE}
    assert read() == KeySet({}, ())


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}, "no Ed25519 key"),
        ({"kty": "EC", "crv": "P-256", "kid": "e", "x": "AA", "y": "AA"}, "no Ed25519 key"),
        ({"kty": "oct", "kid": "s", "k": "AAAA"}, "no Ed25519 key"),
        (jwk("k2", crv="Ed448"), "no Ed25519 key"),
        (jwk("k2", crv="X25519"), "no Ed25519 key"),
        (jwk("k2", d=encoded(bytes(32))), "its secret is published"),
        (jwk("k2", use="enc"), "for another use"),
        (jwk("k2", alg="HS256"), "for another use"),
        (jwk("k2", alg="none"), "for another use"),
        (jwk(""), "it has no kid"),
        ({**jwk(), "kid": 7}, "it has no kid"),
        ({**jwk("k2"), "x": None}, "or no x"),
        (jwk("k2", ONE[:31]), "no Ed25519 public key"),
        (jwk("k2", bytes(32)), "or a weak one"),
        (jwk("k2", (1).to_bytes(32, "little")), "or a weak one"),
        ({**jwk("k2"), "x": encoded(ONE) + "="}, "not base64url"),
        (7, "no JSON object"),
        (None, "no JSON object"),
    ],
)
def test_another_key_is_passed_over_and_the_good_one_beside_it_is_not(
    other: object, why: str
) -> None:
    found = read(other, jwk("good", OTHER))
    assert found.keys == {"good": OTHER}
    assert len(found.passed_over) == 1
    assert found.passed_over[0].startswith("key 1: ")
    assert why in found.passed_over[0]


def test_of_two_keys_with_one_name_neither_counts() -> None:
    found = read(jwk(), jwk("k2", OTHER), jwk(key=OTHER))
    assert found.keys == {"k2": OTHER}
    assert "twice, with different keys" in found.passed_over[0]
    assert read(jwk(), jwk()).keys == {"k1": ONE}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"null", b'"x"', b"{", b"{}", b'{"keys":{}}', b'{"keys":null}', b"\xff",
        b"<html>", b"[" * 60_000, b'{"keys":[' + b"{}," * MAX_KEYS + b"{}]}",
        b" " * (MAX_BYTES + 1),
    ],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(raw: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_set_or_are_refused(raw: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(raw)
