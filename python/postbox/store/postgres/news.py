"""What a commit tells the node's other processes, as it lies in the table `news`.

Entries speak for themselves, since they lie in the log; what was removed or erased does not, nor
do rows: of those the keys go along, where somebody follows the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from postbox.store.change import followed_rows
from postbox.store.contract import Change, Entry, News

KEPT_TURNS = 65_536
"""Five minutes of the most commits a second that there can be, and days of a quiet node. Who stood
still for longer starts anew."""
SWEEP_COMMITS = 1_024  # of a process: so often it drops older news, a thousand rows or so at a time
MOST_ENTRIES = 8_192  # read at once: some ten full commits

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]  # keys by table
_Data: TypeAlias = tuple[list[int], list[int], Rows]  # positions removed and erased, and rows

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Data).decode


def packed(changes: Sequence[Change]) -> bytes | None:
    """None: there is nothing but entries, and rows that nobody follows."""
    removes = [pos for change in changes for pos in change.removes]
    blanks = [pos for change in changes for pos in change.blanks]
    rows: Rows = {}
    for change in changes:
        for name, keys in followed_rows(change).items():
            rows.setdefault(name, []).extend(keys)
    return _encode((removes, blanks, rows)) if removes or blanks or rows else None


def unpacked(turn: int, head: int, data: bytes | None, entries: Sequence[Entry]) -> News:
    return News(turn, head, entries, *(() if data is None else _decode(data)))
