"""`postbox import FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from postbox.admin.command import Nothing, Operator
from postbox.admin.events import SETTLE, TAKE, Take
from postbox.cli.node import operated
from postbox.cli.options import Common, require_no_option, run
from postbox.cli.output import complain, events, print_json
from postbox.cli.progress import progress
from postbox.cli.stdin import STDIN, readable
from postbox.cli.verdicts import worded
from postbox.mesh.importing import import_file
from postbox.mesh.merging.intake import Report
from postbox.trust.keylist import parse_key_list
from postbox.world import system_world

MAX_KEY_LIST_BYTES = 4 * 2**20
"""What is looked at to tell a list of keys, which nara's tools write beside each history."""


def import_(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)], /, *, common: Common | None = None
) -> int:
    """Take in FILE (- is stdin): lines of events, an array of them, or an answer to a sync request;
    with gzip or without. The self-signed hey-theres in it make their names known, for names that
    are new.

    Exits 1 if the file is damaged, or if nothing in it could be taken.

    Parameters
    ----------
    file
        Events: one a line, an array of them, or an answer to a sync request; with gzip or without.
        Stdin if it is a dash.
    """
    options = common or Common()
    world, name = system_world(), "stdin" if file == STDIN else file.name

    async def verb() -> int:
        if file != STDIN:
            require_no_option(file, "import")
        with readable(file) as path:
            async with operated(options, forgets=True) as operator:
                at_start = await operator.call(SETTLE, Nothing())
                with progress(f"importing {name}", world.clock) as show:
                    report, damage = await import_file(
                        world,
                        lambda raws: _take(operator, raws),
                        path,
                        lambda so_far, share: show(so_far.total, share),
                    )
                at_end = await operator.call(SETTLE, Nothing())
            is_useless = report.rejected.total() == report.total > 0
            is_key_list = is_useless and _is_key_list(path)
        error = None if damage is None else str(damage)
        if is_key_list:
            error = f"{file} is a list of keys: use postbox trust import"
        before = at_start.forgotten if at_start.serves else 0
        show_report(report, at_end.forgotten - before, options.json, error)
        return int(damage is not None or is_useless)

    return run(verb, as_json=options.json)


async def _take(operator: Operator, raws: Sequence[bytes]) -> Report:
    return (await operator.call(TAKE, Take(list(raws)))).report()


def _is_key_list(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(MAX_KEY_LIST_BYTES)
    try:
        return bool(parse_key_list(head).keys)
    except ValueError:
        return False


def show_report(report: Report, forgotten: int, as_json: bool, error: str | None = None) -> None:
    """What became of events: the reasons on stderr, the numbers on stdout. `forgotten`: how many
    left the log meanwhile; `error`: why there are no more."""
    if error is not None:
        complain(error)
    for verdict, count in report.rejected.most_common():
        complain(f"{events(count)} refused: {worded(verdict)}")
    numbers: dict[str, object] = {
        "imported": report.imported,
        "duplicates": report.duplicates,
        "rejected": report.rejected.total(),
        "pruned": report.pruned,
        "forgotten": forgotten,
        "verdicts": report.rejected,
    }
    if report.filtered:  # never of an import
        numbers["filtered"] = report.filtered
    if as_json:
        print_json(numbers if error is None else numbers | {"error": error})
        return
    left = f", {report.filtered:,} not to this node's taste" if report.filtered else ""
    left += f", {forgotten:,} forgotten" if forgotten else ""
    print(
        f"{events(report.imported)} imported, {report.duplicates:,} known already,"
        f" {report.rejected.total():,} refused, {report.pruned:,} below what is kept{left}"
    )
