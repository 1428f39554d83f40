"""Backups made as the verb makes them, and every row of every table in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from postbox.store.backup import Contents, Copying, Label, write_backup
from postbox.store.schema import Migrations
from postbox.world import FileDisk

LABEL = Label(1_795_000_000_000, "sqlite", "1.2.3", "ann", b"the key's file")
DISK = FileDisk()

Tables: TypeAlias = dict[str, list[tuple[object, ...]]]


def backed_up(database: str, file: Path, sets: Sequence[Migrations]) -> Contents:
    """As the verb does it; what was in the way is gone."""
    file.unlink(missing_ok=True)
    return ended(write_backup(DISK, database, sets, str(file), LABEL))


def ended(copying: Copying) -> Contents:
    def whole() -> Iterator[object]:
        results.append((yield from copying))

    results: list[Contents] = []
    deque(whole(), maxlen=0)
    return results[0]


def tables(file: Path) -> Tables:
    connection = DISK.open_database(str(file))
    names = connection.execute("select name from sqlite_schema where type = 'table'").fetchall()
    return {
        str(name): sorted(connection.execute(f'select * from "{name}"').fetchall(), key=repr)
        for (name,) in names
    }
