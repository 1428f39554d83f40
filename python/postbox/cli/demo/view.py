"""The live view: a table that changes, for people at a terminal; plain lines for files and pipes.

It stands on stdout, where the story is that it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from postbox.cli.demo.commands import say
from postbox.cli.output import console, is_live

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY_S = 2.0
DIGITS = 12
"""Of a digest: enough to see that two are equal."""


@dataclass(frozen=True)
class Row:
    """A node as it was seen last. `reaches`: how many of its peers answer it. `digest`: of those
    events, "" while they change. `note`: what happened last."""

    home: str
    events: int = 0
    reaches: str = "-"
    digest: str = ""
    note: str = ""
    is_up: bool = False

    def __str__(self) -> str:
        if not self.is_up:
            return f"{self.home:<6} {self.note}"
        digest = f", digest {self.digest}" if self.digest else ""
        return f"{self.home:<6} {self.events:>6,} events{digest}, reaches {self.reaches} peers"


class Show(Protocol):
    def __call__(
        self, rows: Sequence[Row], news: Sequence[tuple[str, str]], elapsed_s: float, /
    ) -> None:
        """`news`: homes, and what happened there since the last call."""


@contextmanager
def view(said: dict[str, Row]) -> Iterator[Show]:
    """`said`: the rows that stand there already, from views before this one."""
    with _table() if is_live(sys.stdout) else _lines(said) as show:
        yield show


@contextmanager
def _lines(said: dict[str, Row]) -> Iterator[Show]:
    """What changed of the rows, now and then and at the end; news at once."""
    due_s = 0.0
    unsaid: tuple[Sequence[Row], float] | None = None

    def show(rows: Sequence[Row], news: Sequence[tuple[str, str]], elapsed_s: float) -> None:
        nonlocal due_s, unsaid
        for home, note in news:
            say(f"  {elapsed_s:5.1f} s  {home:<6} {note}")
        unsaid = (rows, elapsed_s)
        if elapsed_s >= due_s:
            due_s = elapsed_s + LINE_EVERY_S
            _say_rows(*unsaid, said)
            unsaid = None

    yield show
    if unsaid is not None:
        _say_rows(*unsaid, said)


def _say_rows(rows: Sequence[Row], elapsed_s: float, said: dict[str, Row]) -> None:
    for row in rows:
        before = said.get(row.home)
        if before is None or str(before) != str(row):
            say(f"  {elapsed_s:5.1f} s  {row}")
            said[row.home] = row


@contextmanager
def _table() -> Iterator[Show]:
    from rich.live import Live

    with Live(console=console(sys.stdout), auto_refresh=False) as live:

        def show(rows: Sequence[Row], news: Sequence[tuple[str, str]], elapsed_s: float) -> None:
            live.update(_drawn(rows, elapsed_s), refresh=True)

        yield show


def _drawn(rows: Sequence[Row], elapsed_s: float) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, expand=True, caption=f"after {elapsed_s:.1f} s", caption_justify="left"
    )
    table.add_column("node")
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("reaches", justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    table.add_column("what happened last", ratio=1, no_wrap=True)
    for row in rows:
        style = None if row.is_up else "dim"
        table.add_row(row.home, f"{row.events:,}", row.reaches, row.digest, row.note, style=style)
    return table
