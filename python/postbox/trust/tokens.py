"""The token by which a host shows that a request is its own: a JWT (RFC 7519), signed by Ed25519.

*Strict*: header `{alg: EdDSA, typ: postbox+jwt, kid}`, claims `{iss, aud, iat, exp, jti, rpc, bh}`:
from whom, for whom, when, for at most 60 s, which call, and the SHA-256 of what the call carries.
It is of no use to whoever it was given to, nor for another request.
*Plain*: header `{alg: EdDSA}` and claims `{jti}`, all that the specification knows. Whoever saw one
can use it again, which is why a caller asks whether the host may use such tokens.

A token is exactly one of the two; with one more name in it, or one twice, it is refused before its
signature is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

from postbox.trust.host_keys import HostKey
from postbox.trust.jwt import (
    BadToken,
    KeyId,
    Seconds,
    Uuid4,
    checked,
    decoded,
    encoded,
    is_signed,
    read_jwt,
    signed,
    uuid4_text,
)

LIFE_S = 60
"""From `iat` to `exp` at most, and in our own: a slow network's time, and not a replayer's."""

LEEWAY_S = 30
"""Between two hosts' clocks. Machines that ask for the time are within one second."""

Rpc: TypeAlias = Literal["Sync", "PostEvent", "PostEvents", "Ack"]

_Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]


class _StrictHeader(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["postbox+jwt"]
    kid: KeyId


class _StrictClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: str
    aud: str
    iat: Seconds
    exp: Seconds
    jti: Uuid4
    rpc: Rpc
    bh: _Sha256


class _PlainHeader(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["JWT"] = "JWT"  # which many libraries add by themselves


class _PlainClaims(msgspec.Struct, forbid_unknown_fields=True):
    jti: Uuid4


@dataclass(frozen=True)
class StrictToken:
    """What a strict token says, its signature not looked at yet."""

    text: str
    kid: str
    iss: str
    aud: str
    iat_s: float
    exp_s: float
    jti: bytes  # 16
    rpc: Rpc
    bh: bytes  # 32


@dataclass(frozen=True)
class PlainToken:
    """What a plain token says, its signature not looked at yet."""

    text: str
    jti: bytes  # 16


Token: TypeAlias = StrictToken | PlainToken


def sign_strict(
    key: HostKey, *, iss: str, aud: str, rpc: Rpc, bh: bytes, now_s: float, jti: bytes
) -> str:
    """A token for one request, good for LIFE_S. `jti`: 16 new random bytes. Its `iat` has
    milliseconds (RFC 7519 allows it), so that what is signed right after a host's start is not
    taken for older."""
    header = {"alg": "EdDSA", "typ": "postbox+jwt", "kid": key.kid}
    claims = {
        "iss": iss,
        "aud": aud,
        "iat": int(now_s * 1000) / 1000,
        "exp": int(now_s) + LIFE_S,
        "jti": uuid4_text(jti),
        "rpc": rpc,
        "bh": encoded(bh),
    }
    return signed(header, claims, key)


def sign_plain(key: HostKey, jti: bytes) -> str:
    """A token as the specification has it, for a host that knows no other."""
    return signed({"alg": "EdDSA"}, {"jti": uuid4_text(jti)}, key)


def read_token(text: str) -> Token:
    """What a token says, if it is written as one; nothing in it is proved. Raises BadToken."""
    said = read_jwt(text)
    if "typ" not in said.header or said.header["typ"] == "JWT":
        checked(said.header, _PlainHeader, "header")
        return PlainToken(text, _uuid_bytes(checked(said.claims, _PlainClaims, "claims").jti))
    kid = checked(said.header, _StrictHeader, "header").kid
    return _strict(text, kid, checked(said.claims, _StrictClaims, "claims"))


def check_strict(
    token: StrictToken,
    *,
    host: str,
    own: str,
    rpc: Rpc,
    bh: bytes,
    now_s: float,
    issued_after_s: float,
) -> None:
    """Is it `host`'s word to this host (`own`), now, about this very request? All but the
    signature. `issued_after_s`: when this process started, since it does not know which tokens
    the one before it has seen. Raises BadToken."""
    if token.iss != host:
        raise BadToken(f"its iss is {token.iss[:80]!r}, and the request says it is from {host}")
    if token.aud != own:
        raise BadToken(f"its aud is {token.aud[:80]!r}: it was made for another host than {own}")
    if token.rpc != rpc:
        raise BadToken(f"it was made for {token.rpc}, not for {rpc}")
    _check_times(token, now_s, issued_after_s)
    if token.bh != bh:
        raise BadToken("its bh is not the SHA-256 of what this request carries")


def verify(token: Token, key: bytes) -> bool:
    """Is it signed with this key (32 bytes)?"""
    return is_signed(token.text, key)


def _check_times(token: StrictToken, now_s: float, issued_after_s: float) -> None:
    ours = f"this host's time is {datetime.fromtimestamp(int(now_s), UTC):%F %T} UTC"
    if not 0 < token.exp_s - token.iat_s <= LIFE_S:
        raise BadToken(f"from its iat to its exp it must be 1 to {LIFE_S} s")
    if token.iat_s > now_s + LEEWAY_S:
        raise BadToken(
            f"its iat is {token.iat_s - now_s:.0f} s ahead: compare the two clocks; {ours}"
        )
    if token.exp_s + LEEWAY_S <= now_s:
        raise BadToken(
            f"it expired {now_s - token.exp_s:.0f} s ago: compare the two clocks; {ours}"
        )
    if token.iat_s < issued_after_s:
        raise BadToken(f"it was issued before this host started: sign a new one; {ours}")


def _strict(text: str, kid: str, claims: _StrictClaims) -> StrictToken:
    return StrictToken(
        text,
        kid,
        claims.iss,
        claims.aud,
        claims.iat,
        claims.exp,
        _uuid_bytes(claims.jti),
        claims.rpc,
        decoded(claims.bh),
    )


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))
