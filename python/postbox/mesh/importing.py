"""Taking in a whole file, batch by batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from postbox.mesh.files import BadFile, History
from postbox.mesh.merging.intake import Intake, Report
from postbox.rules import Payer
from postbox.world import Pool, World

BATCH_EVENTS = 4_096  # four commits of the log: progress is shown, and lost work is little
BATCH_BYTES = 2 * 2**20  # in base64 well below what a request may hold (`net.limits`)
OPERATOR = Payer("operator", "import")

Take: TypeAlias = Callable[[Sequence[bytes]], Awaitable[Report]]


async def import_file(
    world: World, take: Take, path: Path, progress: Callable[[Report, float], None]
) -> tuple[Report, BadFile | None]:
    """What became of the file's events, and what kept it from being read to its end, if anything.

    `take` takes in a batch, here (`take_raws`) or elsewhere. `progress` is called after each one
    with all so far, durable by then, and the share of the file that was read (0 to 1).
    """
    history = History(path)
    report = Report()
    damage: BadFile | None = None
    with closing(iter(history)) as events:
        while damage is None:
            raws, damage = await world.threads.run(Pool.READER, lambda: _next(events))
            if not raws:
                break
            report.add(await take(raws))
            progress(report, history.read_bytes / max(history.size_bytes, 1))
    return report, damage


async def take_raws(intake: Intake, raws: Sequence[bytes]) -> Report:
    """Takes in what an operator's file holds."""
    return await intake.take(await intake.decode(raws), OPERATOR)


def _next(events: Iterator[bytes]) -> tuple[list[bytes], BadFile | None]:
    """The next batch; what was read before the damage is in it."""
    raws: list[bytes] = []
    size_bytes = 0
    try:
        for raw in events:
            raws.append(raw)
            size_bytes += len(raw)
            if len(raws) == BATCH_EVENTS or size_bytes >= BATCH_BYTES:
                break
    except BadFile as damage:
        return raws, damage
    return raws, None
