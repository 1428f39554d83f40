"""Databases to measure: a file for SQLite, a server of the bench's own for PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

from support.postgres import programs, started

Place: TypeAlias = Callable[[], AbstractContextManager[str]]  # of an empty database

SQLITE, POSTGRES = "SQLite", "PostgreSQL"


@contextmanager
def places() -> Iterator[dict[str, Place]]:
    """By engine; PostgreSQL only if it is installed. Files lie where `TMPDIR` says."""
    found = programs()
    if found is None:
        yield {SQLITE: _file}
        return
    with contextmanager(started)(found) as server:
        yield {SQLITE: _file, POSTGRES: server.database}


@contextmanager
def _file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        yield str(Path(folder) / "bench.db")
