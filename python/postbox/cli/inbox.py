"""`postbox inbox`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from postbox.admin.command import Operator
from postbox.admin.inbox import INBOX, ReadInbox
from postbox.cli.node import operated
from postbox.cli.options import Common, Usage, run
from postbox.cli.output import events, print_json, print_rows, print_text, printable
from postbox.hosts.applications.events import PREFIX, to_json
from postbox.hosts.links.reports import Came
from postbox.store.contract import MAX_POS

DEFAULT_LIMIT = 1_000
PAGE = 500
"""Events in an answer: with 1 MiB at most of them, in base64 half as much again."""
_NUMBER = Number(gte=0, lte=MAX_POS)  # what a database can compare with


def inbox(
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1), metavar="N")] = DEFAULT_LIMIT,
    after: Annotated[int | None, Parameter(validator=_NUMBER, metavar="SEQ")] = None,
    host: Annotated[str | None, Parameter(metavar="HOST")] = None,
    common: Common | None = None,
) -> int:
    """What other hosts have sent, the oldest first: as it came, handled or not, for as long as it
    is kept (hosts.retain_days).

    Parameters
    ----------
    limit
        At most so many.
    after
        With --host: those beyond this number, which is how one reads on.
    host
        Only from this one.
    """
    options = common or Common()

    async def verb() -> int:
        if after is not None and host is None:
            raise Usage("--after goes with --host: a number counts what one host has sent")
        async with operated(options) as operator:
            found = await _read(operator, ReadInbox(host, after or 0, 0, PAGE), limit)
        (print_json if options.json else _print)(found)
        return 0

    return run(verb, as_json=options.json)


class Shown(Struct, frozen=True):
    """An event, as `inbox --json` has it. `data`: the document that it is; else `data_base64` has
    its bytes. `lost`: instead of an event, how many there were that nobody has any more."""

    host: str
    seq: int
    type: str
    data: msgspec.Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET
    lost: int | UnsetType = UNSET


class Inbox(Struct, frozen=True):
    """`more`: there are more than were asked for."""

    events: list[Shown]
    more: bool


async def _read(operator: Operator, request: ReadInbox, limit: int) -> Inbox:
    found: list[Shown] = []
    while True:
        wanted = replace(request, limit=min(PAGE, limit - len(found)))
        page = await operator.call(INBOX, wanted)
        found += map(shown, page.came)
        if not page.more or len(found) >= limit:
            return Inbox(found, page.more)
        request = replace(request, after=page.next)


def shown(came: Came) -> Shown:
    """What a host sent, as far as it can be read."""
    if came.lost:
        return Shown(came.host, came.seq, "", lost=came.lost)
    document = to_json(came.type_url, came.value)
    if document is None:
        return Shown(came.host, came.seq, came.type_url, data_base64=came.value)
    return Shown(came.host, came.seq, came.type_url, data=msgspec.Raw(document))


def _print(found: Inbox) -> None:
    if not found.events:
        print("nothing has come")
        return
    print_rows([("host", "number", "type", "event"), *map(cells, found.events)], cut=(2, 3))
    if found.more:
        print_text("There is more: say --limit N, or --host HOST --after SEQ")


def cells(event: Shown) -> tuple[str, str, str, str]:
    """Of a table. What a stranger wrote moves no terminal's cursor."""
    if event.lost:
        text = f"({events(event.lost)} lost: its host does not have them any more)"
    elif event.data is not UNSET:
        text = printable(bytes(event.data).decode())
    else:
        text = f"({len(event.data_base64 or b''):,} bytes that are no JSON)"
    return (event.host, f"{event.seq:,}", printable(event.type.removeprefix(PREFIX)), text)
