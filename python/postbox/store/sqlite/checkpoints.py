"""Brings what was written ahead into the database file, and keeps the write-ahead log bounded.

SQLite does that by itself after a commit, but not as a log of events needs it: it says nothing when
a sync fails there, after which nobody knows what is on the disk; and as long as one reader begins
before another one ends it never starts the write-ahead log anew, which then grows without end.
"""

from __future__ import annotations

from contextlib import suppress

import apsw

CHECKPOINT_PAGES = 8_192  # 32 MB: a page dirtied by many commits goes to the database file once
RESTART_PAGES = 2 * CHECKPOINT_PAGES  # then readers are waited for, since they leave no gap
READERS_MS = 250  # for those that are at a page: milliseconds; a check of everything takes longer
PAGE_BYTES = 4_096


class Checkpoints:
    """SQLite's hook of a connection that commits. What it takes is part of the commit's time; an
    error of the disk is the commit's error, which is on the disk itself by then. Without room in
    the database file, or with a reader that stays, the next commit tries again."""

    def __init__(self, connection: apsw.Connection, busy_timeout_ms: int) -> None:
        self._busy_timeout_ms = busy_timeout_ms
        self._restart_at = RESTART_PAGES
        connection.pragma("journal_size_limit", RESTART_PAGES * PAGE_BYTES)
        connection.set_wal_hook(self)

    def __call__(self, connection: apsw.Connection, name: str, wal_pages: int) -> int:
        if wal_pages < CHECKPOINT_PAGES:
            self._restart_at = RESTART_PAGES
        elif wal_pages < self._restart_at:
            with suppress(apsw.BusyError, apsw.FullError):
                connection.wal_checkpoint(name)
        else:
            self._restart_at = wal_pages + CHECKPOINT_PAGES
            self._restart(connection, name)
        return apsw.SQLITE_OK

    def _restart(self, connection: apsw.Connection, name: str) -> None:
        """Whoever begins to read meanwhile reads the database file, so that this ends."""
        connection.set_busy_timeout(READERS_MS)
        try:
            with suppress(apsw.BusyError, apsw.FullError):
                connection.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_RESTART)
        finally:
            connection.set_busy_timeout(self._busy_timeout_ms)
