"""`postbox open`."""

from __future__ import annotations

from postbox.admin.command import Nothing
from postbox.admin.page import OPEN_PAGE
from postbox.admin.words import span
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import note, print_json


def open_(*, common: Common | None = None) -> int:
    """Print a link to the operator's page of the node that serves. It lets in whoever opens it
    first; then it is used up."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            opened = await operator.call(OPEN_PAGE, Nothing())
        if options.json:
            print_json(opened)
        else:
            print(opened.url)
            good = f"good once, within {span(opened.good_s)}"
            note(f"open it in a browser; {good}")
        return 0

    return run(verb, as_json=options.json)
