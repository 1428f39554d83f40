"""Epochs: noticing that the log went back, and giving it a new name then.

A restore, or a copy that was promoted late, gives positions out a second time. A process therefore
remembers an anchor outside the database, (epoch, position, id), and checks it at every start: if
the log does not reach so far any more, or another entry is there, cursors made since mean other
things now. The new epoch says so to everybody who holds one. A hole at the anchor is no sign:
entries are removed. (The composition root does not keep an anchor yet: no cursor with an epoch
leaves a node so far.)
"""

from __future__ import annotations

from msgspec import Struct

from postbox.store.contract import IDENTITY, Change, Query, Reader, Tx
from postbox.store.runner import StoreRunner
from postbox.world import Random

EPOCH_BYTES = 16

_NEWEST = Query(
    "newest_entry", "select pos, id from entry where lane <> 0 order by pos desc limit 1"
)
_ID_AT = Query("id_at", "select id from entry where pos = :pos and lane <> 0")


class Anchor(Struct, frozen=True):
    epoch: bytes
    pos: int
    id: bytes


async def read_anchor(store: StoreRunner) -> Anchor:
    """To be remembered outside the database: at a stop, and every now and then."""
    epoch = (await store.identity()).epoch
    rows = await store.read(lambda reader: reader.query(_NEWEST))
    match rows:
        case [(int(pos), bytes(entry_id))]:
            return Anchor(epoch, pos, entry_id)
        case _:
            return Anchor(epoch, 0, b"")


async def check_anchor(store: StoreRunner, random: Random, anchor: Anchor) -> bool:
    """True: the log goes on from the anchor. False: it does not, and has a new epoch now."""
    epoch = (await store.identity()).epoch
    if epoch == anchor.epoch and await store.read(lambda reader: _holds(reader, anchor)):
        return True
    await renew_epoch(store, random)
    return False


async def renew_epoch(store: StoreRunner, random: Random) -> None:
    """Before anything is served: whoever holds a cursor learns it by the cursor's refusal."""
    row = ("epoch", random.bytes(EPOCH_BYTES))

    def renew(tx: Tx) -> None:
        tx.apply(Change(puts={IDENTITY: [row]}))

    await store.write(renew)


def _holds(reader: Reader, anchor: Anchor) -> bool:
    if reader.head < anchor.pos:
        return False
    rows = reader.query(_ID_AT, pos=anchor.pos)
    return not rows or rows[0][0] == anchor.id
