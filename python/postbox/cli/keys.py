"""`postbox keys`."""

from __future__ import annotations

from postbox.cli.node import opened
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_pairs


def show(*, common: Common | None = None) -> int:
    """This node's name, public key and id. A peer's operator runs: postbox trust add NAME KEY."""
    options = common or Common()

    async def verb() -> int:
        async with opened(options) as node:
            identity = node.identity
        shown = {
            "name": identity.name,
            "public_key": identity.public_key_base64,
            "id": identity.id,
        }
        (print_json if options.json else print_pairs)(shown)
        return 0

    return run(verb)
