"""`postbox token`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec import to_builtins

from postbox.admin.devices import MINT_TOKEN, MintToken
from postbox.cli.address import address_of, chat_link
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, run
from postbox.cli.output import note, print_json


def mint(
    *,
    user: str,
    device: str,
    days: Annotated[int | None, Parameter(validator=Number(gte=1, lte=3650), metavar="N")] = None,
    link: Annotated[bool, FLAG] = False,
    url: str | None = None,
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
    link
        Print a link to the chat page in its place, which signs a browser in.
    url
        Of the host in that link, as https://chat.example.org: where its users reach it, if that is
        not where it listens.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            base = url or (await address_of(operator, options) if link else "")
            where = chat_link(base, "") if base else ""
            minted = await operator.call(MINT_TOKEN, MintToken(user, device, days))
        if options.json:
            print_json(to_builtins(minted) | ({"link": where + minted.token} if where else {}))
        else:
            print(f"{where}{minted.token}")
            until = f"until {minted.expires:%F %R} UTC"
            note(f"for {minted.user}'s {minted.device}, {until}")
        return 0

    return run(verb, as_json=options.json)
