"""What a change comes to on both engines alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from postbox.errors import Violation
from postbox.store.contract import Change, Entry, Key, Scalar

NO_LANE = 0  # of what is left of a removed entry: no reader looks there


def stored_appends(change: Change) -> Sequence[Entry]:
    """The appends as they are stored. One that the change itself removes is left in no lane: the
    store keeps it while it carries the head's position or its stream's newest number."""
    removed, blanked = own_positions(change, change.removes), own_positions(change, change.blanks)
    if not removed and not blanked:
        return change.appends
    return [_after_own_change(entry, removed, blanked) for entry in change.appends]


def followed_rows(change: Change) -> dict[str, list[Key]]:
    """The keys of the rows that change in tables that are followed, by the table's name."""
    found: dict[str, list[Key]] = {}
    for table, rows in change.puts.items():
        if table.followed:
            found[table.name] = [row[: table.key] for row in rows]
    for table, keys in change.drops.items():
        if table.followed:
            found.setdefault(table.name, []).extend(keys)
    return found


def own_positions(change: Change, positions: Sequence[int]) -> frozenset[int]:
    """Those of `positions` that the change itself appends."""
    if not change.appends or not positions:
        return frozenset()
    first = change.appends[0].pos
    return frozenset(pos for pos in positions if pos >= first)


def _after_own_change(entry: Entry, removed: frozenset[int], blanked: frozenset[int]) -> Entry:
    if entry.pos in removed:
        return replace(entry, lane=NO_LANE, id=bytes(16), author=b"", body=None)
    return replace(entry, body=None) if entry.pos in blanked else entry


def is_storable(row: Iterable[Scalar]) -> bool:
    """PostgreSQL cannot store a text with NUL, so neither engine does, and no row has one."""
    return not any(isinstance(value, str) and "\0" in value for value in row)


def check_storable(rows: Iterable[Iterable[Scalar]]) -> None:
    """Raises Violation."""
    if not all(map(is_storable, rows)):
        raise Violation("a text with NUL cannot be stored; nothing was")
