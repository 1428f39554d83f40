"""The verbs that are one command: asked of the node, and what it answered is shown."""

from __future__ import annotations

from collections.abc import Callable

from postbox.admin.command import Command, Req, Res
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json


def ask(
    command: Command[Req, Res],
    request: Req,
    show: Callable[[Res], object],
    common: Common | None,
) -> int:
    """The verb's exit code. `show`: where the answer is not asked for as JSON."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            answer = await operator.call(command, request)
        (print_json if options.json else show)(answer)
        return 0

    return run(verb, as_json=options.json)
