"""What the links keep of what is done: events that the other host confirmed, or that were handled.

They stay for a while, for a host that was put back and asks again. They go from the beginning of a
link's stream only, so that what is there has no hole: never what is still to be done, and never
past a dead letter, which waits for the operator.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import msgspec
import trio

from postbox.errors import Full, Unavailable
from postbox.hosts.link_rules import HostRules, Trim
from postbox.log.admission import Admission
from postbox.log.outbox import Outbox
from postbox.log.outbox_tables import DurableReader
from postbox.log.retries import Retries
from postbox.store.contract import Lane, Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

# Retention is counted in days; what is beyond it for an hour more does no harm.
LOOK_S = 3_600.0

# In one commit: some 20 ms of it, so that nobody who posts waits for longer.
STEP_ENTRIES = 500

_DAY_MS = 86_400_000

_DONE = f"entry where lane = {Lane.HOSTS:d} and stream = :stream and pos <= :upto"
_DONE_POSTGRES = (
    f"entry where lane = {Lane.HOSTS:d} and (stream, pos) > (%(stream)s, 0)"
    " and (stream, pos) <= (%(stream)s, %(upto)s)"
)

OLDEST_DONE = Query(
    "oldest_done",
    f"select pos, at_ms, coalesce(length(body), 0) from {_DONE} order by pos limit :limit",
    postgres=f"select pos, at_ms, coalesce(octet_length(body), 0) from {_DONE_POSTGRES}"
    " order by stream, pos limit %(limit)s",
)

BYTES_DONE = Query(
    "bytes_done",
    f"select coalesce(sum(length(body)), 0) from {_DONE}",
    postgres=f"select coalesce(sum(octet_length(body)), 0)::bigint from {_DONE_POSTGRES}",
)

FIRST_LETTER = Query(
    "first_letter",
    "select min(pos) from dead where reader = :reader",
    postgres="select min(pos) from dead where reader = %(reader)s",
)


class Keep(NamedTuple):
    """Of each direction of each link: what is done is kept for so long, and at most so much."""

    days: int
    mib: int


class _Done(msgspec.Struct, array_like=True):
    pos: int
    at_ms: int  # when it was posted, or came
    size_bytes: int


class Retention:
    def __init__(
        self,
        world: World,
        store: StoreRunner,
        outbox: Outbox,
        admission: Admission,
        rules: HostRules,
        keep: Keep,
    ) -> None:
        self._world = world
        self._store = store
        self._outbox = outbox
        self._admission = admission
        self._rules = rules
        self._keep = keep

    async def run(self) -> None:
        """Until cancelled; in one process of the node."""
        retries = Retries()
        while True:
            try:
                await self.trim()
            except (
                Unavailable,
                Full,
            ):  # the store says so itself; what is kept too long harms none
                await retries.wait()
                continue
            retries.succeeded()
            await trio.sleep(LOOK_S)

    async def trim(self) -> None:
        """Once, over all links."""
        for reader in await self._outbox.readers():
            if reader.lane is Lane.HOSTS:
                for stream in reader.streams:
                    await self._trim(reader, stream)

    async def _trim(self, reader: DurableReader, stream: bytes) -> None:
        now_ms = self._world.clock.now_ns() // 1_000_000
        upto, size_bytes = await self._store.read(partial(_done, reader, stream))
        rest = _Rest(upto, now_ms - self._keep.days * _DAY_MS, size_bytes - self._keep.mib * 2**20)
        is_more = True
        while is_more:
            gone, rest = await self._store.read(partial(_gone, stream, rest))
            if gone:
                draft = Trim(self._world.new_id(), gone)
                await self._admission.submit(self._rules, [draft])
            is_more = len(gone) == STEP_ENTRIES


class _Rest(NamedTuple):
    """Of a stream, what there is still to look at: entries up to this position, those from before
    this time, and those that are in excess of what is kept."""

    upto: int
    before_ms: int
    excess_bytes: int


def _done(reader: DurableReader, stream: bytes, snapshot: Reader) -> tuple[int, int]:
    """The position up to which the stream may be trimmed, and how much that is."""
    [(letter,)] = snapshot.query(FIRST_LETTER, reader=reader.name)
    upto = reader.acknowledged
    if isinstance(letter, int):
        upto = min(upto, letter - 1)
    [(size_bytes,)] = snapshot.query(BYTES_DONE, stream=stream, upto=upto)
    assert isinstance(size_bytes, int)
    return upto, size_bytes


def _gone(stream: bytes, rest: _Rest, snapshot: Reader) -> tuple[tuple[int, ...], _Rest]:
    """The positions of the next step, and what is left then."""
    gone, excess_bytes = [], rest.excess_bytes
    for row in snapshot.query(OLDEST_DONE, stream=stream, upto=rest.upto, limit=STEP_ENTRIES):
        done = msgspec.convert(row, _Done)
        if done.at_ms >= rest.before_ms and excess_bytes <= 0:
            break
        excess_bytes -= done.size_bytes
        gone.append(done.pos)
    return tuple(gone), rest._replace(excess_bytes=excess_bytes)
