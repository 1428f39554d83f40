"""`postbox token`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from postbox.admin.devices import MINT_TOKEN, MintToken
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import note, print_json


def mint(
    *,
    user: str,
    device: str,
    days: Annotated[int | None, Parameter(validator=Number(gte=1, lte=3650), metavar="N")] = None,
    common: Common | None = None,
) -> int:
    """Make a token with which a device of a user signs in here, and print it. Whoever has it is
    that device, until it expires or postbox devices revoke takes it back.

    Parameters
    ----------
    user
        1 to 64 characters, without "@", ":" and spaces.
    device
        What the user calls it, likewise. The same name again is the same device.
    days
        For how long it is good; by default as clients.token_days says.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            minted = await operator.call(MINT_TOKEN, MintToken(user, device, days))
        if options.json:
            print_json(minted)
        else:
            print(minted.token)
            until = f"until {minted.expires:%F %R} UTC"
            note(f"for {minted.user}'s {minted.device}, {until}")
        return 0

    return run(verb, as_json=options.json)
