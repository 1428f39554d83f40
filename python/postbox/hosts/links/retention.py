"""What the links keep of what is done: events that the other host confirmed, or that were handled.

They stay for a while from then on, for a host that was put back and asks again. They go from the
beginning of a link's stream only, so that what is there has no hole: never what is still to be
done, and never past a dead letter, which waits for the operator.

Since when an event is done is not noted event by event: a few marks a link (`Mark`) say up to where
it was done at a time, and an event is kept for as long as no mark that is old enough covers it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import trio

from postbox.errors import Full, Unavailable
from postbox.hosts.links.room import ENTRY_BYTES, Room, size_kept
from postbox.hosts.links.rules import HostRules, Mark, Trim
from postbox.hosts.tables import DONE
from postbox.log.admission import Admission
from postbox.log.outbox import Outbox
from postbox.log.outbox_tables import DurableReader
from postbox.log.retries import Retries
from postbox.store.contract import Lane, Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

# Retention is counted in days; what is beyond it for an hour more does no harm.
LOOK_S = 3_600.0

# At what came from hosts that have sent much since: they are refused at a little more.
SOON_S = 15.0

# In one commit: some 20 ms of it, so that nobody who posts waits for longer.
STEP_ENTRIES = 500

# So many marks in the time for which things are kept: they stay for as much longer.
MARKS = 16

_DAY_MS = 86_400_000

_DONE = f"entry where lane = {Lane.HOSTS:d} and stream = :stream and pos <= :upto"
_DONE_POSTGRES = (
    f"entry where lane = {Lane.HOSTS:d} and (stream, pos) > (%(stream)s, 0)"
    " and (stream, pos) <= (%(stream)s, %(upto)s)"
)

OLDEST_DONE = Query(
    "oldest_done",
    f"select pos, {ENTRY_BYTES} + coalesce(length(body), 0) from {_DONE} order by pos limit :limit",
    postgres=f"select pos, {ENTRY_BYTES} + coalesce(octet_length(body), 0) from {_DONE_POSTGRES}"
    " order by stream, pos limit %(limit)s",
)

FIRST_LETTER = Query(
    "first_letter",
    "select min(pos) from dead where reader = :reader",
    postgres="select min(pos) from dead where reader = %(reader)s",
)


MARKS_OF = Query(
    "marks_of",
    f"select at_ms, pos from {DONE.name} where reader = :reader order by at_ms",
    postgres=f"select at_ms, pos from {DONE.name} where reader = %(reader)s order by reader, at_ms",
)


class Keep(NamedTuple):
    """Of each direction of each link: what is done is kept for so long, and at most so much."""

    days: int
    mib: int


class _Done(msgspec.Struct, array_like=True):
    pos: int
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
        room: Room,
    ) -> None:
        self._world = world
        self._store = store
        self._outbox = outbox
        self._admission = admission
        self._rules = rules
        self._keep = keep
        self._room = room

    async def run(self) -> None:
        """Until cancelled; in one process of the node."""
        retries = Retries()
        while True:
            try:
                await self.trim()
                retries.succeeded()
                with trio.move_on_after(LOOK_S):
                    await self._trim_crowded()
            except (Unavailable, Full):  # the store says so; what is kept too long harms none
                await retries.wait()

    async def _trim_crowded(self) -> None:
        """For as long as it is not cancelled."""
        while True:
            await trio.sleep(SOON_S)
            if crowded := self._room.crowded():
                await self.trim(crowded)

    async def trim(self, crowded: Collection[bytes] | None = None) -> None:
        """Once; None: over all links."""
        for reader in await self._outbox.readers():
            if reader.lane is Lane.HOSTS:
                for stream in reader.streams:
                    if crowded is None or stream in crowded:
                        await self._trim(reader, stream)
                        await self._room.measure(stream)

    async def _trim(self, reader: DurableReader, stream: bytes) -> None:
        found = await self._store.read(partial(_look, reader, stream))
        marks = await self._marked(reader, found.marks)
        excess_bytes = found.size_bytes - self._keep.mib * 2**20
        rest = _Rest(found.upto, self._over_pos(marks), excess_bytes)
        gone_upto, is_more = 0, True
        while is_more:
            gone, rest = await self._store.read(partial(_gone, stream, rest))
            if not gone or gone[0] <= gone_upto:  # of these one became a dead letter meanwhile
                break
            draft = Trim(self._world.new_id(), reader.name, gone)
            await self._admission.submit(self._rules, [draft])
            gone_upto, is_more = gone[-1], len(gone) == STEP_ENTRIES

    async def _marked(self, reader: DurableReader, marks: list[_Mark]) -> list[_Mark]:
        """The marks of the reader, with one of now if it is time for one."""
        now_ms, last = self._now_ms(), marks[-1] if marks else _Mark(0, 0)
        is_time = now_ms - last.at_ms >= self._keep.days * _DAY_MS // MARKS
        if reader.acknowledged <= last.pos or not is_time:
            return marks
        old = [mark.at_ms for mark in marks if self._is_old(mark)]
        mark = _Mark(now_ms, reader.acknowledged)
        draft = Mark(self._world.new_id(), reader.name, *mark, drops=tuple(old[:-1]))
        await self._admission.submit(self._rules, [draft])
        return [*marks, mark]

    def _over_pos(self, marks: Sequence[_Mark]) -> int:
        """The position up to which everything was kept for long enough."""
        return max([mark.pos for mark in marks if self._is_old(mark)], default=0)

    def _is_old(self, mark: _Mark) -> bool:
        return mark.at_ms <= self._now_ms() - self._keep.days * _DAY_MS

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000


class _Mark(NamedTuple):
    at_ms: int
    pos: int


class _Found(NamedTuple):
    """Of a stream: the position up to which it may be trimmed, how much that is, and the marks of
    its reader, the oldest first."""

    upto: int
    size_bytes: int
    marks: list[_Mark]


class _Rest(NamedTuple):
    """Of a stream, what there is still to look at: entries up to this position, those that were
    kept for long enough, and those that are in excess of what is kept."""

    upto: int
    over_pos: int
    excess_bytes: int


def _look(reader: DurableReader, stream: bytes, snapshot: Reader) -> _Found:
    [(letter,)] = snapshot.query(FIRST_LETTER, reader=reader.name)
    upto = reader.acknowledged
    if isinstance(letter, int):
        upto = min(upto, letter - 1)
    marks = msgspec.convert(snapshot.query(MARKS_OF, reader=reader.name), list[_Mark])
    return _Found(upto, size_kept(stream, snapshot, upto), marks)


def _gone(stream: bytes, rest: _Rest, snapshot: Reader) -> tuple[tuple[int, ...], _Rest]:
    """The positions of the next step, and what is left then."""
    gone, excess_bytes = [], rest.excess_bytes
    for row in snapshot.query(OLDEST_DONE, stream=stream, upto=rest.upto, limit=STEP_ENTRIES):
        done = msgspec.convert(row, _Done)
        if done.pos > rest.over_pos and excess_bytes <= 0:
            break
        excess_bytes -= done.size_bytes
        gone.append(done.pos)
    return tuple(gone), rest._replace(excess_bytes=excess_bytes)
