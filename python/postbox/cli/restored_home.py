"""A backup made a node's home again.

Until that is done a file in the home says so, for which every other verb refuses it: what a killed
process left behind is never taken for a node, and the next try begins anew. The order is: that
file; the database under another name, with a new epoch; then its own name, or on a server one
transaction; the key; and that file is gone.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from postbox.cli.progress import Show
from postbox.cli.steps import run_steps
from postbox.errors import Full
from postbox.home import (
    DATABASE,
    RESTORING,
    BadHome,
    flush,
    open_home,
    remember_database,
    replace_file,
)
from postbox.log.anchor import FILE as ANCHOR
from postbox.log.epoch import renew_epoch
from postbox.node import MIGRATIONS
from postbox.store.backup import (
    CannotRestore,
    Contents,
    Label,
    copy_backup,
    fill_server,
    read_backup,
    server_epoch,
)
from postbox.store.open import is_url, open_store
from postbox.trust.keyfile import FILE_NAME, decode_identity, has_key, load_identity, place_identity
from postbox.trust.keys import Identity, SoulError
from postbox.world import Pool, World

PART = f"{DATABASE}.part"
_SUFFIXES = ("", "-wal", "-journal", "-shm")
_OF_DATABASE = [DATABASE + suffix for suffix in _SUFFIXES]
"""What SQLite keeps beside a database counts: a log of changes that is left of another one would be
taken for this one's."""
_OF_PART = [PART + suffix for suffix in _SUFFIXES]


class Backup(NamedTuple):
    file: Path
    label: Label
    contents: Contents
    identity: Identity


class Try(Struct, frozen=True):
    """What is noted in the home: which backup is restored, and the epoch that it gets, once that
    is known. A server's database with that epoch has it all."""

    name: str
    made_at_ms: int
    epoch: bytes = b""


async def read(world: World, file: Path) -> Backup:
    """Raises CannotRestore, and SchemaTooNew."""
    return await world.threads.run(Pool.READER, partial(_read, world, file))


def _read(world: World, file: Path) -> Backup:
    if not file.is_file():
        raise CannotRestore(f"there is no file {file}")
    label, contents = read_backup(world.disk, str(file), MIGRATIONS)
    try:
        return Backup(file, label, contents, decode_identity(label.key))
    except SoulError as error:
        raise CannotRestore(f"the key in {file} is damaged ({error}): take another one") from error


async def restore_home(
    world: World, home: Path, database: str, backup: Backup, show: Show
) -> bytes:
    """The epoch that the log has now. `database`: the one of this home, a path or a URL.

    Raises CannotRestore where a node is already, HomeInUse, and as a store does."""
    with open_home(home, restores=True):
        try:
            return await _restore(world, home, database, backup, show)
        except OSError as error:
            raise BadHome(home, f"{error.filename}: {error.strerror}") from error


async def _restore(world: World, home: Path, database: str, backup: Backup, show: Show) -> bytes:
    attempt, former = Try(backup.label.name, backup.label.made_at_ms), _noted(home)
    _require_no_node(home, backup.identity, is_again=former is not None)
    epoch = await _epoch_at(world, database)
    if epoch is None:
        epoch = await _fill(world, home, database, backup, attempt, show)
    elif former != replace(attempt, epoch=epoch):
        raise CannotRestore("that database has a node already: name an empty one")
    place_identity(home, world.random, backup.identity)
    remember_database(home, database)
    _clear(home, [*_OF_PART, ANCHOR])  # an anchor there is of the log that was lost
    (home / RESTORING).unlink()
    flush(home)
    return epoch


def _require_no_node(home: Path, identity: Identity, *, is_again: bool) -> None:
    """The same node that lost its database is none, nor is what a try before this one left."""
    if has_key(home) and load_identity(home / FILE_NAME) != identity:
        raise CannotRestore(f"{home} is the home of another node: name another folder")
    there = [name for name in _OF_DATABASE if (home / name).exists()]
    if there and not is_again:
        raise CannotRestore(
            f"{home} has a database already ({there[0]}): name another folder, or move away all"
            f" {DATABASE}* there"
        )


async def _epoch_at(world: World, database: str) -> bytes | None:
    if not is_url(database):
        return None
    return await world.threads.run(Pool.READER, partial(server_epoch, world.disk, database))


async def _fill(
    world: World, home: Path, database: str, backup: Backup, attempt: Try, show: Show
) -> bytes:
    """The database, and what is noted of it. Nothing is left if it fails before it is put there."""
    _clear(home, _OF_DATABASE + _OF_PART)
    _note(home, attempt)
    try:
        epoch = await _prepare(world, home / PART, backup, show)
        _note(home, replace(attempt, epoch=epoch))
    except BaseException:
        _clear(home, _OF_PART)
        (home / RESTORING).unlink()
        raise
    await _put(world, home, database, show)
    return epoch


async def _prepare(world: World, part: Path, backup: Backup, show: Show) -> bytes:
    """A node's database at `part`, with tables of today and an epoch of its own."""
    copying = copy_backup(world.disk, str(backup.file), str(part))
    await run_steps(world.threads, copying, lambda copied: show(*copied))
    async with open_store(world, str(part), MIGRATIONS) as store:
        await renew_epoch(store, world)
        return (await store.identity()).epoch


async def _put(world: World, home: Path, database: str, show: Show) -> None:
    part = home / PART
    if is_url(database):
        filling = fill_server(world.disk, str(part), database, MIGRATIONS)
        await run_steps(world.threads, filling, lambda copied: show(*copied))
    else:
        _require_complete(home)
        await world.threads.run(Pool.WRITER, partial(flush, part))
        part.replace(database)
        flush(home)


def _require_complete(home: Path) -> None:
    """Its end brought into it what was written ahead, or could not, of which SQLite says nothing:
    the new epoch would be left behind."""
    if (home / f"{PART}-wal").exists():
        raise Full(f"no room for {home / PART}: make room on its disk, and restore again")


def _clear(home: Path, names: list[str]) -> None:
    for name in names:
        (home / name).unlink(missing_ok=True)


def _noted(home: Path) -> Try | None:
    """Of a try before this one."""
    try:
        return msgspec.json.decode((home / RESTORING).read_bytes(), type=Try)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:  # cut short itself
        return Try("", 0)


def _note(home: Path, attempt: Try) -> None:
    replace_file(home / RESTORING, msgspec.json.encode(attempt), durable=True)
