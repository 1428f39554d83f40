"""`postbox backup FILE`: beside whoever has the home open, and without asking it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from postbox.cli.options import FLAG, Common, require_no_option, run
from postbox.cli.output import events, print_json
from postbox.cli.part_file import part_file
from postbox.cli.progress import Show, progress
from postbox.cli.steps import run_steps
from postbox.home import database_of, require_whole
from postbox.node import MIGRATIONS
from postbox.store.backup import CannotBackUp, Contents, Label, write_backup
from postbox.store.open import is_url
from postbox.store.schema import Engine
from postbox.trust.keyfile import FILE_NAME, encode_identity, has_key, load_identity
from postbox.trust.keys import Identity
from postbox.world import World, system_world


class Made(Struct, frozen=True):
    """The fields of `backup --json`."""

    file: str
    name: str
    engine: Engine
    events: int
    entries: int
    head: int
    epoch: str
    bytes: int
    made_at: datetime


def backup(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    replace: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Write everything that the node has into FILE, as it is at this moment: log, keys, and the
    node's own key, so keep it as safe as that. The node may serve meanwhile. `postbox restore`
    makes a node of it, on SQLite or PostgreSQL, wherever it was made.

    FILE is written under another name, checked, and takes its own when it is complete.

    Parameters
    ----------
    file
        To be written: a database of SQLite, readable by you alone.
    replace
        Replace FILE if it is there.
    """
    options, path = common or Common(), file.absolute()

    async def verb() -> int:
        require_no_option(file, "backup")
        home, world = options.home_folder(), system_world()
        database = database_of(home, options.config().node.store)
        with progress(f"backing up to {file.name}", world.clock) as show:
            made = await _write(world, home, database, path, show, replaces=replace)
        (print_json if options.json else _print)(made)
        return 0

    return run(verb, as_json=options.json)


async def _write(
    world: World, home: Path, database: str, file: Path, show: Show, *, replaces: bool
) -> Made:
    identity = _identity_in(home, database)
    label = Label(
        made_at_ms=world.clock.now_ns() // 1_000_000,
        engine="postgres" if is_url(database) else "sqlite",
        version=version("postbox"),
        name=identity.name,
        key=encode_identity(identity),
    )
    with part_file(file, replaces=replaces) as part:
        copying = write_backup(world.disk, database, MIGRATIONS, str(part), label)
        contents = await run_steps(world.threads, copying, lambda copied: show(*copied))
        if contents.owner not in (None, identity.public_key):
            raise CannotBackUp(
                f"the database holds the log of another node than that of {home}: see --store"
            )
    return _made(file, label, contents)


def _identity_in(home: Path, database: str) -> Identity:
    """Raises CannotBackUp where there is no node."""
    require_whole(home)
    if not has_key(home):
        raise CannotBackUp(f"there is no node in {home}: see that this is the right folder")
    if not is_url(database) and not Path(database).exists():
        raise CannotBackUp(f"{database} is not there: the node in {home} has nothing to back up")
    return load_identity(home / FILE_NAME)


def _made(file: Path, label: Label, contents: Contents) -> Made:
    return Made(
        file=str(file),
        name=label.name,
        engine=label.engine,
        events=contents.events,
        entries=contents.entries,
        head=contents.head,
        epoch=contents.epoch.hex(),
        bytes=file.stat().st_size,
        made_at=datetime.fromtimestamp(label.made_at_ms / 1e3, UTC),
    )


def _print(made: Made) -> None:
    print(
        f"{events(made.events)} of {made.name} are in {made.file}, {made.bytes / 1e6:,.1f} MB:"
        f" all {made.entries:,} entries of its log up to position {made.head:,}, its keys, and its"
        f" own key"
    )
