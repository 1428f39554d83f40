"""What came in on links, and what was given up: pages of events.

Only reading; each function is one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.hosts.links.numbered import position_in
from postbox.hosts.tables import in_stream
from postbox.log.outbox_tables import DEAD_LETTERS, DeadLetter, dead_letter
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from postbox.store.contract import Entry, Lane, Query, Reader, Window

Way: TypeAlias = Literal["to", "from"]
_WAYS: dict[str, Way] = {"to": "to", "from": "from"}

_IN_HOSTS = Query(
    "in_hosts",
    "select substr(reader, 6) from outbox where reader >= 'from/' and reader < 'from0'"
    " order by reader",
)


class Came(Struct, frozen=True):
    """An event from a host, under its number in the inbox; or how many are `lost` in its place."""

    host: str
    seq: int
    pos: int
    type_url: str
    value: bytes
    lost: int = 0


class InboxPage(Struct, frozen=True):
    came: Sequence[Came]
    next: int  # the position after which the next page begins
    more: bool


class Letter(Struct, frozen=True):
    """A dead letter: to a host that does not take it, or from one, where no handler could."""

    way: Way
    came: Came  # the event, with the other host's name; its number in the link's stream
    buried_ms: int
    attempts: int
    error: str


class LettersPage(Struct, frozen=True):
    letters: Sequence[Letter]
    next: tuple[str, int] | None  # after which the next page begins, if there is one


def read_inbox(
    host: str | None, after_seq: int, after: int, limit: int, snapshot: Reader
) -> InboxPage:
    """What came from `host` beyond its number `after_seq`, or from all hosts; beyond the position
    `after` in any case. Oldest first."""
    hosts = [str(row[0]) for row in snapshot.query(_IN_HOSTS)] if host is None else [host]
    if host is not None and after_seq:
        after = max(after, position_in(snapshot, in_stream(host), after_seq))
    windows = [Window(in_stream(each)) for each in hosts]
    page = snapshot.page(Lane.HOSTS, windows, after, limit, 2**20)
    return InboxPage([_came(entry) for entry in page.entries], page.next, page.more)


def read_letters(after: tuple[str, int], limit: int, snapshot: Reader) -> LettersPage:
    """Of the links' readers, `from/` before `to/`, by host and position."""
    rows = snapshot.query(DEAD_LETTERS, reader=after[0], pos=after[1], limit=limit)
    letters = [dead_letter(row) for row in rows]
    found = [letter for each in letters for letter in _letter(each, snapshot)]
    last = letters[-1] if len(letters) == limit else None
    return LettersPage(found, None if last is None else (last.reader, last.pos))


def _letter(letter: DeadLetter, snapshot: Reader) -> Iterator[Letter]:
    prefix, _, host = letter.reader.partition("/")
    way = _WAYS.get(prefix)
    if way is None:
        return  # another door's
    entry = entry_at(snapshot, letter.stream, letter.pos)
    came = Came(host, 0, letter.pos, "", b"") if entry is None else _came(entry)
    yield Letter(way, came, letter.buried_ms, letter.attempts, letter.error)


def entry_at(snapshot: Reader, stream: bytes, pos: int) -> Entry | None:
    page = snapshot.page(Lane.HOSTS, [Window(stream, pos - 1, pos)], 0, 1, 2**20)
    return page.entries[0] if page.entries else None


def _came(entry: Entry) -> Came:
    host = entry.stream.partition(b"/")[2].decode()
    seq = entry.seq or 0
    event = PostboxEvent.from_binary(entry.body or b"")
    if event.tombstone is not None:
        lost = event.tombstone.upto - event.seq + 1
        return Came(host, seq, entry.pos, "", b"", lost)
    if event.event is None:  # erased
        return Came(host, seq, entry.pos, "", b"")
    return Came(host, seq, entry.pos, event.event.type_url, event.event.value)
