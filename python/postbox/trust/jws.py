"""The signature of a token (JWS, RFC 7515): made and checked by joserfc, with one algorithm and one
type of key. Loaded with the first token that is.
"""

from __future__ import annotations

from functools import lru_cache

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import EdDSAAlgorithm
from joserfc.jwk import OKPKey

from postbox.trust.host_keys import HostKey
from postbox.trust.jwt import encoded


class _EdDSA(EdDSAAlgorithm):
    """joserfc warns at each use of the name, since RFC 9864 prefers "Ed25519" for it. The
    specification's peers say EdDSA, and here it means that one curve."""

    security_warning = ""


class _Registry(jws.JWSRegistry):
    """Knows no other algorithm, whatever a header asks for."""

    algorithms = {"EdDSA": _EdDSA(), "Ed25519": _EdDSA()}  # noqa: RUF012  (declared by joserfc)


_REGISTRY = _Registry(algorithms=["EdDSA", "Ed25519"])


def is_signed(text: str, key: bytes) -> bool:
    """Is the token signed with this key (32 bytes)?"""
    try:
        jws.deserialize_compact(text, _public(key), registry=_REGISTRY)
    except (JoseError, ValueError):
        return False
    return True


def signed(header: dict[str, str], payload: str, key: HostKey) -> str:
    return jws.serialize_compact(header, payload, _private(key), registry=_REGISTRY)


@lru_cache(maxsize=4)  # the current key, and whatever else is under way
def _private(key: HostKey) -> OKPKey:
    x, d = encoded(key.public_key), encoded(key.seed)
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})


@lru_cache(maxsize=1024)
def _public(key: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": encoded(key)})
