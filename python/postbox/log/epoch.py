"""Epochs: noticing that the log went back, and giving it a new name then.

A restore, a recovery to an earlier point, or a copy that was promoted before it had everything
gives positions out a second time. A process therefore remembers an anchor outside the database,
(epoch, position, id), and checks it at every start and in every new connection: if the log does
not reach so far any more, or another entry is there, cursors made since mean other things now. The
new epoch says so to everybody who holds one. A hole at the anchor is no sign: entries are removed.

Several processes may notice. The database keeps the former epochs, so that whose anchor is of one
of them knows that another was quicker. An epoch that it never had was lost: it joins them then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from postbox.errors import HistoryChanged
from postbox.log.tail import Tail
from postbox.store.contract import IDENTITY, Change, Key, Snapshot, Tx
from postbox.store.runner import StoreRunner
from postbox.world import World

EPOCH_BYTES = 16
MAX_FORMER = 256  # 4 KiB: who missed as many restores counts as one whose epoch was lost

_EPOCH: Key = ("epoch",)
_FORMER: Key = ("former_epochs",)
_RENEWAL: Key = ("renewal",)

Why = Literal["restored", "went back"]


class Anchor(Struct, frozen=True):
    """The newest entry that a process knows; position 0 with an empty id: none yet. `log`: of which
    log it is, whatever epochs that had; it says nothing of another one."""

    epoch: bytes
    pos: int
    id: bytes
    log: bytes = b""


class Renewal(Struct, frozen=True):
    """When and why the log got the epoch that it has, for the operator."""

    at_ms: int
    why: Why
    head: int  # the log's
    known: int = 0  # the position up to which whoever noticed knew the log before


_decoder = msgspec.json.Decoder(Renewal)


class History:
    """What a running process knows of the log."""

    def __init__(self, epoch: bytes, tail: Tail, log: bytes = b"") -> None:
        """`log`: its mark (`cursor.log_mark`)."""
        self._epoch = epoch
        self._tail = tail
        self._log = log

    @property
    def anchor(self) -> Anchor:
        return Anchor(self._epoch, *self._tail.newest, self._log)

    def expect(self) -> Callable[[Snapshot], None]:
        """See `contract.Expect`. The check raises HistoryChanged."""
        return partial(_check, self.anchor)


def _check(anchor: Anchor, snapshot: Snapshot) -> None:
    if _value(snapshot, _EPOCH) != anchor.epoch or not _holds(snapshot, anchor):
        raise HistoryChanged(
            "the database is not as this process left it: it was restored, or a copy of it"
            " took over that did not have everything; the node opens it again"
        )


async def settle_epoch(store: StoreRunner, world: World, anchor: Anchor) -> bool:
    """At a start, before anything is served. True: the log goes on from the anchor, or somebody
    else has renewed the epoch since. False: it does not, and has a new epoch now."""
    if await store.read(partial(_goes_on, anchor=anchor)):
        return True
    fresh, at_ms = world.random.bytes(EPOCH_BYTES), world.clock.now_ns() // 10**6
    return await store.write(partial(_settle, anchor=anchor, fresh=fresh, at_ms=at_ms))


async def renew_epoch(store: StoreRunner, world: World) -> None:
    """Of a log that is restored, before anything is served: whoever holds a cursor learns it by the
    cursor's refusal."""
    fresh, at_ms = world.random.bytes(EPOCH_BYTES), world.clock.now_ns() // 10**6
    await store.write(lambda tx: tx.apply(_renewal(tx, fresh, Renewal(at_ms, "restored", tx.head))))


def last_renewal(snapshot: Snapshot) -> Renewal | None:
    """None: the log has the epoch that it was made with."""
    value = _value(snapshot, _RENEWAL)
    return _decoder.decode(value) if value else None


def _renewal(snapshot: Snapshot, fresh: bytes, renewal: Renewal, known: bytes = b"") -> Change:
    """What gives the log the epoch `fresh`, and remembers the one that it had; and the one that was
    `known` to whoever noticed, if that was lost: others may come who knew the same."""
    epoch = _value(snapshot, _EPOCH)
    former = _value(snapshot, _FORMER) + (b"" if known == epoch else known) + epoch
    rows = [
        (*_EPOCH, fresh),
        (*_FORMER, former[-MAX_FORMER * EPOCH_BYTES :]),
        (*_RENEWAL, msgspec.json.encode(renewal)),
    ]
    return Change(puts={IDENTITY: rows})


def _settle(tx: Tx, anchor: Anchor, fresh: bytes, at_ms: int) -> bool:
    if _goes_on(tx, anchor):  # another process was quicker
        return True
    renewal = Renewal(at_ms, "went back", tx.head, anchor.pos)
    tx.apply(_renewal(tx, fresh, renewal, anchor.epoch))
    return False


def _goes_on(snapshot: Snapshot, anchor: Anchor) -> bool:
    if _value(snapshot, _EPOCH) == anchor.epoch:
        return _holds(snapshot, anchor)
    former = _value(snapshot, _FORMER)
    at = range(0, len(former), EPOCH_BYTES)
    return anchor.epoch in (former[start : start + EPOCH_BYTES] for start in at)


def _holds(snapshot: Snapshot, anchor: Anchor) -> bool:
    return snapshot.head >= anchor.pos and snapshot.id_at(anchor.pos) in (None, anchor.id)


def _value(snapshot: Snapshot, name: Key) -> bytes:
    match snapshot.rows(IDENTITY, [name])[name]:
        case (_, bytes(value)):
            return value
        case _:
            return b""
