"""How a token is written: a JWT (RFC 7519) in compact form, signed by Ed25519, and read strictly.

What anybody may have written into a header (a key, a URL, another algorithm) is never acted on:
what a header and claims may say is the reader's to list (`checked`), and a name that stands twice
is refused before the signature is looked at, which `jws` makes and checks.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from postbox.errors import WireError
from postbox.trust.host_keys import HostKey

MAX_CHARACTERS = 4096
"""Of a token, looked at before all else; one of a host between two long names has about 1,000."""

Seconds = Annotated[float, msgspec.Meta(ge=0, lt=2**53)]
"""A NumericDate, in Unix seconds."""

Uuid4 = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z"
    ),
]

KeyId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{22}\Z")]
"""Of a key of ours, as `kid_of` makes it."""


class BadToken(WireError):
    """This token does not show who asks; the text says why."""


class Said(NamedTuple):
    """What stands in a token, its signature not looked at yet."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]


def read_jwt(text: str) -> Said:
    """Raises BadToken for what is not written as a token."""
    if len(text) > MAX_CHARACTERS:
        raise BadToken(f"a token has at most {MAX_CHARACTERS} characters, not {len(text)}")
    if not text:
        raise BadToken("the request has no token")
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken(f"a token has three parts with dots between (JWS), not {len(parts)}")
    header, claims, signature = (decoded(part) for part in parts)
    if len(signature) != 64:
        raise BadToken(f"an Ed25519 signature is 64 bytes, not {len(signature)}")
    return Said(text, _object(header, "header"), _object(claims, "claims"))


_T = TypeVar("_T")


def checked(found: dict[str, Any], kind: type[_T], what: str) -> _T:
    """The header or the claims as `kind`. Raises BadToken."""
    try:
        return msgspec.convert(found, kind)
    except (msgspec.ValidationError, UnicodeError) as error:  # half of a surrogate pair, too
        raise BadToken(f"its {what} cannot be accepted: {str(error)[:160]}") from error


def is_signed(text: str, key: bytes) -> bool:
    """Is the token signed with this key (32 bytes)?"""
    from postbox.trust import jws  # joserfc and cryptography: a tenth of what a start takes

    return jws.is_signed(text, key)


def signed(header: dict[str, str], claims: dict[str, Any], key: HostKey) -> str:
    from postbox.trust import jws

    return jws.signed(header, json.dumps(claims, separators=(",", ":")), key)


def uuid4_text(random: bytes) -> str:
    """Of 16 random bytes."""
    raw = bytearray(random)
    raw[6] = 0x40 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


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


_SEGMENT = re.compile(r"[A-Za-z0-9_-]*")


def decoded(segment: str) -> bytes:
    """base64url without padding, in its one canonical spelling. Raises BadToken."""
    try:
        if _SEGMENT.fullmatch(segment):
            raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
            if encoded(raw) == segment:
                return raw
    except binascii.Error:
        pass
    raise BadToken("a part of it is not base64url without padding")


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
