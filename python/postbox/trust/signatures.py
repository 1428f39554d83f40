"""Signatures around requests and answers of the mesh.

Sources: nara transport_mesh_auth.go, sync_helpers.go.

Pure functions; the time is an argument. One signature at a time is checked here, by libsodium,
which refuses some encodings that the batch rule for events (ZIP-215, in Rust) accepts: keys and
commitments of small order, and non-canonical ones. For headers that is right: nodes need not agree
on them, and whoever makes such a signature is not a peer we miss. Events are never judged here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from postbox.errors import WireError
from postbox.event import is_name
from postbox.trust.keys import Identity

NAME_HEADER = "X-Nara-Name"
TIMESTAMP_HEADER = "X-Nara-Timestamp"
SIGNATURE_HEADER = "X-Nara-Signature"

WINDOW_MS = 30_000
"""How far a header's time may be from ours (nara's rule); so long a request can be replayed."""

KEY_BYTES = 32
SIGNATURE_BYTES = 64

KeyOf: TypeAlias = Callable[[str], bytes | None]
"""The current key of a name, our own among them, or None for a stranger. Old keys are for events
only: a request is signed now."""

_MILLISECONDS = re.compile(r"[0-9]{1,19}", re.ASCII)


class AuthFailed(WireError):
    """Headers that do not prove who speaks. `reason` is in nara's words, for the 401's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Authentication failed: {reason}")
        self.reason = reason


class UnknownSender(AuthFailed):
    """Nobody of that name is known here; who signed may be told apart later."""

    def __init__(self, sender: str) -> None:
        super().__init__(f"unknown sender: {sender}")
        self.sender = sender


def request_headers(identity: Identity, method: str, path: str, now_ms: int) -> dict[str, str]:
    """The three headers of a request; `path` without the query, `now_ms` in Unix milliseconds."""
    return _headers(identity, now_ms, request_message(identity.name, now_ms, method, path))


def response_headers(identity: Identity, body: bytes, now_ms: int) -> dict[str, str]:
    """The three headers of an answer; `body` is all of it."""
    return _headers(identity, now_ms, response_message(identity.name, now_ms, body))


def request_message(name: str, ts_ms: int, method: str, path: str) -> bytes:
    return f"{name}{ts_ms}{method}{path}".encode()


def response_message(name: str, ts_ms: int, body: bytes) -> bytes:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    return f"{name}{ts_ms}{digest}".encode()


def check_request(
    headers: Mapping[str, str], method: str, path: str, now_ms: int, key_of: KeyOf
) -> str:
    """Who sent this request. `headers`: names in lower case, as ASGI and HTTP/2 have them.
    Raises `AuthFailed`."""
    name, ts_ms, signature = _claims(headers)
    _check_time(ts_ms, now_ms)
    _check_signature(name, request_message(name, ts_ms, method, path), signature, key_of)
    return name


def check_response(headers: Mapping[str, str], body: bytes, now_ms: int, key_of: KeyOf) -> str:
    """Who gave this answer; the caller compares it with whom it asked. `now_ms`: when its headers
    arrived, so that a long body does not make it too old. Raises `AuthFailed`."""
    name, ts_ms, signature = _claims(headers)
    _check_time(ts_ms, now_ms)
    _check_signature(name, response_message(name, ts_ms, body), signature, key_of)
    return name


def sign_digest(identity: Identity, digest: bytes) -> str:
    """Base64 of the signature of a 32-byte digest. The one inside an answer (`Selection.digest`)
    covers contents only as far as ids are recomputed."""
    return base64.b64encode(identity.sign(digest)).decode("ascii")


def is_signed_digest(key: bytes, digest: bytes, signature: str) -> bool:
    """Does this base64 signature of the digest verify with the key? Never raises."""
    decoded = _decode_base64(signature)
    return decoded is not None and is_signature(key, digest, decoded)


def is_signature(key: bytes, message: bytes, signature: bytes) -> bool:
    """Does the Ed25519 signature verify? False, never an error, for wrong lengths and weak keys."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def _headers(identity: Identity, now_ms: int, message: bytes) -> dict[str, str]:
    return {
        NAME_HEADER: identity.name,
        TIMESTAMP_HEADER: str(now_ms),
        SIGNATURE_HEADER: base64.b64encode(identity.sign(message)).decode("ascii"),
    }


def _claims(headers: Mapping[str, str]) -> tuple[str, int, str]:
    name = headers.get("x-nara-name")
    timestamp = headers.get("x-nara-timestamp")
    signature = headers.get("x-nara-signature")
    if not (name and timestamp and signature):
        raise AuthFailed("missing auth headers")
    # digits only: what is signed is the number, so no second spelling of it may pass
    if not _MILLISECONDS.fullmatch(timestamp) or str(int(timestamp)) != timestamp:
        raise AuthFailed("invalid timestamp")
    if not is_name(name):
        raise AuthFailed("unknown sender: that is no name")
    return name, int(timestamp), signature


def _check_time(ts_ms: int, now_ms: int) -> None:
    if abs(now_ms - ts_ms) > WINDOW_MS:
        raise AuthFailed(f"timestamp too old or in future: off by {abs(now_ms - ts_ms) // 1000} s")


def _check_signature(name: str, message: bytes, signature: str, key_of: KeyOf) -> None:
    key = key_of(name)
    if key is None:
        raise UnknownSender(name)
    decoded = _decode_base64(signature)
    if decoded is None:
        raise AuthFailed("invalid signature encoding")
    if not is_signature(key, message, decoded):
        raise AuthFailed("signature verification failed")


def _decode_base64(text: str) -> bytes | None:
    """Standard base64 with padding, as Go's StdEncoding takes it; None for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
