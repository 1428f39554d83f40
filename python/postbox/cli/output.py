"""Results on stdout: a JSON document in one line, or aligned text.

On a terminal text keeps to its width: tables lose columns' middles or become lists, texts go on in
the next line. In a file or a pipe nothing is cut or broken, however narrow the terminal is.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from postbox.admin.words import events as events
from postbox.admin.words import printable as printable

GAP = "  "
LONG_WHAT = 16
MIN_CUT = 13
"""Of a cell that is cut: six letters on either side still tell two keys apart."""


def print_json(result: object) -> None:
    print(msgspec.json.encode(result).decode(), flush=True)


def print_pairs(pairs: Mapping[str, object]) -> None:
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print_text(str(value), f"{name:<{width}}{GAP}", " " * (width + len(GAP)))


def print_text(text: str, first: str = "", later: str = "") -> None:
    """`first` stands before the text, `later` before each line in which it goes on."""
    width = terminal_columns()
    if width is None or len(first) + len(text) <= width:
        print(f"{first}{text}".rstrip())
        return
    for line in text.splitlines():
        print(
            textwrap.fill(
                line,
                max(width, len(later) + 20),
                initial_indent=first,
                subsequent_indent=later,
                break_on_hyphens=False,
                break_long_words=False,
            )
        )
        first = later


def print_rows(rows: Sequence[Sequence[str]], cut: Sequence[int] = ()) -> None:
    """A table, its head first. Where it is wider than the terminal, the cells of the columns `cut`
    lose their middles; if that does not do, each row is a list."""
    widths = _widths(rows)
    columns = terminal_columns()
    if columns is not None and _width(widths) > columns:
        narrow = _narrowed(widths, cut, columns)
        if narrow is None:
            _print_lists(rows)
            return
        rows = [
            [_cut(cell, width) for cell, width in zip(row, narrow, strict=True)] for row in rows
        ]
        widths = narrow
    for row in rows:
        print(GAP.join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


def fits(rows: Sequence[Sequence[str]]) -> bool:
    """Is the terminal, if there is one, as wide as this table?"""
    return _fits(_width(_widths(rows)))


def print_findings(rows: Sequence[tuple[str, str, str]]) -> None:
    """What was found, of what, and a text. Where that is too wide, the text begins in the next line
    if `what` is long, as a URL, or a word of the text."""
    first, second, _ = _widths(rows)
    if not fits(rows):
        second = max([len(what) for _, what, _ in rows if len(what) <= LONG_WHAT], default=0)
    indent = " " * (first + len(GAP))
    for kind, what, text in rows:
        begin = f"{kind:<{first}}{GAP}{what:<{second}}{GAP}"
        longest = max(map(len, text.split()), default=0)
        if len(what) <= second and _fits(len(begin) + longest):
            print_text(text, begin, " " * len(begin))
        else:
            print(begin.rstrip())
            print_text(text, indent, indent)


def terminal_columns() -> int | None:
    """None: stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fits(width: int) -> bool:
    columns = terminal_columns()
    return columns is None or width <= columns


def _widths(rows: Iterable[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _narrowed(widths: Sequence[int], cut: Sequence[int], columns: int) -> list[int] | None:
    """Widths that fit: the columns `cut` share what the others leave."""
    if not cut:
        return None
    rest = columns - _width([0 if at in cut else width for at, width in enumerate(widths)])
    share = rest // len(cut)
    if share < MIN_CUT:
        return None
    return [min(width, share) if at in cut else width for at, width in enumerate(widths)]


def _cut(cell: str, width: int) -> str:
    if len(cell) <= width:
        return cell
    end = (width - 1) // 2
    return f"{cell[: width - 1 - end]}…{cell[len(cell) - end :]}"


def _print_lists(rows: Sequence[Sequence[str]]) -> None:
    head, *rest = rows
    for number, row in enumerate(rest):
        if number:
            print()
        print_pairs(dict(zip(head, row, strict=True)))
