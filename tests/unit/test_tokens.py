"""Tokens between hosts: what they say, and everything that one must not get away with."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from postbox.trust.host_keys import host_key
from postbox.trust.jwt import MAX_CHARACTERS, BadToken
from postbox.trust.replays import Replays
from postbox.trust.tokens import (
    LEEWAY_S,
    LIFE_S,
    PlainToken,
    StrictToken,
    check_strict,
    read_token,
    sign_plain,
    sign_strict,
    verify,
)
from support.forged_tokens import ALG, MORE, NO_OBJECTS, WRITTEN, encoded, json_of
from support.forged_tokens import signed as signed_by

KEY = host_key(b"a" * 32, 0)
OTHER = host_key(b"b" * 32, 0)
A, B = "a.example:2289", "b.example:2289"
NOW_S = 1_795_219_200
JTI = bytes(range(16))
UUID = "00010203-0405-4607-8809-0a0b0c0d0e0f"
BH = bytes(range(32))
HEADER = {"alg": "EdDSA", "typ": "postbox+jwt", "kid": KEY.kid}
CLAIMS: dict[str, Any] = {
    "iss": A,
    "aud": B,
    "iat": NOW_S,
    "exp": NOW_S + LIFE_S,
    "jti": UUID,
    "rpc": "PostEvent",
    "bh": base64.urlsafe_b64encode(BH).decode().rstrip("="),
}


signed = partial(signed_by, key=KEY)


def ours(**changed: Any) -> str:
    said: dict[str, Any] = {"iss": A, "aud": B, "rpc": "PostEvent", "bh": BH, "jti": JTI}
    return sign_strict(KEY, **(said | {"now_s": NOW_S} | changed))


def strict(text: str) -> StrictToken:
    token = read_token(text)
    assert isinstance(token, StrictToken)
    return token


def checked(text: str, **changed: Any) -> None:
    expected: dict[str, Any] = {"host": A, "own": B, "rpc": "PostEvent", "bh": BH, "now_s": NOW_S}
    check_strict(strict(text), **(expected | {"issued_after_s": 0.0} | changed))


# -- what is good --------------------------------------------------------------------------------


def test_a_strict_token_says_from_whom_for_whom_when_and_for_what() -> None:
    text = ours()
    assert strict(text) == StrictToken(
        text, KEY.kid, A, B, NOW_S, NOW_S + 60, bytes.fromhex(UUID.replace("-", "")),
        "PostEvent", BH,
    )  # fmt: skip
    checked(text)
    assert verify(read_token(text), KEY.public_key)
    assert not verify(read_token(text), OTHER.public_key)


def test_a_plain_token_is_a_uuid_and_no_more() -> None:
    token = read_token(sign_plain(KEY, JTI))
    assert token == PlainToken(sign_plain(KEY, JTI), bytes.fromhex(UUID.replace("-", "")))
    assert verify(token, KEY.public_key)
    assert not verify(token, OTHER.public_key)
    header, claims, _ = token.text.split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"EdDSA"}'
    assert base64.urlsafe_b64decode(claims + "==") == json_of({"jti": UUID}).replace(b" ", b"")


def test_others_that_write_the_same_otherwise_are_understood() -> None:
    reordered = dict(reversed(CLAIMS.items()))
    for text in (
        signed(HEADER, CLAIMS),
        signed(dict(reversed(HEADER.items())), reordered),
        signed(json.dumps(HEADER, indent=1).encode(), CLAIMS),
        signed(json_of(HEADER).replace(b"+", b"\\u002B"), CLAIMS),
        signed(HEADER, CLAIMS | {"jti": UUID.upper()}),
    ):
        assert strict(text) == replace(strict(ours()), text=text)
        assert verify(read_token(text), KEY.public_key)
    jwt = signed({"typ": "JWT", "alg": "EdDSA"}, {"jti": UUID})  # what most libraries write
    assert isinstance(read_token(jwt), PlainToken)


def test_the_signature_is_the_one_of_the_standard() -> None:
    """RFC 8037, A.4; and another library finds ours good."""
    key = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    text = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09P"
        "GcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert verify(PlainToken(text, b""), key)
    signed_part, _, signature = ours().rpartition(".")
    other_library = Ed25519PublicKey.from_public_bytes(KEY.public_key)
    other_library.verify(base64.urlsafe_b64decode(signature + "=="), signed_part.encode())


def test_no_secret_is_in_what_is_shown() -> None:
    assert str(KEY.seed) not in repr(KEY)
    assert KEY.seed.hex() not in repr(KEY)


# -- how it is written ---------------------------------------------------------------------------

KINDS = [
    {"typ": "jwt"},
    {"typ": "JWT"},
    {"typ": "JOSE"},
    {"typ": "at+jwt"},
    {"typ": "POSTBOX+JWT"},
    {"typ": "postbox+jws"},
    {"typ": ""},
    {"typ": None},
    {"typ": ["postbox+jwt"]},
    {"typ": {}},
]
KIDS: list[dict[str, Any]] = [
    {"kid": kid}
    for kid in ("", None, 7, "short", KEY.kid + "=", KEY.kid + "\n", "../../etc/passwd".ljust(22),
                "'or 1=1--'or 1=1--'or1", KEY.kid * 2, "é" * 22)
]  # fmt: skip
MUTATIONS = ALG + MORE + KINDS + KIDS


@pytest.mark.parametrize("changed", MUTATIONS)
def test_no_other_header_is_taken_though_its_signature_is_good(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken) as refused:
        read_token(signed(HEADER | changed, CLAIMS))
    str(refused.value).encode()


@pytest.mark.parametrize("changed", [*ALG, *MORE, *KINDS[2:], {"kid": KEY.kid}])
def test_no_other_plain_header_is_taken(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        read_token(signed({"alg": "EdDSA"} | changed, {"jti": UUID}))


def test_a_header_lacks_nothing() -> None:
    for name in HEADER:
        with pytest.raises(BadToken):
            read_token(signed({key: HEADER[key] for key in HEADER if key != name}, CLAIMS))
    with pytest.raises(BadToken):
        read_token(signed({}, CLAIMS))


TWICE = [
    b'{"alg":"none","alg":"EdDSA","typ":"postbox+jwt","kid":"%s"}',
    b'{"alg":"EdDSA","typ":"postbox+jwt","kid":"%s","alg":"EdDSA"}',
    b'{"alg":"EdDSA","typ":"postbox+jwt","kid":"%s","\\u0061lg":"none"}',
    b'{"kid":"x","alg":"EdDSA","typ":"postbox+jwt","kid":"%s"}',
]


@pytest.mark.parametrize("header", TWICE)
def test_a_name_that_stands_twice_is_refused(header: bytes) -> None:
    with pytest.raises(BadToken, match="a name stands in it twice"):
        read_token(signed(header % KEY.kid.encode(), CLAIMS))
    claims = json_of(CLAIMS)[:-1] + b',"aud":"b.example:2289"}'
    with pytest.raises(BadToken, match="a name stands in it twice"):
        read_token(signed(HEADER, claims))


@pytest.mark.parametrize("raw", NO_OBJECTS)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    for text in (signed(raw, CLAIMS), signed(HEADER, raw), signed({"alg": "EdDSA"}, raw)):
        with pytest.raises(BadToken):
            read_token(text)


CHANGED_CLAIMS: list[dict[str, Any]] = [
    {"iss": 1}, {"iss": None}, {"iss": [A]},
    {"aud": [B]}, {"aud": None}, {"aud": {"": B}},
    {"iat": str(NOW_S)}, {"iat": 2.0**53}, {"iat": True}, {"iat": -1}, {"iat": 2**53},
    {"iat": None}, {"exp": None}, {"exp": 2**64}, {"exp": -1}, {"exp": "never"}, {"exp": False},
    {"jti": ""}, {"jti": "x"}, {"jti": 7}, {"jti": UUID.replace("-", "")}, {"jti": UUID + "\n"},
    {"jti": UUID.replace("-4", "-1")}, {"jti": UUID.replace("-8", "-0")},
    {"jti": "{" + UUID + "}"},
    {"rpc": "GetKey"}, {"rpc": "sync"}, {"rpc": ""}, {"rpc": None}, {"rpc": ["Sync", "PostEvent"]},
    {"bh": ""}, {"bh": CLAIMS["bh"] + "="}, {"bh": CLAIMS["bh"][:-1]},
    {"bh": CLAIMS["bh"][:-1] + "9"}, {"bh": None}, {"bh": BH.hex()},
    {"sub": "x"}, {"nbf": NOW_S}, {"scope": "all"},
]  # fmt: skip


@pytest.mark.parametrize("changed", CHANGED_CLAIMS)
def test_no_other_claims_are_taken(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken, match="its claims"):
        read_token(signed(HEADER, CLAIMS | changed))


def test_claims_lack_nothing() -> None:
    for name in CLAIMS:
        with pytest.raises(BadToken, match=f"missing required field `{name}`"):
            read_token(signed(HEADER, {key: CLAIMS[key] for key in CLAIMS if key != name}))


@pytest.mark.parametrize("claims", [{}, {"jti": 1}, {"jti": UUID, "iat": NOW_S}, CLAIMS])
def test_a_plain_token_has_no_other_claims(claims: dict[str, Any]) -> None:
    with pytest.raises(BadToken, match="its claims"):
        read_token(signed({"alg": "EdDSA"}, claims))


@pytest.mark.parametrize("written", WRITTEN)
def test_a_token_has_one_spelling(written: Callable[[str, str, str], str]) -> None:
    for text in (ours(), sign_plain(KEY, JTI)):
        header, claims, signature = text.split(".")
        with pytest.raises(BadToken):
            read_token(written(header, claims, signature))


def test_a_token_without_end_is_not_even_parsed() -> None:
    with pytest.raises(BadToken, match="at most 4096 characters, not 10000000"):
        read_token("a" * 10_000_000)
    long = signed(HEADER, CLAIMS | {"iss": "a" * MAX_CHARACTERS})
    with pytest.raises(BadToken, match="at most 4096"):
        read_token(long)


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        read_token(text)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_bit_of_it_can_be_another(at: int, bit: int) -> None:
    text = ours()
    at %= len(text)
    other = text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
    with suppress(BadToken):
        assert not verify(read_token(other), KEY.public_key)


# -- whose it is ---------------------------------------------------------------------------------

ORDER = 2**252 + 27742317777372353535851937790883648493


def test_a_second_signature_cannot_be_made_from_the_first() -> None:
    """S plus the order of the group verifies where nobody looks (RFC 8032, 5.1.7)."""
    header, claims, signature = ours().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    assert not verify(read_token(f"{header}.{claims}.{encoded(other)}"), KEY.public_key)


@pytest.mark.parametrize("key", [b"", b"x", KEY.public_key + b"\0", b"-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_key_verifies_nothing(key: bytes) -> None:
    assert not verify(read_token(ours()), key)


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """Where a token names its algorithm, the key that all know makes an HMAC (CVE-2022-29217)."""
    body = ".".join((encoded(json_of(HEADER)), encoded(json_of(CLAIMS))))
    mac = hmac.digest(KEY.public_key, body.encode(), "sha512")
    assert not verify(read_token(f"{body}.{encoded(mac)}"), KEY.public_key)


# -- for what it is good -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {"host": "c.example:2289"},
            "its iss is 'a.example:2289', and the request says it is from",
        ),
        ({"own": "c.example:2289"}, "its aud is 'b.example:2289': it was made for another host"),
        ({"own": "b.example:443"}, "its aud is"),
        ({"own": "b.example"}, "its aud is"),
        ({"rpc": "Sync"}, "it was made for PostEvent, not for Sync"),
        ({"rpc": "PostEvents"}, "it was made for PostEvent, not for PostEvents"),
        ({"rpc": "Ack"}, "it was made for PostEvent, not for Ack"),
        ({"bh": BH[::-1]}, "its bh is not the SHA-256"),
        ({"now_s": NOW_S - LEEWAY_S - 1}, "its iat is 31 s ahead: compare the two clocks; this"),
        ({"now_s": NOW_S + LIFE_S + LEEWAY_S}, "it expired 30 s ago: compare the two clocks; this"),
        ({"issued_after_s": NOW_S + 0.5}, "it was issued before this host started"),
    ],
)
def test_a_token_is_for_one_host_one_call_one_moment(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(BadToken, match=why):
        checked(ours(), **changed)


def test_a_refusal_for_the_time_says_what_time_it_is_here() -> None:
    with pytest.raises(BadToken, match="this host's time is 2026-11-21 00:08:20 UTC"):
        checked(ours(), now_s=NOW_S + 500.9)


def test_a_token_meant_for_a_post_is_of_no_use_for_a_sync_and_the_other_way_round() -> None:
    for made_for in ("Sync", "PostEvent", "PostEvents", "Ack"):
        for used_for in ("Sync", "PostEvent", "PostEvents", "Ack"):
            text = ours(rpc=made_for)
            if made_for == used_for:
                checked(text, rpc=used_for)
            else:
                with pytest.raises(BadToken, match=f"made for {made_for}, not for {used_for}"):
                    checked(text, rpc=used_for)


@pytest.mark.parametrize("off_s", [-LEEWAY_S, 0, LIFE_S, LIFE_S + LEEWAY_S - 1])
def test_clocks_may_be_half_a_minute_apart(off_s: int) -> None:
    checked(ours(), now_s=NOW_S + off_s)


@pytest.mark.parametrize("life_s", [0, -1, LIFE_S + 1, 10**9])
def test_nobody_gives_a_token_a_longer_life(life_s: int) -> None:
    with pytest.raises(BadToken, match="from its iat to its exp it must be 1 to 60 s"):
        checked(signed(HEADER, CLAIMS | {"exp": max(0, NOW_S + life_s)}))


def test_what_was_issued_before_the_start_is_refused_and_after_it_is_not() -> None:
    started_s = NOW_S + 0.4
    with pytest.raises(BadToken, match="before this host started"):
        checked(ours(now_s=started_s - 0.002), issued_after_s=started_s)
    for after_s in (0, 0.1, 1):
        text = ours(now_s=started_s + after_s)
        checked(text, issued_after_s=started_s)
        assert strict(text).exp_s == NOW_S + (60 if after_s < 0.6 else 61)
    with pytest.raises(BadToken, match="before this host started"):
        checked(signed(HEADER, CLAIMS), issued_after_s=started_s)  # who says no more than seconds


@pytest.mark.parametrize("times", [b'"iat":1e999', b'"iat":NaN', b'"iat":-0.1', b'"iat":-Infinity'])
def test_a_time_is_a_number_of_seconds(times: bytes) -> None:
    raw = json_of(CLAIMS).replace(b'"iat": %d' % NOW_S, times)
    assert times in raw
    with pytest.raises(BadToken, match="its claims"):
        read_token(signed(HEADER, raw))


# -- once ----------------------------------------------------------------------------------------


def test_a_token_is_used_once_until_nobody_would_take_it_any_more() -> None:
    replays = Replays()
    replays.use(A, JTI, until_s=100)
    assert replays.is_used(A, JTI)
    assert not replays.is_used(B, JTI)
    assert replays.has_room(A, 99.9)
    assert replays.is_used(A, JTI)
    assert replays.has_room(A, 100)
    assert not replays.is_used(A, JTI)
    assert len(replays) == 0


def test_an_issuer_that_fills_its_share_waits_and_takes_nothing_from_the_others() -> None:
    replays = Replays(max_an_issuer=10)
    for number in range(10):
        assert replays.has_room(A, 0)
        replays.use(A, bytes([number]), until_s=10 + number)
    assert not replays.has_room(A, 0)
    assert replays.has_room(B, 0)
    assert replays.is_used(A, bytes([0]))
    assert not replays.has_room(A, 9)
    assert replays.has_room(A, 10)
    assert replays.is_used(A, bytes([1]))


def test_all_issuers_together_stay_within_bounds() -> None:
    replays = Replays(max_an_issuer=10, max_in_all=25)
    used = 0
    for host in range(100):
        for number in range(20):
            if replays.has_room(str(host), 0):
                replays.use(str(host), bytes([number]), until_s=1)
                used += 1
    assert used == len(replays) == 25
    assert replays.has_room("another", 1)
    assert len(replays) == 0
