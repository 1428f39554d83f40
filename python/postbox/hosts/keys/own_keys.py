"""This host's own keys: signs its tokens, and answers who asks for its key.

Promises: nothing here waits or touches the database once it is loaded, so that a host that is asked
for its key answers whatever else it is doing: two hosts that start at once ask each other.
"""

from __future__ import annotations

import msgspec

from postbox.hosts.keys.key_list import make_reply
from postbox.hosts.keys.rules import KIND_HOST_KEY, OWN_ROTATION, STREAM, rotation
from postbox.log.committed import Committed
from postbox.store.contract import Lane, Reader
from postbox.trust.host_keys import FIRST, HostKey, Rotation, host_key
from postbox.trust.keys import SEED_BYTES, Identity
from postbox.trust.tokens import Rpc, sign_plain, sign_strict
from postbox.world import Clock


class OwnKeys:
    def __init__(self, identity: Identity, own: str, clock: Clock) -> None:
        """`own`: this host's canonical name."""
        self._soul_seed = identity.soul[:SEED_BYTES]
        self._own = own
        self._clock = clock
        self._rotation = FIRST

    def load(self, reader: Reader) -> None:
        """Start from the rows: before the first commit is applied, and after a gap in them."""
        rows = list(reader.query(OWN_ROTATION))
        self._rotation = rotation(rows[0] if rows else None)

    def applied(self, committed: Committed) -> None:
        """The follower's call, in position order."""
        for entry in committed.streams.get((Lane.HOSTS, STREAM), ()):
            if entry.kind == KIND_HOST_KEY:
                assert entry.body is not None
                self._rotation = msgspec.json.decode(entry.body, type=Rotation)

    @property
    def rotation(self) -> Rotation:
        return self._rotation

    @property
    def current(self) -> HostKey:
        """The key that is used now."""
        return host_key(self._soul_seed, self._rotation.number_at(self._now_ms()))

    def reply(self) -> bytes:
        """A serialised GetKeyReply."""
        return make_reply(self._own, self._soul_seed, self._rotation, self._now_ms())

    def sign(self, host: str, rpc: Rpc, bh: bytes, *, jti: bytes, is_plain: bool = False) -> str:
        """A token for one request to `host`. `bh`: the SHA-256 of what the request carries;
        `jti`: 16 new bytes; `is_plain`: for a host that knows the specification alone."""
        if is_plain:
            return sign_plain(self.current, jti)
        now_s = self._clock.now_ns() / 1e9
        return sign_strict(
            self.current, iss=self._own, aud=host, rpc=rpc, bh=bh, now_s=now_s, jti=jti
        )

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000
