"""Clients' tokens: what they say, and everything that one must not get away with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.clients.identity.tokens import (
    AUDIENCE,
    TYPE,
    ClientToken,
    Expired,
    check_times,
    first_iat_ms,
    mint,
    read_token,
    token_key,
)
from postbox.clients.rules.devices import SKEW_MS, is_revoked
from postbox.trust.host_keys import host_key
from postbox.trust.jwt import BadToken, is_signed
from support.forged_tokens import ALG, MORE, NO_OBJECTS, WRITTEN, encoded, json_of
from support.forged_tokens import signed as signed_by

SEED = b"a" * 32
KEY = token_key(SEED)
NOW_S = 1_795_219_200
NOW_MS = NOW_S * 1000
UUID = "00010203-0405-4607-8809-0a0b0c0d0e0f"
HEADER = {"alg": "EdDSA", "typ": TYPE, "kid": KEY.kid}
CLAIMS: dict[str, Any] = {
    "iss": "n", "aud": AUDIENCE, "sub": "ann", "device": "phone",
    "iat": NOW_S, "exp": NOW_S + 60, "jti": UUID,
}  # fmt: skip
ISSUERS_HEADER = {"alg": "EdDSA", "kid": "k1"}
ISSUERS: dict[str, Any] = {
    "iss": "https://i", "aud": "chat", "sub": "ann", "iat": NOW_S, "exp": NOW_S + 60
}  # fmt: skip

signed = partial(signed_by, key=KEY)


def ours(**changed: Any) -> str:
    said: dict[str, Any] = {"iss": "n", "user": "ann", "device": "phone", "jti": bytes(16)}
    return mint(KEY, **(said | {"iat_ms": NOW_MS, "exp_ms": NOW_MS + 60_000} | changed))


def test_a_token_says_who_calls_from_which_device_and_until_when() -> None:
    text = ours(iat_ms=NOW_MS + 123, exp_ms=NOW_MS + 60_001)
    assert read_token(text) == ClientToken(
        KEY.kid, "n", (AUDIENCE,), "ann", "phone", NOW_MS + 123, NOW_MS + 60_001, 0, is_ours=True
    )
    assert is_signed(text, KEY.public_key)
    assert not is_signed(text, token_key(b"b" * 32).public_key)


def test_the_key_of_clients_tokens_is_no_other_key_of_the_node() -> None:
    assert KEY.public_key not in {host_key(SEED, 0).public_key, host_key(SEED, 1).public_key}
    assert token_key(SEED).public_key == KEY.public_key


def test_an_issuers_token_says_what_is_needed_and_may_say_more() -> None:
    more = ISSUERS | {"nbf": NOW_S + 1, "azp": "app", "scope": "openid", "device": "tablet"}
    found = read_token(signed(ISSUERS_HEADER | {"typ": "at+jwt"}, more))
    assert found == ClientToken(
        "k1", "https://i", ("chat",), "ann", "tablet",
        NOW_MS, NOW_MS + 60_000, NOW_MS + 1000, is_ours=False,
    )  # fmt: skip
    several = read_token(signed(ISSUERS_HEADER, ISSUERS | {"aud": ["mail", "chat"]}))
    assert several.audiences == ("mail", "chat")
    assert several.device == ""
    assert read_token(signed(ISSUERS_HEADER | {"alg": "Ed25519"}, ISSUERS)).user == "ann"


# -- how it is written ---------------------------------------------------------------------------

NO_TYPES: list[object] = ["postbox+jwt", "POSTBOX-CLIENT+JWT", "JOSE", "", None, [TYPE], {}]
KINDS: list[dict[str, Any]] = [{"typ": typ} for typ in NO_TYPES]
KIDS: list[dict[str, Any]] = [{"kid": kid} for kid in ("", None, 7, KEY.kid + "=", KEY.kid * 2)]


@pytest.mark.parametrize("changed", [*ALG, *MORE, *KINDS, *KIDS])
def test_no_other_header_is_taken_though_its_signature_is_good(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken) as refused:
        read_token(signed(HEADER | changed, CLAIMS))
    str(refused.value).encode()


ISSUERS_ALG = [alg for alg in ALG if alg != {"alg": "Ed25519"}]


@pytest.mark.parametrize("changed", [*ISSUERS_ALG, *MORE, *KINDS, {"kid": None}, {"kid": 7}])
def test_no_other_header_of_an_issuer_is_taken(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        read_token(signed(ISSUERS_HEADER | changed, ISSUERS))


def test_nothing_is_lacking() -> None:
    for header, claims in ((HEADER, CLAIMS), (ISSUERS_HEADER, ISSUERS)):
        for name in claims:
            with pytest.raises(BadToken, match=f"missing required field `{name}`"):
                read_token(signed(header, {key: claims[key] for key in claims if key != name}))
        for name in ("alg", "kid"):
            with pytest.raises(BadToken):
                read_token(signed({key: header[key] for key in header if key != name}, claims))


TWICE = [
    b'{"alg":"none","alg":"EdDSA","typ":"%s","kid":"%s"}',
    b'{"alg":"EdDSA","typ":"%s","kid":"%s","\\u0061lg":"none"}',
    b'{"typ":"JWT","alg":"EdDSA","typ":"%s","kid":"%s"}',
]


@pytest.mark.parametrize("header", TWICE)
def test_a_name_that_stands_twice_is_refused(header: bytes) -> None:
    with pytest.raises(BadToken, match="a name stands in it twice"):
        read_token(signed(header % (TYPE.encode(), KEY.kid.encode()), CLAIMS))
    for claims in (CLAIMS, ISSUERS):
        twice = json_of(claims)[:-1] + b',"sub":"bob"}'
        with pytest.raises(BadToken, match="a name stands in it twice"):
            read_token(signed(HEADER if claims is CLAIMS else ISSUERS_HEADER, twice))


@pytest.mark.parametrize("raw", NO_OBJECTS)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    for text in (signed(raw, CLAIMS), signed(HEADER, raw), signed(ISSUERS_HEADER, raw)):
        with pytest.raises(BadToken):
            read_token(text)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_token_has_one_spelling(written: Callable[[str, str, str], str]) -> None:
    for text in (ours(), signed(ISSUERS_HEADER, ISSUERS)):
        header, claims, signature = text.split(".")
        with pytest.raises(BadToken):
            read_token(written(header, claims, signature))


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        read_token(text)


NAMES = ["", "a b", "ann@b.example", "a:b", "a\0b", "a\n", "x" * 65, "\ud800", None, 7, ["ann"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_user_has_a_name_of_this_host(name: object) -> None:
    for header, claims in ((HEADER, CLAIMS), (ISSUERS_HEADER, ISSUERS)):
        with pytest.raises(BadToken):
            read_token(signed(header, claims | {"sub": name}))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ann@b.example"])
def test_a_device_has_a_name(name: object) -> None:
    with pytest.raises(BadToken):
        read_token(signed(HEADER, CLAIMS | {"device": name}))
    if name != "":
        with pytest.raises(BadToken):
            read_token(signed(ISSUERS_HEADER, ISSUERS | {"device": name}))


CHANGED_CLAIMS: list[dict[str, Any]] = [
    {"aud": [AUDIENCE]}, {"aud": "postbox-client"}, {"aud": None},
    {"iat": "now"}, {"iat": True}, {"iat": -1}, {"iat": 2**53}, {"exp": None}, {"exp": 1e999},
    {"jti": ""}, {"jti": 7}, {"admin": True}, {"nbf": NOW_S},
]  # fmt: skip


@pytest.mark.parametrize("changed", CHANGED_CLAIMS)
def test_no_other_claims_of_our_own_are_taken(changed: dict[str, Any]) -> None:
    with pytest.raises(BadToken, match="its claims"):
        read_token(signed(HEADER, CLAIMS | changed))


def test_an_issuers_token_is_never_taken_for_our_own() -> None:
    """Nor ours for an issuer's: which of the two keys is asked for follows from the type."""
    assert read_token(signed(ISSUERS_HEADER, CLAIMS)).is_ours is False
    with pytest.raises(BadToken, match="its claims"):
        read_token(signed(HEADER, ISSUERS | {"aud": AUDIENCE, "device": "phone"}))


