"""What followers are told: one commit, after it is durable and before anyone is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from postbox.store.change import own_positions, stored_appends
from postbox.store.contract import Change, Entry, Key, Lane, News, Row, Table

StreamName: TypeAlias = tuple[Lane, bytes]


class Committed(Struct, frozen=True):
    """One commit. `entries` are in position order, without those it removed itself again."""

    head: int  # the log's head after it
    entries: Sequence[Entry]
    removes: Sequence[int]
    blanks: Sequence[int]
    puts: Mapping[Table, Sequence[Row]]
    drops: Mapping[Table, Sequence[Key]]
    streams: Set[StreamName]  # that got an entry; in the order of the entries


class Follower(Protocol):
    """Applies commits in position order. Synchronous and quick: it runs on the loop, and nobody is
    answered before it returns. A follower that raises stops the process, which starts again by
    rebuilding it (`Tail.replay`, before admission runs)."""

    def applied(self, committed: Committed) -> None: ...


class Interest(NamedTuple):
    """Streams of a lane that a reader waits for; None: any of the lane."""

    lane: Lane
    streams: frozenset[bytes] | None = None


def committed(change: Change, head: int) -> Committed:
    entries: Sequence[Entry] = change.appends
    if own_positions(change, change.removes) or own_positions(change, change.blanks):
        gone = frozenset(change.removes)
        entries = [entry for entry in stored_appends(change) if entry.pos not in gone]
    return Committed(
        head, entries, change.removes, change.blanks, change.puts, change.drops, _streams(entries)
    )


def told(news: News, tables: Mapping[str, Table]) -> Committed:
    """A commit of another process. Of tables that nobody here knows nothing is told."""
    puts = {tables[name]: rows for name, rows in news.puts.items() if name in tables}
    drops = {tables[name]: keys for name, keys in news.drops.items() if name in tables}
    return Committed(
        news.head,
        news.entries,
        news.removes,
        news.blanks,
        puts,
        drops,
        _streams(news.entries),
    )


def _streams(entries: Sequence[Entry]) -> Set[StreamName]:
    # The keys of a dict are a set in an order that does not depend on the hash seed.
    return dict.fromkeys([(entry.lane, entry.stream) for entry in entries]).keys()
