"""The answer to `GetKey`: a host's key, and with it the list of its keys that it signs itself.

A peer that knows the specification alone reads the key and skips the list; an answer without a
list is such a peer's. Field 1 is always the key that is used now. The list adds what a rotation
needs: the key that comes next, before it is used, and the one before, until nobody needs it.

A list is believed since it came over TLS from the host that it names, and since the current key
signed it: no other host, and no former key, can pass it off. It is all that counts: a key that it
leaves out is withdrawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from postbox.core import is_weak_key
from postbox.errors import WireError
from postbox.hosts.keys.rules import PeerKey, PeerKeys
from postbox.hosts.wire import CAPABILITIES
from postbox.rpc.auth.v1.auth_pb import GetKeyReply, HostKey, KeyList
from postbox.trust.host_keys import KEEP_MS, Rotation, host_key, kid_of, published
from postbox.trust.signatures import is_signature
from postbox.trust.tables import KEY_BYTES

MAX_REPLY_BYTES = 16 * 2**10
"""Of an answer; ours has 400."""

MAX_KEYS = 4
"""In a list: the current one, the next, the one before, and one for luck."""

MAX_CAPABILITIES = 16

_DOMAIN = b"postbox host keys\n"
"""Of what the host key signs besides tokens; those begin with `eyJ`."""

_CAPABILITY = re.compile(r"[A-Za-z0-9._-]{1,32}")


class BadKeyReply(WireError):
    """What came back is no host's key; the text says why."""


class Read(NamedTuple):
    peer: PeerKeys
    their_now_ms: int | None  # by their clock; None: a peer that knows the specification alone


def make_reply(own: str, soul_seed: bytes, rotation: Rotation, now_ms: int) -> bytes:
    """What the host called `own` answers. `soul_seed`: of its node."""
    keys = [
        (host_key(soul_seed, number), not_before_ms, valid_until_ms)
        for number, not_before_ms, valid_until_ms in published(rotation, now_ms)
    ]
    current = keys[0][0]
    listed = [HostKey(kid=key.kid, key=key.public_key, not_before_ms=not_before_ms,
                      valid_until_ms=valid_until_ms)
              for key, not_before_ms, valid_until_ms in keys]  # fmt: skip
    said = KeyList(host=own, keys=listed, capabilities=list(CAPABILITIES), now_ms=now_ms)
    raw = said.to_binary()
    signature = current.sign(_DOMAIN + raw)
    return GetKeyReply(key=current.public_key, list=raw, signature=signature).to_binary()


def read_reply(raw: bytes, host: str, now_ms: int) -> Read:
    """What `host` answered just now. Raises BadKeyReply."""
    if len(raw) > MAX_REPLY_BYTES:
        raise BadKeyReply(f"an answer to GetKey is at most {MAX_REPLY_BYTES} bytes")
    try:
        reply = GetKeyReply.from_binary(raw)
        said = KeyList.from_binary(reply.list)
    except (ValueError, RecursionError) as error:
        raise BadKeyReply(f"its answer cannot be read: {str(error)[:160]}") from error
    _check_key(reply.key)
    if not reply.list:
        key = PeerKey(kid_of(reply.key), reply.key, 0, now_ms + KEEP_MS)
        return Read(PeerKeys(host, (key,), (), now_ms), None)
    if not is_signature(reply.key, _DOMAIN + reply.list, reply.signature):
        raise BadKeyReply("the list of its keys is not signed with its key")
    if said.host != host:
        raise BadKeyReply(f"the list of keys is that of {said.host[:80]!r}")
    keys = _listed(said.keys, reply.key, now_ms)
    return Read(PeerKeys(host, keys, _capabilities(said.capabilities), now_ms), said.now_ms)


def _listed(listed: Sequence[HostKey], current: bytes, now_ms: int) -> tuple[PeerKey, ...]:
    if not 1 <= len(listed) <= MAX_KEYS or listed[0].key != current:
        raise BadKeyReply(f"a list has 1 to {MAX_KEYS} keys, and the current one is its first")
    for each in listed:
        _check_key(each.key)
        if each.kid != kid_of(each.key):
            raise BadKeyReply(f"{each.kid[:40]!r} is not the kid of the key beside it")
    if len({each.kid for each in listed}) < len(listed):
        raise BadKeyReply("a key stands twice in the list")
    keys = tuple(_bounded(each, now_ms) for each in listed if each.valid_until_ms > now_ms)
    if not keys or keys[0].key != current:
        raise BadKeyReply("its current key is not valid any more: compare the two clocks")
    return keys


def _bounded(listed: HostKey, now_ms: int) -> PeerKey:
    """Longer than that nobody is believed, whatever he says."""
    until_ms = min(listed.valid_until_ms, max(now_ms, listed.not_before_ms) + KEEP_MS)
    return PeerKey(listed.kid, listed.key, max(0, listed.not_before_ms), until_ms)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise BadKeyReply(f"an Ed25519 key is {KEY_BYTES} raw bytes, not {len(key)}")
    if is_weak_key(key):
        raise BadKeyReply("the key is weak: anyone can make signatures that fit it")


def _capabilities(named: Sequence[str]) -> tuple[str, ...]:
    """Those that can be kept; whoever names hundreds is not listened to any further."""
    return tuple(name for name in named[:MAX_CAPABILITIES] if _CAPABILITY.fullmatch(name))
