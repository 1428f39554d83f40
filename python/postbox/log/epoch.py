"""Epochs: noticing that the log went back, and giving it a new name then.

A restore, a recovery to an earlier point, or a copy that was promoted before it had everything
gives positions out a second time. A process therefore remembers an anchor outside the database,
(epoch, position, id), and checks it at every start and in every new connection: if the log does
not reach so far any more, or another entry is there, cursors made since mean other things now. The
new epoch says so to everybody who holds one. A hole at the anchor is no sign: entries are removed.

Several processes may notice. The database keeps the former epochs, so that whose anchor is of one
of them knows that another was quicker; an epoch that it never had is one that was lost.
"""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from postbox.errors import HistoryChanged
from postbox.log.tail import Tail
from postbox.store.contract import IDENTITY, Change, Key, Row, Snapshot, Tx
from postbox.store.runner import StoreRunner
from postbox.world import Random

EPOCH_BYTES = 16
MAX_FORMER = 256  # 4 KiB: who missed as many restores counts as one whose epoch was lost

_EPOCH: Key = ("epoch",)
_FORMER: Key = ("former_epochs",)


class Anchor(Struct, frozen=True):
    """The newest entry that a process knows; position 0 with an empty id: none yet."""

    epoch: bytes
    pos: int
    id: bytes


class History:
    """What a running process knows of the log. A connection leads to it if `check` says nothing."""

    def __init__(self, epoch: bytes, tail: Tail) -> None:
        self._epoch = epoch
        self._tail = tail

    @property
    def anchor(self) -> Anchor:
        return Anchor(self._epoch, *self._tail.newest)

    def check(self, snapshot: Snapshot) -> None:
        """Raises HistoryChanged."""
        anchor = self.anchor
        if _epoch(snapshot) != anchor.epoch or not _holds(snapshot, anchor):
            raise HistoryChanged(
                "the database is not as this process left it: it was restored, or a copy of it"
                " took over that did not have everything; the node opens it again"
            )


async def settle_epoch(store: StoreRunner, random: Random, anchor: Anchor) -> bool:
    """At a start, before anything is served. True: the log goes on from the anchor, or somebody
    else has renewed the epoch since. False: it does not, and has a new epoch now."""
    if await store.read(partial(_goes_on, anchor=anchor)):
        return True
    return await store.write(partial(_settle, anchor=anchor, fresh=random.bytes(EPOCH_BYTES)))


async def renew_epoch(store: StoreRunner, random: Random) -> None:
    """Before anything is served: whoever holds a cursor learns it by the cursor's refusal."""
    fresh = random.bytes(EPOCH_BYTES)
    await store.write(lambda tx: tx.apply(renewal(tx, fresh)))


def renewal(snapshot: Snapshot, fresh: bytes) -> Change:
    """What gives the log the epoch `fresh`, and remembers the one that it had."""
    former = (_former(snapshot) + _epoch(snapshot))[-MAX_FORMER * EPOCH_BYTES :]
    return Change(puts={IDENTITY: [(*_EPOCH, fresh), (*_FORMER, former)]})


def _settle(tx: Tx, anchor: Anchor, fresh: bytes) -> bool:
    if _goes_on(tx, anchor):  # another process was quicker
        return True
    tx.apply(renewal(tx, fresh))
    return False


def _goes_on(snapshot: Snapshot, anchor: Anchor) -> bool:
    if _epoch(snapshot) == anchor.epoch:
        return _holds(snapshot, anchor)
    former = _former(snapshot)
    at = range(0, len(former), EPOCH_BYTES)
    return anchor.epoch in (former[start : start + EPOCH_BYTES] for start in at)


def _holds(snapshot: Snapshot, anchor: Anchor) -> bool:
    return snapshot.head >= anchor.pos and snapshot.id_at(anchor.pos) in (None, anchor.id)


def _epoch(snapshot: Snapshot) -> bytes:
    return _value(snapshot.rows(IDENTITY, [_EPOCH])[_EPOCH])


def _former(snapshot: Snapshot) -> bytes:
    return _value(snapshot.rows(IDENTITY, [_FORMER])[_FORMER])


def _value(row: Row | None) -> bytes:
    match row:
        case (_, bytes(value)):
            return value
        case _:
            return b""
