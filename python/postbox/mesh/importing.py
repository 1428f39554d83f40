"""Taking in a whole file, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from postbox.mesh.files import BadFile, History
from postbox.mesh.intake import Intake, Report
from postbox.rules import Payer
from postbox.world import Pool, World

BATCH_EVENTS = 4_096  # four commits of the log: progress is shown, and lost work is little
OPERATOR = Payer("operator", "import")


async def import_file(
    world: World, intake: Intake, path: Path, progress: Callable[[Report, float], None]
) -> tuple[Report, BadFile | None]:
    """What became of the file's events, and what kept it from being read to its end, if anything.

    `progress` is called after each batch with all so far, durable by then, and the share of the
    file that was read (0 to 1).
    """
    history = History(path)
    report = Report()
    damage: BadFile | None = None
    with closing(iter(history)) as events:
        while damage is None:
            raws, damage = await world.threads.run(Pool.READER, lambda: _next(events))
            if not raws:
                break
            report.add(await intake.take(await intake.decode(raws), OPERATOR))
            progress(report, history.read_bytes / max(history.size_bytes, 1))
    return report, damage


def _next(events: Iterator[bytes]) -> tuple[list[bytes], BadFile | None]:
    """The next batch; what was read before the damage is in it."""
    raws: list[bytes] = []
    try:
        raws.extend(islice(events, BATCH_EVENTS))
    except BadFile as damage:
        return raws, damage
    return raws, None
