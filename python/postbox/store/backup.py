"""Backups: one SQLite database with all tables of a node, whichever engine it is on, and its key.

A backup is the state of one moment, taken while others read and write. It is made and read on
either engine, so it also moves a node from one to the other. Its table `backup` has one row, the
label; all else is as in the database of a node on SQLite.

Work is done by generators: what they yield is how far they are, and between two steps, each of
hundredths of a second, they may be closed. Whoever runs them makes what they wrote durable.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from postbox.errors import Fault
from postbox.store.open import is_url
from postbox.store.schema import Engine, Migrations
from postbox.world import Disk


class CannotBackUp(Fault):
    """The database has what this postbox does not know, or there is none."""


class CannotRestore(Fault):
    """The file is no backup, is damaged, or not for this database; nothing was changed."""


class Label(Struct, frozen=True):
    """What a backup says of itself. `key`: the node's key file, as it lay in its home."""

    made_at_ms: int
    engine: Engine
    version: str
    name: str
    key: bytes

    def __repr__(self) -> str:
        return f"Label({self.name!r}, {self.made_at_ms})"


class Contents(Struct, frozen=True):
    """What a database holds: `events` of the mesh among all `entries` of the log. `owner`: the
    public key of the node whose log it is, if that was written down yet."""

    owner: bytes | None
    epoch: bytes
    head: int
    entries: int
    events: int

    def up_to(self, share: float) -> Copied:
        return Copied(int(share * self.events), share)


class Copied(NamedTuple):
    """So many events, about; `share`: of the whole, 0 to 1."""

    events: int
    share: float


Copying: TypeAlias = Generator[Copied, None, Contents]
"""Ends with what was copied, as its source had it."""


def write_backup(
    disk: Disk, database: str, sets: Sequence[Migrations], file: str, label: Label
) -> Copying:
    """The database at `database`, a path or a URL, into `file`, which is there and empty; checked
    at the end. Raises CannotBackUp, and as a store does."""
    from postbox.store.sqlite.backup import check_copy, copy_pages, put_label

    if is_url(database):
        from postbox.store.postgres.backup import read_out

        copying = read_out(disk, database, sets, file)
    else:
        copying = copy_pages(disk, database, file)
    contents = yield from copying
    put_label(disk, file, label)
    yield contents.up_to(1.0)
    check_copy(disk, file, contents)
    return contents


def read_backup(disk: Disk, file: str, sets: Sequence[Migrations]) -> tuple[Label, Contents]:
    """What is in a backup, all of which is looked at. Raises CannotRestore, and SchemaTooNew."""
    from postbox.store.sqlite.backup import read_label

    return read_label(disk, file, sets)


def copy_backup(disk: Disk, file: str, path: str) -> Copying:
    """A backup into the database of a node at `path`, which is there and empty."""
    from postbox.store.sqlite.backup import copy_pages, drop_label

    contents = yield from copy_pages(disk, file, path)
    drop_label(disk, path)
    return contents


def fill_server(disk: Disk, path: str, url: str, sets: Sequence[Migrations]) -> Copying:
    """The database of a node at `path`, whose tables are up to date, into the one at `url`, in one
    transaction. Raises CannotRestore if that has a node already, and as a store does."""
    from postbox.store.postgres.backup import fill

    return fill(disk, path, url, sets)


def server_epoch(disk: Disk, url: str) -> bytes | None:
    """Of the node in the database at `url`, if there is one."""
    from postbox.store.postgres.backup import epoch_at

    return epoch_at(disk, url)
