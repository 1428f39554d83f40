"""What followers are told: one commit, after it is durable and before anyone is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from postbox.store.change import followed_rows, own_positions, stored_appends
from postbox.store.contract import Change, Entry, Key, Lane, News

StreamName: TypeAlias = tuple[Lane, bytes]


class Committed(Struct, frozen=True):
    """One commit. `entries` are in position order, without those it removed itself again."""

    head: int  # the log's head after it
    entries: Sequence[Entry]
    removes: Sequence[int]
    blanks: Sequence[int]
    rows: Mapping[str, Sequence[Key]]  # that changed in followed tables, by the table's name
    streams: Mapping[StreamName, Sequence[Entry]]  # that got entries, in their order


class Follower(Protocol):
    """Applies commits in position order, those of the node's other processes too. Of rows it is
    told no more than the keys, so a change whose content matters to it comes with an entry.
    Synchronous and quick: it runs on the loop, and nobody is answered before it returns. A follower
    that raises stops the process, which starts again by rebuilding it (`Tail.replay`, before
    admission runs)."""

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
        head, entries, change.removes, change.blanks, followed_rows(change), _streams(entries)
    )


def told(news: News) -> Committed:
    """A commit of another process."""
    entries = news.entries
    return Committed(news.head, entries, news.removes, news.blanks, news.rows, _streams(entries))


def _streams(entries: Sequence[Entry]) -> Mapping[StreamName, Sequence[Entry]]:
    streams: dict[StreamName, list[Entry]] = {}
    for entry in entries:
        name = (entry.lane, entry.stream)
        if name in streams:
            streams[name].append(entry)
        else:
            streams[name] = [entry]
    return streams
