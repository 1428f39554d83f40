"""`postbox keys`."""

from __future__ import annotations

from msgspec.structs import asdict

from postbox.admin.command import Nothing
from postbox.admin.status import SHOW_KEY
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_pairs
from postbox.trust.keys import public_key_text


def show(*, common: Common | None = None) -> int:
    """This node's name, public key and id. A peer's operator runs: postbox trust add NAME KEY."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            shown = await operator.call(SHOW_KEY, Nothing())
        if options.json:
            print_json(shown)
        else:
            print_pairs(asdict(shown) | {"public_key": public_key_text(shown.public_key)})
        return 0

    return run(verb, as_json=options.json)
