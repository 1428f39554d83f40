"""The token by which a host shows that a request is its own: a JWT (RFC 7519), signed by Ed25519.

*Strict*: header `{alg: EdDSA, typ: postbox+jwt, kid}`, claims `{iss, aud, iat, exp, jti, rpc, bh}`:
from whom, for whom, when, for at most 60 s, which call, and the SHA-256 of what the call carries.
It is of no use to whoever it was given to, nor for another request.
*Plain*: header `{alg: EdDSA}` and claims `{jti}`, all that the specification knows. Whoever saw one
can use it again, which is why a caller asks whether the host may use such tokens.

A token is exactly one of the two. What anybody may have written into a header (a key, a URL,
another algorithm) is never acted on: with one more name in it, or one twice, the token is refused
before its signature is looked at. joserfc checks that, with one algorithm and one type of key.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import EdDSAAlgorithm
from joserfc.jwk import OKPKey

from postbox.errors import WireError
from postbox.trust.host_keys import HostKey

MAX_CHARACTERS = 4096
"""Of a token, looked at before all else; a strict one between two long names has about 1,000."""

LIFE_S = 60
"""From `iat` to `exp` at most, and in our own: a slow network's time, and not a replayer's."""

LEEWAY_S = 30
"""Between two hosts' clocks. Machines that ask for the time are within one second."""

Rpc: TypeAlias = Literal["Sync", "PostEvent", "PostEvents", "Ack"]


class BadToken(WireError):
    """This token does not show who asks; the text says why."""


class _EdDSA(EdDSAAlgorithm):
    """joserfc warns at each use of the name, since RFC 9864 prefers "Ed25519" for it. The
    specification's peers say EdDSA, and here it means that one curve."""

    security_warning = ""


class _Registry(jws.JWSRegistry):
    """Knows no other algorithm, whatever a header asks for."""

    algorithms = {"EdDSA": _EdDSA()}  # noqa: RUF012  (declared by joserfc)


_REGISTRY = _Registry(algorithms=["EdDSA"])

_Kid = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{22}\Z")]
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=2**53)]
_Uuid4 = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"
    ),
]


class _StrictHeader(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["postbox+jwt"]
    kid: _Kid


class _StrictClaims(msgspec.Struct, forbid_unknown_fields=True):
    iss: str
    aud: str
    iat: _Seconds
    exp: _Seconds
    jti: _Uuid4
    rpc: Rpc
    bh: _Sha256


class _PlainHeader(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["JWT"] = "JWT"  # which many libraries add by themselves


class _PlainClaims(msgspec.Struct, forbid_unknown_fields=True):
    jti: _Uuid4


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
        "jti": _uuid4_text(jti),
        "rpc": rpc,
        "bh": _encoded(bh),
    }
    return _signed(header, claims, key)


def sign_plain(key: HostKey, jti: bytes) -> str:
    """A token as the specification has it, for a host that knows no other."""
    return _signed({"alg": "EdDSA"}, {"jti": _uuid4_text(jti)}, key)


def read_token(text: str) -> Token:
    """What a token says, if it is written as one; nothing in it is proved. Raises BadToken."""
    if len(text) > MAX_CHARACTERS:
        raise BadToken(f"a token has at most {MAX_CHARACTERS} characters, not {len(text)}")
    if not text:
        raise BadToken("the request has no token")
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken(f"a token has three parts with dots between (JWS), not {len(parts)}")
    header, claims, signature = (_decoded(part) for part in parts)
    if len(signature) != 64:
        raise BadToken(f"an Ed25519 signature is 64 bytes, not {len(signature)}")
    said = _object(header, "header")
    if "typ" not in said or said["typ"] == "JWT":
        _checked(said, _PlainHeader, "header")
        return PlainToken(text, _plain_jti(_object(claims, "claims")))
    kid = _checked(said, _StrictHeader, "header").kid
    return _strict(text, kid, _checked(_object(claims, "claims"), _StrictClaims, "claims"))


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
    try:
        jws.deserialize_compact(token.text, _public(key), registry=_REGISTRY)
    except (JoseError, ValueError):
        return False
    return True


def _check_times(token: StrictToken, now_s: float, issued_after_s: float) -> None:
    ours = f"this host's time is {int(now_s)} (Unix seconds)"
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
        _decoded(claims.bh),
    )


def _plain_jti(claims: dict[str, Any]) -> bytes:
    return _uuid_bytes(_checked(claims, _PlainClaims, "claims").jti)


def _object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object in which no name stands twice: parsers disagree about which one counts."""
    try:
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise BadToken(f"its {what} cannot be read: {str(error)[:160]}") from error
    if not isinstance(found, dict):
        raise BadToken(f"its {what} is no JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text[:20]} is no number")


_T = TypeVar("_T")


def _checked(found: dict[str, Any], kind: type[_T], what: str) -> _T:
    try:
        return msgspec.convert(found, kind)
    except (msgspec.ValidationError, UnicodeError) as error:  # half of a surrogate pair, too
        raise BadToken(f"its {what} is not that of a host's token: {str(error)[:160]}") from error


_SEGMENT = re.compile(r"[A-Za-z0-9_-]*")


def _decoded(segment: str) -> bytes:
    """base64url without padding, in its one canonical spelling. Raises BadToken."""
    try:
        if _SEGMENT.fullmatch(segment):
            raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
            if _encoded(raw) == segment:
                return raw
    except binascii.Error:
        pass
    raise BadToken("a part of it is not base64url without padding")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _uuid4_text(random: bytes) -> str:
    raw = bytearray(random)
    raw[6] = 0x40 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def _signed(header: dict[str, str], claims: dict[str, Any], key: HostKey) -> str:
    payload = json.dumps(claims, separators=(",", ":"))
    return jws.serialize_compact(header, payload, _private(key), registry=_REGISTRY)


@lru_cache(maxsize=4)  # the current key, and whatever else is under way
def _private(key: HostKey) -> OKPKey:
    x, d = _encoded(key.public_key), _encoded(key.seed)
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})


@lru_cache(maxsize=1024)
def _public(key: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _encoded(key)})
