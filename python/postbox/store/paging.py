"""Cuts a page out of entries in position order, the same way for every source of them."""

from __future__ import annotations

from collections.abc import Iterable

from postbox.store.contract import Entry, Page


def cut_page(entries: Iterable[Entry], after: int, head: int, limit: int, max_bytes: int) -> Page:
    """A page from entries in position order, of which there may be more than fit."""
    taken: list[Entry] = []
    room_bytes = max_bytes
    for entry in entries:
        room_bytes -= len(entry.body or b"")
        if taken and (room_bytes < 0 or len(taken) == limit):
            return Page(taken, taken[-1].pos, more=True)
        taken.append(entry)
    return Page(taken, max(after, head), more=False)
