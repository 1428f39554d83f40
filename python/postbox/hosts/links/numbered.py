"""Postings as they are sent: by number, from any number on, each with its label.

What comes out has no hole. A number without an event comes out as a tombstone: `refused` where the
receiver did not take the event (a dead letter, or one that was erased since), `lost` where it is
not kept any more. So whoever takes it in order has everything that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from postbox.hosts.links import bodies
from postbox.hosts.links.bodies import LOST, REFUSED
from postbox.hosts.links.place import Outgoing, outgoing
from postbox.hosts.tables import LINK_OUT, out_reader, out_stream
from postbox.store.contract import Entry, Lane, Query, Reader, Window

FRAME_BYTES = 8  # around each event of a batch: a tag, and a length of up to 1 MiB

# A keeper, which carries the newest number of what was removed, counts: it has a position, too.
POSITION = Query(
    "position_of_number",
    "select pos from entry where stream = :stream and seq <= :seq and seq is not null"
    " order by seq desc limit 1",
    postgres="select pos from entry where (stream, seq) > (%(stream)s, 0)"
    " and (stream, seq) <= (%(stream)s, %(seq)s) and seq is not null"
    " order by stream desc, seq desc limit 1",
)

LETTERS_BETWEEN = Query(
    "letters_between",
    "select pos from dead where reader = :reader and pos > :after and pos <= :upto",
    postgres="select pos from dead where (reader, pos) > (%(reader)s, %(after)s)"
    " and (reader, pos) <= (%(reader)s, %(upto)s)",
)


class Numbered(Struct, frozen=True, gc=False):
    """A PostboxEvent, ready to be sent."""

    seq: int
    upto: int  # of a tombstone the last number it stands for, else `seq`
    is_event: bool
    epoch: bytes
    body: bytes


def position_in(snapshot: Reader, stream: bytes, seq: int) -> int:
    """Of the entry with this number, or of the last one before it that left a trace; 0: none."""
    match snapshot.query(POSITION, stream=stream, seq=seq):
        case [(int(pos),)]:
            return pos
        case _:
            return 0


def read_numbered(
    host: str, after: int, limit: int, max_bytes: int, snapshot: Reader
) -> list[Numbered]:
    """The numbers beyond `after`: at most `limit` of them and `max_bytes`, but at least one if
    there is one."""
    link = outgoing(host, snapshot.rows(LINK_OUT, [(host,)])[host,])
    if after >= link.last_seq:
        return []
    pos = position_in(snapshot, out_stream(host), after)
    page = snapshot.page(Lane.HOSTS, [Window(out_stream(host))], pos, limit, max_bytes)
    dead = snapshot.query(LETTERS_BETWEEN, reader=out_reader(host), after=pos, upto=page.next)
    refused = frozenset(row[0] for row in dead)
    upto = 0 if page.more else link.last_seq
    return _fitting(_numbered(link, page.entries, after, upto, refused), limit, max_bytes)


def _fitting(numbers: Iterator[Numbered], limit: int, max_bytes: int) -> list[Numbered]:
    taken: list[Numbered] = []
    for each in numbers:
        max_bytes -= len(each.body) + FRAME_BYTES
        if taken and (max_bytes < 0 or len(taken) == limit):
            break
        taken.append(each)
    return taken


def _numbered(
    link: Outgoing, entries: Sequence[Entry], after: int, upto: int, refused: frozenset[object]
) -> Iterator[Numbered]:
    """`upto`: to which number at least, those beyond the entries being lost."""
    label, label_end = _Label(b"", b""), 0
    for entry in entries:
        assert entry.seq is not None
        yield from _tombstones(link, after + 1, entry.seq - 1, LOST)
        after = seq = entry.seq
        if entry.body is None or entry.pos in refused:
            yield from _tombstones(link, seq, seq, REFUSED)
            continue
        if seq > label_end:
            label, label_end = _label(link, seq), link.end_of(seq)
        body = b"%b%b%b" % (entry.body, label.fields, bodies.number(seq))
        yield Numbered(seq, seq, True, label.epoch, body)
    yield from _tombstones(link, after + 1, upto, LOST)


def _tombstones(link: Outgoing, seq: int, upto: int, reason: str) -> Iterator[Numbered]:
    """One a label."""
    while seq <= upto:
        label, end = _label(link, seq), min(upto, link.end_of(seq))
        body = label.fields + bodies.tombstone(seq, end, reason)
        yield Numbered(seq, end, False, label.epoch, body)
        seq = end + 1


class _Label(Struct, frozen=True):
    """What all events of an epoch are sent with."""

    epoch: bytes
    fields: bytes


def _label(link: Outgoing, seq: int) -> _Label:
    label = link.label_of(seq)
    return _Label(label.epoch, bodies.label(*label))
