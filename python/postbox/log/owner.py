"""Whose log a database holds: written into it once, so that no other node takes it for its own.

Two nodes on one database would each believe what the other wrote. The processes of one node share
one key, and may.
"""

from __future__ import annotations

import base64

from postbox.errors import Fault
from postbox.store.contract import IDENTITY, Change, Key, Snapshot, Tx
from postbox.store.runner import StoreRunner

_OWNER: Key = ("node",)


class ForeignLog(Fault):
    """The database holds the log of another node."""

    def __init__(self, owner: bytes) -> None:
        shown = base64.b64encode(owner).decode()
        super().__init__(
            f"the database holds the log of another node, whose public key is {shown}. To add a"
            " process to that node, copy its node.key into this home, which must have none; else"
            " name another database"
        )


def owner_of(snapshot: Snapshot) -> bytes | None:
    """Its public key; None: nobody's yet."""
    match snapshot.rows(IDENTITY, [_OWNER])[_OWNER]:
        case (_, bytes(owner)):
            return owner
        case _:
            return None


async def claim(store: StoreRunner, public_key: bytes) -> None:
    """Raises ForeignLog if it is another's."""
    owner = await store.read(owner_of)
    if owner is None:
        owner = await store.write(lambda tx: _claim(tx, public_key))
    if owner != public_key:
        raise ForeignLog(owner)


def _claim(tx: Tx, public_key: bytes) -> bytes:
    owner = owner_of(tx)
    if owner is None:
        tx.apply(Change(puts={IDENTITY: [(*_OWNER, public_key)]}))
    return owner or public_key
