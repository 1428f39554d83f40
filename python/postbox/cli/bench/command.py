"""`postbox bench`: what this machine does, in figures that can be compared.

Two yardsticks, measured in the same run, say how fast the machine is, so that only ratios need to
be believed.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from postbox.cli.options import Common, run
from postbox.cli.output import print_json
from postbox.world import system_world


def bench(
    *,
    events: int = 80_000,
    served: Annotated[bool, Parameter(negative="")] = False,
    seconds: float = 3.0,
    common: Common | None = None,
) -> int:
    """Measure on a made history of so many EVENTS: the ledger's operations in process, then the
    way through the log in a temporary home. Medians; nothing else should run meanwhile.

    Parameters
    ----------
    served
        Measure what a peer sees instead: answers of a node that serves the history, beside those
        of a server that does nothing else, and a pull of all of it. Needs Linux.
    seconds
        With --served: how long each kind of answer is asked for, each way.
    """
    options = common or Common()

    async def verb() -> int:
        if served:
            await _served(events, seconds, as_json=options.json)
        else:
            await _in_process(events, as_json=options.json)
        return 0

    return run(verb)


async def _in_process(events: int, *, as_json: bool) -> None:
    from postbox.cli.bench.ledger import measure, print_figures

    figures = await measure(system_world(), events)
    if as_json:
        print_json([figure._asdict() for figure in figures])
    else:
        print_figures(events, figures)


async def _served(events: int, seconds: float, *, as_json: bool) -> None:
    from postbox.cli.bench.served import measure, print_served

    found = await measure(system_world(), events, seconds)
    if as_json:
        print_json(found)
    else:
        print_served(found)
