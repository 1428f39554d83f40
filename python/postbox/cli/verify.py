"""`postbox verify`."""

from __future__ import annotations

from postbox.admin.command import Nothing
from postbox.admin.verify import VERIFY, Verified
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import progress
from postbox.cli.verdicts import worded
from postbox.world import SystemClock

SHOWN = 20  # of what is wrong; the JSON has all of it


def verify(*, common: Common | None = None) -> int:
    """Check every stored event again: its form, its id, its signature. Exits 1 if something is
    wrong; what cannot be checked (unsigned events, keys not known) is counted and no error."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            with progress("verifying", SystemClock()) as show:
                result = await operator.call(
                    VERIFY, Nothing(), lambda so_far: show(so_far.count, so_far.share)
                )
        (print_json if options.json else _print)(result)
        return int(bool(result.wrong))

    return run(verb, as_json=options.json)


def _print(result: Verified) -> None:
    print(
        f"{events(result.checked)} checked: {result.attested:,} attested, {result.unproven:,}"
        f" unproven, {result.hearsay:,} hearsay, {len(result.wrong):,} wrong"
    )
    for wrong in result.wrong[:SHOWN]:
        print(f"  at position {wrong.position}: {worded(wrong.problem)}")
