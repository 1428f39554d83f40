"""Progress on stderr: a bar for people, a line now and then for files and pipes.

Whatever number is shown is durable by then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from postbox.cli.output import console, events, is_live
from postbox.world import Clock

LINE_EVERY_S = 0.5


class Show(Protocol):
    def __call__(self, count: int, share: float | None = None, /) -> None:
        """So many events so far; `share`: of the whole, 0 to 1, where that is known."""


@contextmanager
def progress(what: str, clock: Clock) -> Iterator[Show]:
    with _bar(what) if is_live(sys.stderr) else _lines(what, clock) as show:
        yield show


@contextmanager
def _lines(what: str, clock: Clock) -> Iterator[Show]:
    started_s = clock.elapsed_s()
    next_s = 0.0

    def show(count: int, share: float | None = None) -> None:
        nonlocal next_s
        elapsed_s = clock.elapsed_s() - started_s
        if elapsed_s < next_s:
            return
        next_s = elapsed_s + LINE_EVERY_S
        percent = "" if share is None else f" ({share:.0%})"
        noun = "event" if count == 1 else "events"
        print(f"{what}: {count} {noun}{percent}", file=sys.stderr, flush=True)

    yield show


@contextmanager
def _bar(what: str) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(sys.stderr)) as bar:
        task = bar.add_task(what, total=None, counted=events(0))

        def show(count: int, share: float | None = None) -> None:
            if share is None:
                bar.update(task, counted=events(count))
            else:
                bar.update(task, counted=events(count), total=1.0, completed=share)

        yield show
