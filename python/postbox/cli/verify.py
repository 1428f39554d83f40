"""`postbox verify`."""

from __future__ import annotations

from postbox.admin.command import Nothing
from postbox.admin.verify import VERIFY, Verified
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import events, print_json, print_text
from postbox.cli.progress import progress
from postbox.cli.verdicts import worded
from postbox.errors import Fatal, Stopped, leaves
from postbox.node import damage_of
from postbox.world import SystemClock, system_world

SHOWN = 20  # of what is wrong; the JSON has all of it
CURE = (
    "something other than postbox changed the database, or its disk fails: look at the disk, then"
    " restore a backup"
)


def verify(*, common: Common | None = None) -> int:
    """Look at everything stored again: the database itself, and every event's form, id and
    signature. Exits 1 if something is wrong; what cannot be checked (unsigned events, keys not
    known) is counted and no error."""
    options = common or Common()

    async def verb() -> int:
        result = await _verified(options)
        (print_json if options.json else _print)(result)
        return int(not result.is_sound)

    return run(verb, as_json=options.json)


async def _verified(options: Common) -> Verified:
    try:
        async with operated(options) as operator:
            with progress("verifying", SystemClock()) as show:
                return await operator.call(
                    VERIFY, Nothing(), lambda so_far: show(so_far.count, so_far.share)
                )
    except (Fatal, BaseExceptionGroup) as error:
        if not all(isinstance(one, Fatal | Stopped) for one in leaves(error)):
            raise
        # The node does not open: what is wrong shows without it, perhaps.
        damage = await damage_of(system_world(), options.home_folder(), options.config())
        if not damage:
            raise
        return Verified(0, 0, 0, 0, [], damage)


def _print(result: Verified) -> None:
    print(
        f"{events(result.checked)} checked: {result.attested:,} attested, {result.unproven:,}"
        f" unproven, {result.hearsay:,} hearsay, {len(result.wrong):,} wrong"
    )
    for wrong in result.wrong[:SHOWN]:
        print(f"  at position {wrong.position}: {worded(wrong.problem)}")
    for text in result.database[:SHOWN]:
        print_text(text, "  in the database: ", "    ")
    if not result.is_sound:
        print_text(CURE)
