"""What a change comes to when it removes or blanks what it appends itself."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from postbox.store.contract import Change, Entry

NO_LANE = 0  # of what is left of a removed entry: no reader looks there


def stored_appends(change: Change) -> Sequence[Entry]:
    """The appends as they are stored. One that the change itself removes is left in no lane: the
    store keeps it while it carries the head's position or its stream's newest number."""
    removed, blanked = own_positions(change, change.removes), own_positions(change, change.blanks)
    if not removed and not blanked:
        return change.appends
    return [_after_own_change(entry, removed, blanked) for entry in change.appends]


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
