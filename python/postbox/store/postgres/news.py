"""What a commit tells the node's other processes, as it lies in the table `news`.

Entries speak for themselves, since they lie in the log; what was removed or erased does not, nor do
rows: of those the tables go along that every process keeps in memory (`Table.followed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from postbox.store.contract import Change, Entry, Key, News, Row, Table

KEPT_TURNS = 65_536
"""Five minutes of the most commits a second that there can be, and days of a quiet node. Who stood
still for longer starts anew."""
SWEEP_COMMITS = 1_024  # of a process: so often it drops older news, a thousand rows or so at a time
MOST_ENTRIES = 8_192  # read at once: some ten full commits

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]  # of scalars: msgpack tells them apart
_Data: TypeAlias = tuple[list[int], list[int], Rows, Rows]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Data).decode


def packed(changes: Sequence[Change]) -> bytes | None:
    """None: there is nothing but entries, and rows that nobody follows."""
    removes = [pos for change in changes for pos in change.removes]
    blanks = [pos for change in changes for pos in change.blanks]
    puts = _followed(pair for change in changes for pair in change.puts.items())
    drops = _followed(pair for change in changes for pair in change.drops.items())
    if not (removes or blanks or puts or drops):
        return None
    return _encode((removes, blanks, puts, drops))


def _followed(sets: Iterable[tuple[Table, Sequence[Row] | Sequence[Key]]]) -> Rows:
    found: Rows = {}
    for table, rows in sets:
        if table.followed and rows:
            found.setdefault(table.name, []).extend(rows)
    return found


def unpacked(turn: int, head: int, data: bytes | None, entries: Sequence[Entry]) -> News:
    if data is None:
        return News(turn, head, entries)
    return News(turn, head, entries, *_decode(data))
