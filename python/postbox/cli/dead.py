"""`postbox dead` and `postbox retry`: events that were given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from postbox.admin.command import Operator
from postbox.admin.letters import LETTERS, SETTLE_LETTERS, AskLetters, Settled, SettleLetters
from postbox.cli.inbox import Shown, cells, shown
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, Usage, run
from postbox.cli.output import complain, print_json, print_rows, print_text, printable
from postbox.hosts.links.reports import Letter


class ShownLetter(Struct, frozen=True):
    """As `dead --json` has it. `way`: to a host that will not take it, or from one, and no handler
    could deal with it. The event is as `inbox` has it."""

    way: Literal["to", "from"]
    host: str
    seq: int
    type: str
    since: datetime
    attempts: int
    error: str
    data: msgspec.Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET
    lost: int | UnsetType = UNSET


class Dead(Struct, frozen=True):
    dead: list[ShownLetter]


Seq = Annotated[int | None, Parameter(validator=Number(gte=1), metavar="N")]


def dead(
    *,
    forget: Annotated[str | None, Parameter(metavar="HOST")] = None,
    seq: Seq = None,
    common: Common | None = None,
) -> int:
    """Events that were given up: those that another host will not take, and those that came and
    that no handler could deal with. postbox retry tries them again.

    Parameters
    ----------
    forget
        Drop those to and from HOST for good. They cannot be tried again then.
    seq
        With --forget: only the one of this number.
    """
    options = common or Common()

    async def verb() -> int:
        if forget is None and seq is not None:
            raise Usage("--seq goes with --forget HOST: numbers count what goes to one host")
        async with operated(options) as operator:
            if forget is not None:
                request = SettleLetters(forget, seq, forget=True)
                return _told("forgotten", await operator.call(SETTLE_LETTERS, request), options)
            found = await _read(operator)
        (print_json if options.json else _print)(found)
        return 0

    return run(verb, as_json=options.json)


def retry(
    host: str | None = None,
    /,
    *,
    all_: Annotated[bool, FLAG, Parameter(name="--all")] = False,
    seq: Seq = None,
    common: Common | None = None,
) -> int:
    """Try again now what was given up, to HOST and from it, and what waits for its next attempt. An
    event to HOST goes out under a new number, behind what was posted meanwhile.

    Parameters
    ----------
    host
        As postbox dead and postbox links have it.
    all_
        Instead of HOST: with every one there is.
    seq
        With HOST: of what was given up the one of this number, and nothing else.
    """
    options = common or Common()

    async def verb() -> int:
        if (host is None) is not all_ or (host is None and seq is not None):
            raise Usage("which host? Say postbox retry HOST, perhaps with --seq N, or retry --all")
        async with operated(options) as operator:
            settled = await operator.call(SETTLE_LETTERS, SettleLetters(host, seq))
        return _told("retried", settled, options)

    return run(verb, as_json=options.json)


async def _read(operator: Operator) -> Dead:
    found: list[ShownLetter] = []
    after: tuple[str, int] | None = ("", 0)
    while after is not None:
        page = await operator.call(LETTERS, AskLetters(after))
        found += map(_shown, page.letters)
        after = page.next
    return Dead(found)


def _shown(letter: Letter) -> ShownLetter:
    return ShownLetter(
        way=letter.way,
        since=datetime.fromtimestamp(letter.buried_ms / 1e3, UTC),
        attempts=letter.attempts,
        error=letter.error,
        **asdict(shown(letter.came)),
    )


def _print(found: Dead) -> None:
    if not found.dead:
        print("nothing was given up")
        return
    print_rows([_HEAD, *map(_row, found.dead)], cut=(2, 3))
    for letter in found.dead:
        first = f"  {letter.way} {letter.host}, {letter.seq:,}: "
        print_text(printable(letter.error), first, "    ")


_HEAD = ("host", "number", "type", "event", "given up")


def _row(letter: ShownLetter) -> tuple[str, ...]:
    event = Shown(
        letter.host, letter.seq, letter.type, letter.data, letter.data_base64, letter.lost
    )
    host, *rest = cells(event)
    return (f"{letter.way} {host}", *rest, f"{letter.since:%F %T} UTC")


_WORDS = {"hurried": "links tried at once"}


def _told(what: str, settled: Settled, options: Common) -> int:
    for text in settled.refused:
        complain(text)
    numbers = {what: settled.letters, "refused": len(settled.refused)}
    if what == "retried":
        numbers["hurried"] = settled.hurried
    if options.json:
        print_json(numbers)
    else:
        print(", ".join(f"{count:,} {_WORDS.get(name, name)}" for name, count in numbers.items()))
    return int(bool(settled.refused))
