"""Lines of text with looks, of a width that is counted in cells of a terminal: a Chinese character
takes two. Who makes them need not know how a terminal is written to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rich.cells import cell_len

ELLIPSIS = "…"


class Look(Enum):
    """What a piece of text is. None of them is told by colour alone."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    OWN = "own"  # the user's own name
    GOOD = "good"
    BAD = "bad"
    MARK = "mark"  # what wants to be seen: unread, new


@dataclass(frozen=True)
class Span:
    text: str
    look: Look = Look.PLAIN


Line: TypeAlias = tuple[Span, ...]


@dataclass(frozen=True)
class Block:
    """Lines that belong together, and are chosen together. `key`: of what they show; empty: they
    cannot be chosen."""

    key: str
    lines: tuple[Line, ...]


def width_of(line: Line) -> int:
    return sum(cell_len(span.text) for span in line)


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def fitted(text: str, width: int) -> str:
    """Cut with an ellipsis if it is wider."""
    if cell_len(text) <= width:
        return text
    return cut(text, width - 1)[0] + ELLIPSIS if width > 0 else ""


def cut(text: str, width: int) -> tuple[str, str]:
    """What fits, and the rest. Marks stay with what they stand on."""
    used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:at], text[at:]
    return text, ""


def padded(text: str, width: int) -> str:
    short = fitted(text, width)
    return short + " " * (width - cell_len(short))


def spread(left: Line, right: Line, width: int) -> Line:
    """One at each side. The right one is whole; the left one ends before it."""
    room = max(0, width - width_of(right) - bool(right))
    short = _cut_line(left, room)
    gap = max(0, width - width_of(short) - width_of(right))
    return (*short, Span(" " * gap), *right)


def _cut_line(line: Line, width: int) -> Line:
    kept: list[Span] = []
    for span in line:
        left = width - width_of(tuple(kept))
        if left <= 0:
            break
        kept.append(Span(fitted(span.text, left), span.look))
    return tuple(kept)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most that width, broken between words where that can be. At least one."""
    wide = max(2, width)  # or a wide character never fits
    return [line for part in text.split("\n") for line in _of_paragraph(part, wide)]


def _of_paragraph(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in _words(text):
        if cell_len(line + word) <= width:
            line += word
            continue
        if line.strip(" "):
            yield line.rstrip(" ")
            line, word = "", word.lstrip(" ")
        piece, rest = cut(line + word, width)
        while rest:
            yield piece
            piece, rest = cut(rest, width)
        line = piece
    yield line.rstrip(" ")


def _words(text: str) -> Iterator[str]:
    """Each with the blanks before it."""
    start = 0
    for at in range(1, len(text)):
        if text[at] == " " and text[at - 1] != " ":
            yield text[start:at]
            start = at
    yield text[start:]


def joined(parts: Iterable[str], between: str = " · ") -> str:
    return between.join(part for part in parts if part)
