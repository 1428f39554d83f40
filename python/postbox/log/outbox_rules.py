"""What becomes of a durable reader's row, and of its dead letters: pure rules over two tables.

A reader has one row, however far it is behind: up to which position it is done with the entries of
its streams, and how the first one that it is not done with has failed so far. What it gave up is a
row of `dead`. All is monotone, so that a draft may be decided again after a failure, and two
processes may both settle an entry: a place only grows, an entry that is settled stays so, and a
retry only moves to a later time.

A door whose effect and acknowledgement must be one commit makes both in its own rules: `needs_of`
among its needs; then, where `is_open`, its effect and the puts and drops of `acknowledged`. In the
same way its first entry can make its reader (`added`), and a stranger's word that all has arrived
up to some entry can move it (`advanced`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from postbox.log.outbox_tables import (
    DEAD,
    OUTBOX,
    DeadLetter,
    DurableReader,
    dead_letter,
    durable_reader,
    letter_row,
    reader_row,
)
from postbox.rules import Decision, EntryKey, Payer, Put, Reason, RowKey, State
from postbox.store.contract import Found, Lane

UNKNOWN_READER = "unknown_reader"


class Add(Struct, frozen=True):
    """The reader follows these streams. `after`: where one that is new begins; one that is there
    keeps its place."""

    lane: Lane
    streams: tuple[bytes, ...]
    after: int


class Ack(Struct, frozen=True):
    """Done with the entry at `pos` and all before it; a dead letter there is forgotten."""

    pos: int


class Retry(Struct, frozen=True):
    """The entry at `pos` failed, and is not to be tried before `at_ms`."""

    pos: int
    at_ms: int
    error: str


class Bury(Struct, frozen=True):
    """The entry at `pos` is given up; done with all before it."""

    pos: int
    stream: bytes
    id: bytes
    error: str


class Revive(Struct, frozen=True):
    """The dead letter at `pos` is to be tried again."""

    pos: int


class Hurry(Struct, frozen=True):
    """Whatever waits for its time is to be tried now."""


class Forget(Struct, frozen=True):
    """These dead letters of the reader are gone, and it is, too, if they were all."""

    letters: tuple[int, ...]
    is_last: bool


Act: TypeAlias = Add | Ack | Retry | Bury | Revive | Hurry | Forget


class OutboxDraft(Struct, frozen=True):
    id: bytes
    reader: str
    act: Act

    @property
    def payer(self) -> Payer:
        return Payer("operator", self.reader)  # readers take turns

    @property
    def size_bytes(self) -> int:
        return 256  # a row or two; those with many streams are few


class OutboxRules:
    lane = Lane.NODE
    tables = (OUTBOX, DEAD)

    def needs(self, draft: OutboxDraft, state: State) -> Iterable[RowKey | EntryKey]:
        match draft.act:
            case Ack(pos) | Retry(pos) | Bury(pos):
                yield from needs_of(state, draft.reader, pos)
            case Revive(pos):
                yield RowKey(DEAD, (draft.reader, pos))
                letter = _letter_in(state, draft.reader, pos)
                if letter is not None:
                    yield EntryKey(letter.lane, letter.id)
            case Add() | Hurry():
                yield RowKey(OUTBOX, (draft.reader,))
            case Forget():
                pass
            case _ as never:
                assert_never(never)

    def decide(self, draft: OutboxDraft, state: State, at_ms: int) -> Decision:
        match draft.act:
            case Add():
                return _add(draft.reader, draft.act, state)
            case Forget(letters, is_last):
                dead = [RowKey(DEAD, (draft.reader, pos)) for pos in letters]
                own = [RowKey(OUTBOX, (draft.reader,))] if is_last else []
                return Decision(drops=(*own, *dead))
            case Revive(pos):
                return _revive(draft.reader, pos, state)
            case Ack() | Retry() | Bury() | Hurry():
                reader = _reader_in(state, draft.reader)
                if reader is None:
                    return Decision(refuse=unknown_reader(draft.reader))
                return _move(reader, draft.act, state, at_ms)
            case _ as never:
                assert_never(never)

    def replaces(self, draft: OutboxDraft, stored: Found) -> bool:
        return False


def added(state: State, reader: str, lane: Lane, streams: tuple[bytes, ...]) -> tuple[Put, ...]:
    """For a door whose first entry makes its own reader, of all there is: what to put for it,
    nothing if it is there. Needs the reader's row of `OUTBOX`."""
    if state[OUTBOX, (reader,)] is not None:
        return ()
    return (_put(DurableReader(reader, lane, streams, 0)),)


def advanced(state: State, reader: str, pos: int) -> Decision:
    """Done with all entries up to `pos`; dead letters stay what they are, also one at `pos` (an
    acknowledgement of that very entry would forget it). Needs the reader's row of `OUTBOX`."""
    row = _reader_in(state, reader)
    if row is None:
        return Decision(refuse=unknown_reader(reader))
    return Decision(puts=(_settled(row, pos),) if pos > row.acknowledged else ())


