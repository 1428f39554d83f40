"""What strangers wrote, made harmless for a terminal.

Nothing here can move the cursor, change colours, turn the direction of what stands beside it, reach
into other lines, or be as wide as terminals disagree about. What is taken away is seen where that
matters: a control character becomes its picture.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
NEWLINES = "\n\v\f\x85\u2028\u2029"
TAB = " " * 4
MOST_MARKS = 3
"""On one character: Vietnamese, Thai and pointed Hebrew need no more, and twenty reach into the
lines above."""

_NO_BASE = "\N{DOTTED CIRCLE}"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL_A = 0x1F1E6
_REGIONAL = range(_REGIONAL_A, _REGIONAL_A + 26)


def plain(text: str) -> str:
    """Of a message: it may have lines."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(_with_few_marks(_shown(composed)))


def plain_line(text: str) -> str:
    """Of a name, a reaction, what a host says: one line, without blanks around and in a row."""
    return " ".join(plain(text).split())


def _shown(text: str) -> Iterator[str]:
    before = ""
    for character in text:
        yield _one(character, before)
        before = character


def _one(character: str, before: str) -> str:
    code = ord(character)
    if character in NEWLINES:
        return "\n"
    if character == "\t":
        return TAB
    match unicodedata.category(character):
        case "Cc":
            return _picture(code)
        case "Cf":  # directions, joiners, what is invisible
            return ""
        case "Cn" | "Co" | "Cs":
            return REPLACEMENT
        case "Zs":
            return " "
        case "Sk" if code in _SKIN_TONES and before and unicodedata.category(before) == "So":
            return ""
        case "So" if code in _REGIONAL:  # a flag is one sign here and two there: DE
            return chr(ord("A") + code - _REGIONAL_A)
        case _:
            return character


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else REPLACEMENT


def _with_few_marks(pieces: Iterator[str]) -> Iterator[str]:
    """A mark without a character to stand on would land on whatever is to its left."""
    marks, has_base = 0, False
    for piece in pieces:
        if not piece:
            continue
        if unicodedata.category(piece[0]) not in ("Mn", "Me"):
            marks, has_base = 0, piece != "\n"
            yield piece
        elif _is_variation(piece):
            continue
        elif marks < MOST_MARKS:
            yield piece if has_base else _NO_BASE + piece
            marks, has_base = marks + 1, True


def _is_variation(character: str) -> bool:
    """Selectors that make a sign narrow or wide: one terminal heeds them, another does not."""
    code = ord(character)
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
