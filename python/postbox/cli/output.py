"""How every verb looks: results on stdout, a JSON document in one line or aligned text, and what
is said beside them on stderr.

On a terminal text keeps to its width: tables lose columns' middles or become lists, texts go on in
the next line; heads and states have a colour. In a file or a pipe nothing is cut or broken, however
narrow the terminal is, and nothing is coloured; on a terminal NO_COLOR and TERM=dumb say so, too.
FORCE_COLOR colours what goes elsewhere.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from rich.console import Console

from postbox.admin.words import events as events
from postbox.admin.words import printable as printable

GAP = "  "
LONG_WHAT = 16
MIN_CUT = 13
"""Of a cell that is cut: six letters on either side still tell two keys apart."""
BAR_COLUMNS = 60
"""Of a terminal: a bar with its figures and times needs so many."""
NAME = "cyan"
HEAD = "bold"
STATES = {
    "ok": "green",
    "yes": "green",
    "warning": "yellow",
    "wrong": "bold red",
    "NO": "bold red",
}


class Mark(NamedTuple):
    """The first characters of a text have a style."""

    characters: int = 0
    style: str = ""


UNMARKED = Mark()


def print_json(result: object) -> None:
    import msgspec

    print(msgspec.json.encode(result).decode(), flush=True)


def note(text: str) -> None:
    """On stderr, what a person should know and a script need not."""
    _beside(text, "dim")


def complain(text: str) -> None:
    """On stderr, in one line, what went wrong."""
    _beside(text, "bold red")


def _beside(text: str, style: str) -> None:
    print(f"{painted('postbox:', style, sys.stderr)} {text}", file=sys.stderr)


def painted(text: str, style: str, stream: TextIO | None = None) -> str:
    """`style`: as rich has it."""
    if not style or not _is_coloured(stream or sys.stdout):
        return text
    from rich.style import Style

    return Style.parse(style).render(text)


def _is_coloured(stream: TextIO) -> bool:
    wants = _is_terminal(stream) or bool(os.environ.get("FORCE_COLOR"))
    return wants and not os.environ.get("NO_COLOR")


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_live(stream: TextIO) -> bool:
    """Does somebody watch, on a terminal where a bar or a table may be drawn again and again? Else
    progress is a line now and then."""
    return _is_terminal(stream) and shutil.get_terminal_size().columns >= BAR_COLUMNS


def console(stream: TextIO) -> Console:
    """For what is drawn again and again."""
    from rich.console import Console

    return Console(file=stream, highlight=False)


def print_pairs(pairs: Mapping[str, object]) -> None:
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        indent = " " * (width + len(GAP))
        print_text(str(value), f"{name:<{width}}{GAP}", indent, Mark(width, NAME))


def print_text(text: str, first: str = "", later: str = "", mark: Mark = UNMARKED) -> None:
    """`first` stands before the text, `later` before each line in which it goes on."""
    width = terminal_columns()
    if width is None or len(first) + len(text) <= width:
        print(_marked(f"{first}{text}".rstrip(), mark))
        return
    for line in text.splitlines():
        filled = textwrap.fill(
            line,
            max(width, len(later) + 20),
            initial_indent=first,
            subsequent_indent=later,
            break_on_hyphens=False,
            break_long_words=False,
        )
        print(_marked(filled, mark))
        first, mark = later, UNMARKED


def _marked(text: str, mark: Mark) -> str:
    return painted(text[: mark.characters], mark.style) + text[mark.characters :]


def print_rows(
    rows: Sequence[Sequence[str]], cut: Sequence[int] = (), least: Sequence[int] = ()
) -> None:
    """A table, its head first. Where it is wider than the terminal, the cells of the columns `cut`
    lose their middles; if that does not do, the columns `least` are left, or each row is a list."""
    widths = _widths(rows)
    columns = terminal_columns()
    if columns is not None and _width(widths) > columns:
        narrow = _narrowed(widths, cut, columns)
        if narrow is None and least:
            _print_least(rows, cut, least)
            return
        if narrow is None:
            _print_lists(rows)
            return
        rows = [
            [_cut(cell, width) for cell, width in zip(row, narrow, strict=True)] for row in rows
        ]
        widths = narrow
    for number, row in enumerate(rows):
        line = GAP.join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        print(line if number else painted(line, HEAD))


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
        mark = Mark(len(kind), STATES.get(kind, ""))
        longest = max(map(len, text.split()), default=0)
        if len(what) <= second and _fits(len(begin) + longest):
            print_text(text, begin, " " * len(begin), mark)
        else:
            print(_marked(begin.rstrip(), mark))
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


def _print_least(rows: Sequence[Sequence[str]], cut: Sequence[int], least: Sequence[int]) -> None:
    kept = [[row[at] for at in least] for row in rows]
    print_rows(kept, [least.index(at) for at in cut if at in least])
    others = ", ".join(head for at, head in enumerate(rows[0]) if at not in least)
    for line in textwrap.wrap(
        f"Left out here, and shown by a wider terminal or | cat: {others}", terminal_columns() or 80
    ):
        print(painted(line, "dim"))


def _print_lists(rows: Sequence[Sequence[str]]) -> None:
    head, *rest = rows
    for number, row in enumerate(rest):
        if number:
            print()
        print_pairs(dict(zip(head, row, strict=True)))