def buried(state: State, reader: str, act: Bury, at_ms: int) -> Decision:
    """The entry is a dead letter from now on, also if it was acknowledged before. Needs the rows
    of the reader in `OUTBOX` and of the letter in `DEAD`."""
    row = _reader_in(state, reader)
    if row is None:
        return Decision(refuse=unknown_reader(reader))
    if _letter_in(state, reader, act.pos) is not None:
        return Decision()
    return _bury(row, act, at_ms)


def needs_of(state: State, reader: str, pos: int) -> Iterable[RowKey]:
    """What `is_open` and `acknowledged` look at."""
    yield RowKey(OUTBOX, (reader,))
    row = _reader_in(state, reader)
    if row is not None and pos <= row.acknowledged:
        yield RowKey(DEAD, (reader, pos))


def is_open(state: State, reader: str, pos: int) -> bool:
    """Whether the reader is not done with the entry at `pos`: nobody acknowledged or buried it, or
    it was revived. Without the reader nothing is open."""
    row = _reader_in(state, reader)
    return row is not None and _is_open(state, row, pos)


def acknowledged(state: State, reader: str, pos: int) -> Decision:
    """Done with the entry at `pos` and all before it. Refuses for want of the reader."""
    row = _reader_in(state, reader)
    if row is None:
        return Decision(refuse=unknown_reader(reader))
    return _acknowledged(state, row, pos)


def _acknowledged(state: State, reader: DurableReader, pos: int) -> Decision:
    puts = (_settled(reader, pos),) if _is_open(state, reader, pos) else ()
    if pos <= reader.acknowledged and _letter_in(state, reader.name, pos) is not None:
        return Decision(puts=puts, drops=(RowKey(DEAD, (reader.name, pos)),))
    return Decision(puts=puts)


def _is_open(state: State, reader: DurableReader, pos: int) -> bool:
    if pos > reader.acknowledged:
        return True
    letter = _letter_in(state, reader.name, pos)
    return letter is not None and letter.is_revived


def _move(
    reader: DurableReader, act: Ack | Retry | Bury | Hurry, state: State, at_ms: int
) -> Decision:
    match act:
        case Ack(pos):
            return _acknowledged(state, reader, pos)
        case Hurry():
            return Decision(puts=(_put(replace(reader, retry_ms=0)),) if reader.retry_ms else ())
        case Retry(pos) | Bury(pos) if not _is_open(state, reader, pos):
            return Decision()  # somebody else is done with it
        case Retry():
            return _retry(reader, act, at_ms)
        case Bury():
            return _bury(reader, act, at_ms)
        case _ as never:
            assert_never(never)


def _retry(reader: DurableReader, act: Retry, at_ms: int) -> Decision:
    if act.at_ms <= reader.retry_ms:
        return Decision()  # the same again
    failed = replace(
        reader,
        attempts=reader.attempts + 1,
        failing_since_ms=reader.failing_since_ms or at_ms,
        retry_ms=act.at_ms,
        error=act.error,
    )
    return Decision(puts=(_put(failed),))


def _bury(reader: DurableReader, act: Bury, at_ms: int) -> Decision:
    letter = DeadLetter(
        reader.name,
        act.pos,
        reader.lane,
        act.stream,
        act.id,
        at_ms,
        reader.attempts + 1,
        act.error,
        is_revived=False,
    )
    return Decision(puts=(_settled(reader, act.pos), Put(DEAD, letter_row(letter))))


def _settled(reader: DurableReader, pos: int) -> Put:
    """A fresh start for what comes next."""
    upto = max(reader.acknowledged, pos)
    return _put(DurableReader(reader.name, reader.lane, reader.streams, upto))


def _add(name: str, act: Add, state: State) -> Decision:
    reader = _reader_in(state, name)
    if reader is None:
        reader = DurableReader(name, act.lane, act.streams, act.after)
    elif (reader.lane, reader.streams) == (act.lane, act.streams):
        return Decision()
    return Decision(puts=(_put(replace(reader, lane=act.lane, streams=act.streams)),))


def _revive(name: str, pos: int, state: State) -> Decision:
    letter = _letter_in(state, name, pos)
    if letter is None:
        text = f"{name} has no dead letter at {pos}: it was delivered or forgotten meanwhile"
        return Decision(refuse=Reason("unknown_letter", text))
    stored = state.entry(letter.lane, letter.id)
    if stored is None or stored.pos != pos:
        text = (
            f"the entry of this dead letter of {name} was removed from the log: forget the letter"
        )
        return Decision(refuse=Reason("entry_gone", text))
    return Decision(puts=(Put(DEAD, letter_row(replace(letter, is_revived=True))),))


def unknown_reader(name: str) -> Reason:
    return Reason(UNKNOWN_READER, f"there is no reader {name!r}: it was removed, or never added")


def _put(reader: DurableReader) -> Put:
    return Put(OUTBOX, reader_row(reader))


def _reader_in(state: State, name: str) -> DurableReader | None:
    row = state[OUTBOX, (name,)]
    return None if row is None else durable_reader(row)


def _letter_in(state: State, name: str, pos: int) -> DeadLetter | None:
    row = state[DEAD, (name, pos)]
    return None if row is None else dead_letter(row)
