"""A host's own keys: how they are made, and which of them is used when.

Host key number n is derived from the node's seed and n. So there is no further secret to store or
to lose, every process of a node and every restored copy of it has the same keys, and a change of
keys is a row with a number and a time (`Rotation`): nothing needs to be written at the moment when
a published key comes into use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from postbox.rules import Reason
from postbox.trust.keys import SEED_BYTES, SIGNATURE_BYTES

KEEP_MS = 7 * 86_400_000
"""How long a key that was fetched counts at most: Matrix's number. A host that could not be asked
for so long may have changed hands, and a stolen key must not be good for ever."""

AHEAD_MS = KEEP_MS * 4 // 7
"""How long a key is published before it is used: longer than the half of KEEP_MS after which every
host that can ask asks again. So hardly anybody has to fetch the key when it comes into use."""

OVERLAP_MS = KEEP_MS
"""How long the key before it stays published: until everybody has forgotten it anyway, and a node
that was put back to before the change is still understood."""

IN_FLIGHT_MS = 150_000
"""The same after a change at once, which is for a key that is in wrong hands: as long as a token
that was made a moment ago may travel (60 s, and twice 30 s between two clocks), and a little."""

_DERIVE_DOMAIN = b"postbox: host key\0"


def kid_of(key: bytes) -> str:
    """A key's name in tokens and lists: 16 bytes of its SHA-256 in base64url, 22 characters."""
    return base64.urlsafe_b64encode(hashlib.sha256(key).digest()[:16]).decode().rstrip("=")


@dataclass(frozen=True)
class HostKey:
    """One of a host's own keys, with its secret."""

    number: int
    seed: bytes = field(repr=False)

    @cached_property
    def _pair(self) -> tuple[bytes, bytes]:
        return crypto_sign_seed_keypair(self.seed)

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._pair[0]

    @cached_property
    def kid(self) -> str:
        return kid_of(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`, 64 bytes."""
        return crypto_sign(data, self._pair[1])[:SIGNATURE_BYTES]


@lru_cache(maxsize=16)  # a token is signed with it for every request
def host_key(soul_seed: bytes, number: int) -> HostKey:
    """Key `number` of the node with this seed (the first 32 bytes of its soul)."""
    if len(soul_seed) != SEED_BYTES or number < 0:
        raise ValueError(f"a seed is {SEED_BYTES} bytes, and keys are counted from 0")
    derived = hmac.digest(soul_seed, _DERIVE_DOMAIN + number.to_bytes(8, "big"), "sha256")
    return HostKey(number, derived)


class Rotation(NamedTuple):
    """Key `number` is used from `from_ms` on, and the one before it until then. That one is
    published until `old_until_ms`."""

    number: int
    from_ms: int
    old_until_ms: int

    def number_at(self, now_ms: int) -> int:
        """Of the key that is used now."""
        return self.number if now_ms >= self.from_ms else self.number - 1


FIRST = Rotation(0, 0, 0)
"""Of a host that never changed its key."""


class Published(NamedTuple):
    """A key of ours as others are told of it."""

    number: int
    not_before_ms: int
    valid_until_ms: int


def published(rotation: Rotation, now_ms: int) -> Iterator[Published]:
    """What the list of keys holds now, the current key first."""
    number, from_ms, old_until_ms = rotation
    newest = Published(number, from_ms, max(now_ms, from_ms) + KEEP_MS)
    if now_ms >= from_ms:
        yield newest
        if number and now_ms < old_until_ms:
            yield Published(number - 1, 0, old_until_ms)
    else:
        yield Published(number - 1, 0, old_until_ms)
        yield newest


def rotated(rotation: Rotation, now_ms: int, *, is_at_once: bool) -> Rotation | Reason:
    """The keys after `postbox keys rotate`: the next key is published now and used in AHEAD_MS; or
    it is used at once, and the old one is out as soon as nothing signed with it is on its way.
    Once a key is published, its change can only be hurried."""
    is_pending = now_ms < rotation.from_ms
    if is_at_once:
        number = rotation.number if is_pending else rotation.number + 1
        return Rotation(number, now_ms, now_ms + IN_FLIGHT_MS)
    if is_pending:
        days = (rotation.from_ms - now_ms) / 86_400_000
        return Reason(
            "rotation_under_way",
            f"the next key is published already and comes into use in {days:.1f} days;"
            " to use it at once: postbox keys rotate --now",
        )
    from_ms = now_ms + AHEAD_MS
    return Rotation(rotation.number + 1, from_ms, from_ms + OVERLAP_MS)
