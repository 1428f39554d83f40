"""The node's own keys: the one by which peers know it, and those by which other hosts do, with
their change."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.admin.host_names import own_host
from postbox.admin.links import time_of
from postbox.errors import Fault
from postbox.hosts.keys.rules import OWN_ROTATION, HostKeyRules, Rotate, rotation
from postbox.node import Node
from postbox.rules import Rejected
from postbox.trust.host_keys import Published, host_key, published
from postbox.trust.keys import SEED_BYTES


class OwnHostKey(Struct, frozen=True):
    """A key that other hosts are told of. `use`: this host signs with it now, will, or did; `ends`:
    when a former one is withdrawn."""

    kid: str
    public_key: bytes
    use: Literal["now", "next", "former"]
    begins: datetime | None
    ends: datetime | None


class OwnKey(Struct, frozen=True):
    """The fields of `keys show --json`. `host`: what other hosts call this node, None without such
    a name; `host_keys`: by which they know it, the one that is used now first."""

    name: str
    public_key: bytes
    id: str
    host: str | None = None
    host_keys: list[OwnHostKey] = []


class RotateKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """`at_once`: the next key is used now, and the former one is withdrawn."""

    at_once: bool


class HostKeys(Struct, frozen=True):
    """The fields of `keys rotate --json`."""

    keys: list[OwnHostKey]


class NotRotated(Fault):
    """The keys stay as they are."""


async def host_keys(node: Node) -> list[OwnHostKey]:
    """The one that is used now first."""
    rows = await node.store.read(lambda reader: list(reader.query(OWN_ROTATION)))
    now_ms = node.world.clock.now_ns() // 10**6
    current = rotation(rows[0] if rows else None)
    used = current.number_at(now_ms)
    return [_own(node, key, used) for key in published(current, now_ms)]


def _own(node: Node, told: Published, used: int) -> OwnHostKey:
    key, use = host_key(node.identity.soul[:SEED_BYTES], told.number), _use(told.number, used)
    ends = time_of(told.valid_until_ms if use == "former" else 0)
    return OwnHostKey(key.kid, key.public_key, use, time_of(told.not_before_ms), ends)


def _use(number: int, used: int) -> Literal["now", "next", "former"]:
    if number == used:
        return "now"
    return "next" if number > used else "former"


async def _show_key(desk: Desk, _: Nothing, tell: Tell) -> OwnKey:
    identity = desk.node.identity
    host, keys = own_host(desk), await host_keys(desk.node)
    return OwnKey(identity.name, identity.public_key, identity.id, host, keys)


async def _rotate(desk: Desk, request: RotateKeys, tell: Tell) -> HostKeys:
    node = desk.node
    draft = Rotate(node.world.new_id(), request.at_once)
    [outcome] = await node.admission.submit(HostKeyRules(), [draft])
    if isinstance(outcome, Rejected):
        raise NotRotated(outcome.reason.text)
    return HostKeys(await host_keys(node))


SHOW_KEY = Command("show-key", Nothing, OwnKey, _show_key)
ROTATE_KEYS = Command("rotate-keys", RotateKeys, HostKeys, _rotate)
