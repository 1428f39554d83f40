"""`postbox verify`."""

from __future__ import annotations

from postbox.cli.node import opened
from postbox.cli.options import Common, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import progress
from postbox.event import Standing
from postbox.mesh.audit import Audit, audit

SHOWN = 20  # of what is wrong; the JSON has all of it


def verify(*, common: Common | None = None) -> int:
    """Check every stored event again: its form, its id, its signature. Exits 1 if something is
    wrong; what cannot be checked (unsigned events, keys not known) is counted and no error."""
    options = common or Common()

    async def verb() -> int:
        async with opened(options) as node:
            with progress("verifying", node.world.clock) as show:
                result = await audit(
                    node.world,
                    node.tail,
                    node.directory.keys,
                    lambda so_far, share: show(so_far.checked, share),
                )
        _show(result, options.json)
        return int(bool(result.wrong))

    return run(verb)


def _show(result: Audit, as_json: bool) -> None:
    counts = {standing.name.lower(): result.standings[standing] for standing in reversed(Standing)}
    if as_json:
        wrong = [{"position": pos, "problem": problem} for pos, problem in result.wrong]
        print_json({"checked": result.checked, **counts, "wrong": wrong})
        return
    summary = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"{events(result.checked)} checked: {summary}, {len(result.wrong):,} wrong")
    for pos, problem in result.wrong[:SHOWN]:
        print(f"  at position {pos}: {problem}")
