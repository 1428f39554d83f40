"""Mesh authentication: who is let in, and in whose words the others are turned away."""

import base64

import pytest

from postbox.trust.keys import identity_of
from postbox.trust.signatures import (
    WINDOW_MS,
    AuthFailed,
    check_request,
    check_response,
    is_signature,
    is_signed_digest,
    request_headers,
    response_headers,
)

NOW_MS = 1_768_780_001_234
ALICE = identity_of("alice", b"a" * 32)
BOB = identity_of("bob", b"b" * 32)
KEYS = {"alice": ALICE.public_key, "bob": BOB.public_key}


def asked(**changes: str) -> dict[str, str]:
    """A good request of alice's, with some headers changed; "" leaves one out."""
    headers = _lower(request_headers(ALICE, "POST", "/api/sync", NOW_MS))
    for key, value in changes.items():
        headers[f"x-nara-{key}"] = value
    return {key: value for key, value in headers.items() if value}


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def test_a_good_request_tells_who_sent_it() -> None:
    assert check_request(asked(), "POST", "/api/sync", NOW_MS, KEYS.get) == "alice"


@pytest.mark.parametrize("off_ms", [-WINDOW_MS, -1, 0, 1, WINDOW_MS])
def test_a_request_is_good_for_thirty_seconds_either_way(off_ms: int) -> None:
    assert check_request(asked(), "POST", "/api/sync", NOW_MS + off_ms, KEYS.get) == "alice"


@pytest.mark.parametrize("off_ms", [-WINDOW_MS - 1, WINDOW_MS + 1, 10**9])
def test_a_request_from_another_time_is_refused(off_ms: int) -> None:
    with pytest.raises(AuthFailed, match=r"^Authentication failed: timestamp too old or in future"):
        check_request(asked(), "POST", "/api/sync", NOW_MS + off_ms, KEYS.get)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": ""}, "missing auth headers"),
        ({"timestamp": ""}, "missing auth headers"),
        ({"signature": ""}, "missing auth headers"),
        ({"timestamp": "now"}, "invalid timestamp"),
        ({"timestamp": "1.5"}, "invalid timestamp"),
        ({"timestamp": "-5"}, "invalid timestamp"),
        ({"timestamp": f"+{NOW_MS}"}, "invalid timestamp"),
        ({"timestamp": f" {NOW_MS}"}, "invalid timestamp"),
        ({"timestamp": f"0{NOW_MS}"}, "invalid timestamp"),
        ({"timestamp": "1_768_780_001_234"}, "invalid timestamp"),
        ({"timestamp": "١٧٦٨٧٨٠٠٠١٢٣٤"}, "invalid timestamp"),
        ({"timestamp": "9" * 5000}, "invalid timestamp"),
        ({"timestamp": "9" * 19}, "timestamp too old or in future: "),
        ({"name": "carol"}, "unknown sender: carol"),
        ({"name": "a:b"}, "unknown sender: that is no name"),
        ({"name": "x" * 65}, "unknown sender: that is no name"),
        ({"name": "\ud800"}, "unknown sender: that is no name"),
        ({"signature": "not base64!"}, "invalid signature encoding"),
        ({"signature": "é"}, "invalid signature encoding"),
        ({"signature": "QUJD"}, "signature verification failed"),
        ({"signature": base64.b64encode(bytes(64)).decode()}, "signature verification failed"),
        ({"name": "bob"}, "signature verification failed"),
        ({"timestamp": str(NOW_MS + 1)}, "signature verification failed"),
    ],
)
def test_a_request_that_proves_nothing_is_refused_in_naras_words(
    changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(AuthFailed) as caught:
        check_request(asked(**changes), "POST", "/api/sync", NOW_MS, KEYS.get)
    assert caught.value.reason.startswith(reason)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/sync"), ("POST", "/events/sync")])
def test_method_and_path_are_signed(method: str, path: str) -> None:
    with pytest.raises(AuthFailed, match="signature verification failed"):
        check_request(asked(), method, path, NOW_MS, KEYS.get)


def test_an_answer_is_bound_to_its_body_time_and_sender() -> None:
    headers = _lower(response_headers(BOB, b"body\n", NOW_MS))
    assert check_response(headers, b"body\n", NOW_MS, KEYS.get) == "bob"
    for body in (b"body", b"body\n\n", b""):
        with pytest.raises(AuthFailed, match="signature verification failed"):
            check_response(headers, body, NOW_MS, KEYS.get)
    with pytest.raises(AuthFailed, match="timestamp too old"):
        check_response(headers, b"body\n", NOW_MS + WINDOW_MS + 1, KEYS.get)
    with pytest.raises(AuthFailed, match="signature verification failed"):
        check_response({**headers, "x-nara-name": "alice"}, b"body\n", NOW_MS, KEYS.get)
    with pytest.raises(AuthFailed, match="unknown sender: bob"):
        check_response(headers, b"body\n", NOW_MS, {"alice": ALICE.public_key}.get)


def test_a_request_is_no_answer_and_an_answer_no_request() -> None:
    with pytest.raises(AuthFailed, match="signature verification failed"):
        check_response(asked(), b"", NOW_MS, KEYS.get)
    answer = _lower(response_headers(ALICE, b"", NOW_MS))
    with pytest.raises(AuthFailed, match="signature verification failed"):
        check_request(answer, "POST", "/api/sync", NOW_MS, KEYS.get)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"", b"x" * 31])
def test_weak_and_broken_keys_verify_nothing_and_raise_nothing(key: bytes) -> None:
    # with R and key of small order, S = 0 satisfies the bare equation for every message
    assert not is_signature(key, b"anything", b"\x01" + bytes(63))
    assert not is_signature(key, b"anything", bytes(64))


@pytest.mark.parametrize("signature", ["", "!", "QUJD", "é" * 88])
def test_a_digests_signature_that_is_none_is_no_error(signature: str) -> None:
    assert not is_signed_digest(ALICE.public_key, bytes(32), signature)
