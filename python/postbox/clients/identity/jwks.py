"""An issuer's keys as it publishes them: a JSON Web Key Set (RFC 7517), of which its Ed25519 keys
(RFC 8037) count and all else is passed over, each with a word why."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from postbox.core import is_weak_key
from postbox.errors import WireError
from postbox.trust.jwt import BadToken, decoded
from postbox.trust.tables import KEY_BYTES

MAX_BYTES = 64 * 2**10
"""Of a set. One of ten RSA keys with certificates has 40 KiB; an Ed25519 key 150 bytes."""

MAX_KEYS = 100
"""That are looked at: an issuer publishes the current one and a few beside it."""


class BadKeySet(WireError):
    """What was published is no set of keys; the text says why."""


class KeySet(NamedTuple):
    keys: dict[str, bytes]
    """By kid."""
    passed_over: tuple[str, ...]
    """Which keys of it do not count, and why."""


def read_key_set(raw: bytes) -> KeySet:
    """Raises BadKeySet."""
    if len(raw) > MAX_BYTES:
        raise BadKeySet(f"a set of keys has at most {MAX_BYTES} bytes, not {len(raw)}")
    try:
        said = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadKeySet(f"it is no JSON: {str(error)[:160]}") from error
    listed = said.get("keys") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise BadKeySet('it is no JSON object with a list "keys" in it')
    if len(listed) > MAX_KEYS:
        raise BadKeySet(f"it has {len(listed)} keys, and {MAX_KEYS} is the most")
    return _sorted(listed)


def _sorted(listed: list[Any]) -> KeySet:
    keys: dict[str, bytes] = {}
    twice: set[str] = set()
    passed_over: list[str] = []
    for number, each in enumerate(listed, 1):
        try:
            kid, key = _key(each)
        except BadToken as why:
            passed_over.append(f"key {number}: {why}")
            continue
        if keys.setdefault(kid, key) != key:
            twice.add(kid)
    for kid in sorted(twice):  # which of the two is meant is nobody's to guess
        del keys[kid]
        passed_over.append(f"kid {kid[:80]!r}: it stands there twice, with different keys")
    return KeySet(keys, tuple(passed_over))


def _key(found: Any) -> tuple[str, bytes]:
    """Raises BadToken, which says why a key does not count."""
    if not isinstance(found, dict):
        raise BadToken("it is no JSON object")
    if "d" in found:
        raise BadToken("its secret is published with it: whoever read that can sign with it")
    if (found.get("kty"), found.get("crv")) != ("OKP", "Ed25519"):
        raise BadToken("it is no Ed25519 key (kty OKP, crv Ed25519)")
    if found.get("use", "sig") != "sig" or found.get("alg", "EdDSA") not in ("EdDSA", "Ed25519"):
        raise BadToken("it is for another use than EdDSA signatures")
    kid, x = found.get("kid"), found.get("x")
    if not isinstance(kid, str) or not kid or not isinstance(x, str):
        raise BadToken("it has no kid, or no x")
    key = decoded(x)
    if len(key) != KEY_BYTES or is_weak_key(key):
        raise BadToken("its x is no Ed25519 public key, or a weak one")
    return kid, key
