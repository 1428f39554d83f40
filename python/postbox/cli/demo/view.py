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
from postbox.cli.options import is_plain

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY_S = 2.0


@dataclass(frozen=True)
class Row:
    """A node as it was seen last. `per_s`: events that came in. `note`: what happened last."""

    home: str
    events: int = 0
    keys: int = 0
    reached: str = "-"
    per_s: float = 0.0
    digest: str = ""
    note: str = ""
    is_up: bool = False


class Show(Protocol):
    def __call__(
        self, rows: Sequence[Row], news: Sequence[tuple[str, str]], elapsed_s: float, /
    ) -> None:
        """`news`: homes, and what happened there since the last call."""


@contextmanager
def view() -> Iterator[Show]:
    is_watched = sys.stdout.isatty() and not is_plain()
    with _table() if is_watched else _lines() as show:
        yield show


@contextmanager
def _lines() -> Iterator[Show]:
    """The rows now and then, and at the end; news at once."""
    due_s = 0.0
    unsaid: tuple[Sequence[Row], float] | None = None

    def show(rows: Sequence[Row], news: Sequence[tuple[str, str]], elapsed_s: float) -> None:
        nonlocal due_s, unsaid
        for home, note in news:
            say(f"  {elapsed_s:5.1f} s  {home:<6} {note}")
        unsaid = (rows, elapsed_s)
        if elapsed_s >= due_s:
            due_s = elapsed_s + LINE_EVERY_S
            _say_rows(*unsaid)
            unsaid = None

    yield show
    if unsaid is not None:
        _say_rows(*unsaid)


def _say_rows(rows: Sequence[Row], elapsed_s: float) -> None:
    for row in rows:
        say(
            f"  {elapsed_s:5.1f} s  {row.home:<6} {row.events:>6,} events (digest {row.digest}),"
            f" {row.keys} keys, peers {row.reached}, {row.per_s:,.0f} new/s"
            if row.is_up
            else f"  {elapsed_s:5.1f} s  {row.home:<6} {row.note}"
        )


@contextmanager
def _table() -> Iterator[Show]:
    from rich.live import Live

    with Live(auto_refresh=False) as live:

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
    for head in ("events", "keys", "peers", "new/s"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    table.add_column("what happened last", ratio=1, no_wrap=True)
    for row in rows:
        events, keys = f"{row.events:,}", str(row.keys)
        now = (row.reached, f"{row.per_s:,.0f}") if row.is_up else ("-", "-")
        style = None if row.is_up else "dim"
        table.add_row(row.home, events, keys, *now, row.digest, row.note, style=style)
    return table
