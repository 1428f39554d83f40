"""Who a mesh node is: nara's identities, derived as nara derives them (nara identity/*.go).

A *soul* is 40 bytes: a 32-byte seed and an 8-byte tag that binds the name to it. The seed is the
Ed25519 key's seed. Whoever has the soul is the node, so nothing here shows one unless asked by
name (`soul_text`), and no error text holds one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from functools import cached_property

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from postbox.core import base58_decode, base58_encode
from postbox.event import is_name
from postbox.trust.words import FIRST, SECOND
from postbox.world import Random

SEED_BYTES = 32
TAG_BYTES = 8
SIGNATURE_BYTES = 64
SOUL_BYTES = SEED_BYTES + TAG_BYTES


class SoulError(ValueError):
    """This is no soul, or not the soul of that name."""


def public_key_text(key: bytes) -> str:
    """As people and nara write it: base64 of the 32 bytes."""
    return base64.b64encode(key).decode("ascii")


@dataclass(frozen=True)
class Identity:
    """A name and the soul that goes with it; made by `identity_of` and `make_identity`."""

    name: str
    soul: bytes = field(repr=False)

    @cached_property
    def _key_pair(self) -> tuple[bytes, bytes]:
        """Public and secret (libsodium's 64 bytes)."""
        return crypto_sign_seed_keypair(self.soul[:SEED_BYTES])

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._key_pair[0]

    @cached_property
    def public_key_base64(self) -> str:
        return public_key_text(self.public_key)

    @cached_property
    def id(self) -> str:
        """nara's id of this identity. The soul goes into it, so an id cannot be checked against
        a public key by anyone else."""
        return base58_encode(hashlib.sha256(self.soul + self.name.encode()).digest())

    @property
    def soul_text(self) -> str:
        """The soul in base58: the secret itself, for the key file."""
        return base58_encode(self.soul)

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`, 64 bytes."""
        return crypto_sign(data, self._key_pair[1])[:SIGNATURE_BYTES]


def identity_of(name: str, seed: bytes) -> Identity:
    """The identity that this name and 32-byte seed give. Raises ValueError for a name that is
    none or a seed of another length."""
    if not is_name(name):
        raise ValueError(
            f"{name!r} cannot be a name: 1 to 64 characters,"
            ' without ":", space or control characters'
        )
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed is {SEED_BYTES} bytes, not {len(seed)}")
    return Identity(name, seed + soul_tag(seed, name))


def identity_from_text(name: str, soul_text: str) -> Identity:
    """The identity of a name and its soul in base58. Raises `SoulError`, which never quotes the
    soul."""
    try:
        soul = base58_decode(soul_text)
    except ValueError:
        raise SoulError("the soul is not base58 text") from None
    if len(soul) != SOUL_BYTES:
        raise SoulError(f"the soul is {len(soul)} bytes long, not {SOUL_BYTES}")
    if not is_name(name):
        raise SoulError(f"{name!r} cannot be a name")
    seed, tag = soul[:SEED_BYTES], soul[SEED_BYTES:]
    if not hmac.compare_digest(tag, soul_tag(seed, name)):
        raise SoulError(f"the soul does not belong to the name {name!r}")
    return Identity(name, soul)


def soul_tag(seed: bytes, name: str) -> bytes:
    """The 8 bytes that bind a name to a seed."""
    return hmac.digest(seed, b"nara:name:v2:" + name.encode(), "sha256")[:TAG_BYTES]


def make_identity(random: Random, name: str | None = None) -> Identity:
    """A new identity; without a name it gets one made from its key. Raises ValueError for a
    name that is none."""
    seed = random.bytes(SEED_BYTES)
    return identity_of(name if name is not None else name_of_seed(seed), seed)


def name_of_seed(seed: bytes) -> str:
    """Two words and four hex digits, chosen by the public key (never by secret bits): 268 million
    names, so two nodes of one mesh hardly ever share one."""
    digest = hashlib.sha256(b"postbox name" + crypto_sign_seed_keypair(seed)[0]).digest()
    first = FIRST[digest[0] % len(FIRST)]
    second = SECOND[digest[1] % len(SECOND)]
    return f"{first}-{second}-{digest[2:4].hex()}"
