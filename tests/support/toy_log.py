"""The log of a toy chat as a process left it, looked at from outside."""

from __future__ import annotations

from pathlib import Path

from postbox.store.contract import Entry, Lane, Query
from postbox.store.sqlite.driver import open_sqlite
from postbox.world import FileDisk
from support.toy_chat import MIGRATIONS


def stored_entries(path: Path) -> list[Entry]:
    store = open_sqlite(FileDisk(), str(path), [MIGRATIONS], bytes(16), bytes(32))
    check = Query("check", "pragma integrity_check")
    try:
        assert store.read(lambda reader: reader.query(check)) == [("ok",)]
        page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10**9, 2**40))
        assert page.next == len(page.entries)
        return list(page.entries)
    finally:
        store.close()
