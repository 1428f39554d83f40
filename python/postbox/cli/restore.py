"""`postbox restore FILE`: a node from a backup, in a home that has none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from postbox.cli.options import Common, require_no_option, run
from postbox.cli.output import events, print_json, print_text
from postbox.cli.progress import progress
from postbox.cli.restored_home import read, restore_home
from postbox.home import database_of
from postbox.store.schema import Engine
from postbox.world import World, system_world


class Restored(Struct, frozen=True):
    """The fields of `restore --json`. `former_epoch`: the log's when it was backed up."""

    home: str
    name: str
    engine: Engine
    events: int
    entries: int
    head: int
    epoch: str
    former_epoch: str
    made_at: datetime


def restore(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    common: Common | None = None,
) -> int:
    """Make a node of the backup FILE, in a home that has none: with its name, its key and all that
    it had then. Its log gets a new epoch, so that whoever read beyond the backup learns of it. The
    node that was backed up must not run any more: both are the same one.

    Parameters
    ----------
    file
        Written by `postbox backup`.
    """
    options, path = common or Common(), file.absolute()

    async def verb() -> int:
        require_no_option(file, "restore")
        home = options.home_folder()
        database = database_of(home, options.config().node.store)
        result = await _restore(system_world(), home, database, path)
        (print_json if options.json else _print)(result)
        return 0

    return run(verb, as_json=options.json)


async def _restore(world: World, home: Path, database: str, file: Path) -> Restored:
    backup = await read(world, file)
    with progress(f"restoring {file.name}", world.clock) as show:
        epoch = await restore_home(world, home, database, backup, show)
    label, contents = backup.label, backup.contents
    return Restored(
        home=str(home),
        name=label.name,
        engine=label.engine,
        events=contents.events,
        entries=contents.entries,
        head=contents.head,
        epoch=epoch.hex(),
        former_epoch=contents.epoch.hex(),
        made_at=datetime.fromtimestamp(label.made_at_ms / 1e3, UTC),
    )


def _print(result: Restored) -> None:
    print(
        f"{events(result.events)} of {result.name} are in {result.home}, as they were at"
        f" {result.made_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    print_text(
        f"The log's new epoch is {result.epoch}: whoever read beyond the backup is told that it"
        " went back. What came later is not in it; `postbox sync URL` brings what a peer has."
    )
    print_text(
        f"This is {result.name} now: start the node that was backed up no more, since two with one"
        " key harm each other."
    )
