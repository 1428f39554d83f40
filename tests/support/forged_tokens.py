"""What tokens must not be: headers and spellings with which others have been got in by, for every
kind of token. The signature is a good one each time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from postbox.trust.host_keys import HostKey


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(header: object, claims: object, key: HostKey) -> str:
    """Whatever it says, its signature is good."""
    parts = [part if isinstance(part, bytes) else json_of(part) for part in (header, claims)]
    body = ".".join(map(encoded, parts))
    return f"{body}.{encoded(key.sign(body.encode()))}"


def json_of(said: object) -> bytes:
    return json.dumps(said).encode()


ALG: list[dict[str, Any]] = [
    {"alg": "none"},
    {"alg": "None"},
    {"alg": ""},
    {"alg": None},
    {"alg": ["EdDSA"]},
    {"alg": "eddsa"},
    {"alg": "EDDSA"},
    {"alg": "EdDSA "},
    {"alg": "HS256"},
    {"alg": "HS512"},
    {"alg": "RS256"},
    {"alg": "PS256"},
    {"alg": "ES256"},
    {"alg": "ES256K"},
    {"alg": "Ed25519"},
    {"alg": "Ed448"},
    {"alg": "EdDSA\0"},
]
MORE: list[dict[str, Any]] = [
    {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes(32))}},
    {"jku": "https://c.example/keys"},
    {"x5u": "https://c.example/keys"},
    {"x5c": ["MIIB"]},
    {"x5t": "abc"},
    {"x5t#S256": "abc"},
    {"crit": ["exp"], "exp": 1},
    {"crit": []},
    {"b64": False},
    {"b64": False, "crit": ["b64"]},
    {"b64": True},
    {"zip": "DEF"},
    {"cty": "JWT"},
    {"enc": "A256GCM"},
    {"epk": {}},
    {"p2c": 10**9},
    {"url": "https://c.example"},
    {"nonce": "1"},
    {"": ""},
    {"ALG": "none"},
    {"constructor": 1},
    {"\ud800": 1},
]

NO_OBJECTS = [
    b"",
    b"{",
    b"{}{}",
    b"[]",
    b"null",
    b'"x"',
    b"1",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b"{'alg':'EdDSA'}",
    b"[" * 1400,
    b'{"a":' * 550,
    b'{"alg":NaN}',
    b'{"alg":1e999}',
    b'{"alg":Infinity}',
    b'{"alg":' + b"9" * 2900 + b"}",
]

WRITTEN: list[Callable[[str, str, str], str]] = [
    lambda h, c, s: "",
    lambda h, c, s: ".",
    lambda h, c, s: "..",
    lambda h, c, s: f"{h}.{c}",
    lambda h, c, s: f"{h}.{c}.",
    lambda h, c, s: f"{h}..{s}",
    lambda h, c, s: f".{c}.{s}",
    lambda h, c, s: f"{h}.{c}.{s}.",
    lambda h, c, s: f"{h}.{c}.{s}.{s}",
    lambda h, c, s: f"{h}.{c}.{s}.{c}.{s}",
    lambda h, c, s: f" {h}.{c}.{s}",
    lambda h, c, s: f"{h}.{c}.{s}\n",
    lambda h, c, s: f"{h}.\n{c}.{s}",
    lambda h, c, s: f"Bearer {h}.{c}.{s}",
    lambda h, c, s: f"{h}=.{c}.{s}",
    lambda h, c, s: f"{h}.{c}==.{s}",
    lambda h, c, s: f"{h}.{c}.{s}==",
    lambda h, c, s: f"{h}.{c}.{s[:-1]}",
    lambda h, c, s: f"{h}.{c}.{s}A",
    lambda h, c, s: f"{h}.{c}.{encoded(b'x' * 63)}",
    lambda h, c, s: f"{h}.{c}.{encoded(b'x' * 65)}",
    lambda h, c, s: f"{h}.{c}.{s[:-1]}{chr(ord(s[-1]) + 1)}",  # bits that no byte has
    lambda h, c, s: f"{h}.{c}.!{s}",
    lambda h, c, s: f"{h[:4]}+{h[4:]}.{c}.{s}",
    lambda h, c, s: f"{h}.{c}.{s[:40]}\u0661{s[40:]}",
    lambda h, c, s: json.dumps({"protected": h, "payload": c, "signature": s}),
    lambda h, c, s: json.dumps(
        {"payload": c, "signatures": [{"protected": h, "signature": s}] * 2}
    ),
]