def test_a_hosts_token_is_no_clients() -> None:
    header = {"alg": "EdDSA", "typ": "postbox+jwt", "kid": KEY.kid}
    with pytest.raises(BadToken, match="its header"):
        read_token(signed(header, CLAIMS))
    with pytest.raises(BadToken):
        read_token(signed({"alg": "EdDSA"}, {"jti": UUID}))


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_bit_of_it_can_be_another(at: int, bit: int) -> None:
    text = ours()
    at %= len(text)
    other = text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
    assert not is_signed(other, KEY.public_key)


def test_it_cannot_be_signed_with_what_all_know() -> None:
    import hmac

    body = ".".join((encoded(json_of(HEADER)), encoded(json_of(CLAIMS))))
    mac = hmac.digest(KEY.public_key, body.encode(), "sha512")
    assert not is_signed(f"{body}.{encoded(mac)}", KEY.public_key)


# -- when it is good -----------------------------------------------------------------------------


def token(**changed: int) -> ClientToken:
    times = {"iat_ms": NOW_MS, "exp_ms": NOW_MS + 60_000, "nbf_ms": 0} | changed
    return ClientToken("k", "i", (), "ann", "phone", is_ours=False, **times)


def test_it_may_begin_a_minute_ahead_and_not_a_millisecond_more() -> None:
    check_times(token(), NOW_MS)
    check_times(token(iat_ms=NOW_MS + SKEW_MS, exp_ms=NOW_MS + SKEW_MS + 1), NOW_MS)
    check_times(token(nbf_ms=NOW_MS + SKEW_MS), NOW_MS)
    for name in ("iat_ms", "nbf_ms"):
        with pytest.raises(BadToken, match="begins 60 s ahead: compare the two clocks"):
            check_times(token(exp_ms=NOW_MS * 2, **{name: NOW_MS + SKEW_MS + 1}), NOW_MS)


def test_it_ends_when_it_says() -> None:
    check_times(token(), NOW_MS + 59_999)
    with pytest.raises(Expired, match="expired 0 s ago: get a new one"):
        check_times(token(), NOW_MS + 60_000)
    with pytest.raises(BadToken, match="its exp is not after its iat"):
        check_times(token(exp_ms=NOW_MS), NOW_MS - 1)


def test_what_was_made_before_a_revocation_is_revoked_by_whatever_clock() -> None:
    """One that goes up to a minute ahead of ours makes tokens that seem younger."""
    assert not is_revoked(NOW_MS, 0)
    for ahead_ms in (0, 1, SKEW_MS - 1):
        assert is_revoked(NOW_MS + ahead_ms, NOW_MS)
    assert not is_revoked(NOW_MS + SKEW_MS, NOW_MS)


def test_what_we_make_right_after_a_revocation_is_good_at_once() -> None:
    for later_ms in (0, 1, SKEW_MS - 1, SKEW_MS, 10 * SKEW_MS):
        now_ms = NOW_MS + later_ms
        made = read_token(ours(iat_ms=first_iat_ms(now_ms, NOW_MS), exp_ms=now_ms + 10 * SKEW_MS))
        check_times(made, now_ms)
        assert not is_revoked(made.iat_ms, NOW_MS)
    assert first_iat_ms(NOW_MS, 0) == NOW_MS
