"""`postbox import FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from postbox.cli.node import opened
from postbox.cli.options import Common, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import progress
from postbox.mesh.importing import import_file
from postbox.mesh.intake import Report


def import_(file: Path, /, *, common: Common | None = None) -> int:
    """Take in FILE: lines of events, an array of them, or an answer to a sync request; with gzip
    or without. The self-signed hey-theres in it make their names known, for names that are new.

    Exits 1 if the file is damaged, or if nothing in it could be taken.
    """
    options = common or Common()

    async def verb() -> int:
        async with opened(options, forgets=True) as node:
            with progress(f"importing {file.name}", node.world.clock) as show:
                report, damage = await import_file(
                    node.world,
                    node.intake,
                    file,
                    lambda so_far, share: show(so_far.total, share),
                )
            await node.settle()
        if damage is not None:
            print(f"postbox: {damage}", file=sys.stderr)
        show_report(report, options.json)
        return int(damage is not None or report.rejected.total() == report.total > 0)

    return run(verb)


def show_report(report: Report, as_json: bool) -> None:
    """What became of events: the reasons on stderr, the numbers on stdout."""
    for verdict, count in report.rejected.most_common():
        print(f"postbox: {events(count)} refused: {verdict}", file=sys.stderr)
    numbers = {
        "imported": report.imported,
        "duplicates": report.duplicates,
        "rejected": report.rejected.total(),
        "pruned": report.pruned,
    }
    if as_json:
        print_json(numbers)
        return
    print(
        f"{events(report.imported)} imported, {report.duplicates:,} known already,"
        f" {report.rejected.total():,} refused, {report.pruned:,} below what is kept"
    )
