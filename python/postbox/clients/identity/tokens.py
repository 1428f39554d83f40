"""What a client's token says: who calls, from which device, and until when.

*Ours*: header `{alg: EdDSA, typ: postbox-client+jwt, kid}`, claims `{iss, aud, sub, device, iat,
exp, jti}`, made by `postbox token mint` and signed with a key that is derived from the node's seed:
every process of a node can make one, and check it, and there is no further secret to keep.
*An issuer's*: header `{alg, kid}` and perhaps a `typ` of its own, and at least `{iss, aud, sub,
iat, exp}`; who signs in elsewhere is known here by it.

A token says of exactly one user that it is calling, and of which device if it says so. Nothing in
it is proved before its signature is: `identity/callers.py` sees to the order.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from postbox.clients.identity.names import device_refusal, user_refusal
from postbox.clients.rules.devices import SKEW_MS
from postbox.trust.host_keys import HostKey
from postbox.trust.jwt import (
    BadToken,
    KeyId,
    Seconds,
    Uuid4,
    checked,
    read_jwt,
    signed,
    uuid4_text,
)
from postbox.trust.keys import SEED_BYTES

TYPE = "postbox-client+jwt"
AUDIENCE = "postbox-clients"

DAY_MS = 86_400_000

_DERIVE_DOMAIN = b"postbox: client tokens\0"


class Expired(BadToken):
    """It was good, and its time is over."""


class ClientToken(NamedTuple):
    """`device`: empty if an issuer's token does not say."""

    kid: str
    iss: str
    audiences: tuple[str, ...]
    user: str
    device: str
    iat_ms: int
    exp_ms: int
    nbf_ms: int
    is_ours: bool


class _OwnHeader(Struct, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["postbox-client+jwt"]
    kid: KeyId


class _OwnClaims(Struct, forbid_unknown_fields=True):
    iss: str
    aud: Literal["postbox-clients"]
    sub: str
    device: str
    iat: Seconds
    exp: Seconds
    jti: Uuid4


class _IssuerHeader(Struct, forbid_unknown_fields=True):
    """`Ed25519` is the name that RFC 9864 gives to what was `EdDSA` with that curve."""

    alg: Literal["EdDSA", "Ed25519"]
    kid: str
    typ: Literal["JWT", "jwt", "at+jwt", "application/at+jwt"] = "JWT"


class _IssuerClaims(Struct):
    """Issuers say much more, which is nothing to us."""

    iss: str
    aud: str | list[str]
    sub: str
    iat: Seconds
    exp: Seconds
    nbf: Seconds = 0
    device: str = ""


_Claims: TypeAlias = _OwnClaims | _IssuerClaims


@lru_cache(maxsize=4)
def token_key(soul_seed: bytes) -> HostKey:
    """That the node with this seed (the first 32 bytes of its soul) signs clients' tokens with."""
    if len(soul_seed) != SEED_BYTES:
        raise ValueError(f"a seed is {SEED_BYTES} bytes")
    return HostKey(0, hmac.digest(soul_seed, _DERIVE_DOMAIN, "sha256"))


def mint(
    key: HostKey, *, iss: str, user: str, device: str, iat_ms: int, exp_ms: int, jti: bytes
) -> str:
    """A token of our own. `jti`: 16 new random bytes."""
    header = {"alg": "EdDSA", "typ": TYPE, "kid": key.kid}
    claims = {
        "iss": iss,
        "aud": AUDIENCE,
        "sub": user,
        "device": device,
        "iat": iat_ms / 1000,
        "exp": exp_ms / 1000,
        "jti": uuid4_text(jti),
    }
    return signed(header, claims, key)


def read_token(text: str) -> ClientToken:
    """What a token says, if it is written as one; nothing in it is proved. Raises BadToken."""
    said = read_jwt(text)
    if said.header.get("typ") == TYPE:
        own = checked(said.claims, _OwnClaims, "claims")
        kid = checked(said.header, _OwnHeader, "header").kid
        return _read(kid, own, (own.aud,), 0, is_ours=True)
    kid = checked(said.header, _IssuerHeader, "header").kid
    claims = checked(said.claims, _IssuerClaims, "claims")
    audiences = (claims.aud,) if isinstance(claims.aud, str) else tuple(claims.aud)
    return _read(kid, claims, audiences, claims.nbf, is_ours=False)


def _read(
    kid: str, claims: _Claims, audiences: tuple[str, ...], nbf: float, *, is_ours: bool
) -> ClientToken:
    refusal = user_refusal(claims.sub)
    if refusal is None and (claims.device or is_ours):
        refusal = device_refusal(claims.device)
    if refusal is not None:
        raise BadToken(refusal)
    return ClientToken(
        kid,
        claims.iss,
        audiences,
        claims.sub,
        claims.device,
        _ms(claims.iat),
        _ms(claims.exp),
        _ms(nbf),
        is_ours,
    )


def check_times(token: ClientToken, now_ms: int) -> None:
    """Raises BadToken, and Expired once its time is over."""
    ahead_ms = max(token.iat_ms, token.nbf_ms) - now_ms
    if ahead_ms > SKEW_MS:
        raise BadToken(f"it begins {ahead_ms // 1000} s ahead: compare the two clocks")
    if token.exp_ms <= token.iat_ms:
        raise BadToken("its exp is not after its iat")
    if token.exp_ms <= now_ms:
        raise Expired(f"it expired {(now_ms - token.exp_ms) // 1000} s ago: get a new one")


def first_iat_ms(now_ms: int, revoked_ms: int) -> int:
    """For a token that is made now: behind the revocation, however short a time ago that was."""
    return max(now_ms, revoked_ms + SKEW_MS if revoked_ms else 0)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
