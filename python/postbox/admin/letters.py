"""Dead letters: events between hosts that were given up, and what becomes of them by the operator's
word."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct

from postbox.admin.command import Command, Desk, Tell
from postbox.admin.host_names import known
from postbox.admin.links import links_of
from postbox.errors import Fault
from postbox.hosts.links.reports import Letter, LettersPage
from postbox.hosts.tables import in_reader, out_reader
from postbox.rules import Rejected

PAGE = 30
"""Letters in an answer, each with an event of 1 MiB at most: in base64 40 MiB, and 64 are taken."""


class AskLetters(Struct, frozen=True, forbid_unknown_fields=True):
    """Beyond `after`, which a page names."""

    after: tuple[str, int]


class SettleLetters(Struct, frozen=True, forbid_unknown_fields=True):
    """Try letters again, those of `host` or all, of a number or all; or `forget` them. What only
    waits for its next attempt is due at once, unless they are forgotten."""

    host: str | None
    seq: int | None = None
    forget: bool = False


class Settled(Struct, frozen=True):
    """How many letters, of how many links what waits is due at once, and why letters are still
    there."""

    letters: int
    hurried: int
    refused: list[str]


class NoLetter(Fault):
    """What the operator names is not there."""


async def _letters(desk: Desk, request: AskLetters, tell: Tell) -> LettersPage:
    return await links_of(desk).letters(request.after, PAGE)


async def _settle(desk: Desk, request: SettleLetters, tell: Tell) -> Settled:
    host = None if request.host is None else known(request.host)
    links = links_of(desk)
    count, refused = 0, []
    async for letter in _each(desk, host, request.seq):
        settled = await (links.forget if request.forget else links.retry)(letter)
        if isinstance(settled, Rejected):
            refused.append(f"{letter.came.host} {letter.came.seq:,}: {settled.reason.text}")
        else:
            count += 1
    is_all = not request.forget and request.seq is None
    if host is not None and not is_all and not count and not refused:
        number = "" if request.seq is None else f" with number {request.seq:,}"
        raise NoLetter(
            f"no event{number} to or from {host} was given up: `postbox dead` has those that were"
        )
    return Settled(count, await _hurry(desk, host) if is_all else 0, refused)


async def _each(desk: Desk, host: str | None, seq: int | None) -> AsyncIterator[Letter]:
    after: tuple[str, int] | None = ("", 0)
    while after is not None:
        page = await links_of(desk).letters(after, PAGE)
        for letter in page.letters:
            if host in (None, letter.came.host) and seq in (None, letter.came.seq):
                yield letter
        after = page.next


async def _hurry(desk: Desk, host: str | None) -> int:
    """Of how many links something waited."""
    outbox = desk.node.outbox
    readers = await outbox.readers()
    if host is not None:
        readers = [one for one in readers if one.name in (out_reader(host), in_reader(host))]
        if not readers:
            raise NoLetter(
                f"nothing was posted to {host}, and nothing has come from there: `postbox links`"
                " has the hosts that there are"
            )
    waiting = [reader.name for reader in readers if reader.retry_ms]
    for name in waiting:
        await outbox.hurry(name)
    return len(waiting)


LETTERS = Command("letters", AskLetters, LettersPage, _letters)
SETTLE_LETTERS = Command("settle-letters", SettleLetters, Settled, _settle)
