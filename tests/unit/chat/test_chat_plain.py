"""What strangers wrote, before it comes to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from postbox.chat.lines import cut
from postbox.chat.plain import MOST_MARKS, plain, plain_line
from support.hostile_texts import TEXTS

FORBIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs"}


def is_harmless(text: str) -> bool:
    return not any(
        unicodedata.category(character) in FORBIDDEN for character in text if character != "\n"
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert is_harmless(plain(text))
    assert is_harmless(plain_line(text))
    assert "\n" not in plain_line(text)


@given(st.text())
def test_nothing_of_any_text_is_obeyed_and_again_changes_nothing(text: str) -> None:
    once = plain(text)
    assert is_harmless(once)
    assert plain(once) == once


@given(st.text())
def test_a_text_is_as_wide_as_its_characters_one_by_one(text: str) -> None:
    """So what fits in a line can be counted, and no two of them become something else."""
    shown = plain(text).replace("\n", "")
    assert cell_len(shown) == sum(map(cell_len, shown))
    assert "".join(cut(shown, 7)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "␛[31m"),
        ("\x7f", "␡"),
        ("\x9b", "\ufffd"),
        ("\ud800", "\ufffd"),
        ("🇩🇪", "DE"),
        ("👍🏽", "👍"),
        ("❤️", "❤"),
        ("👩‍🚀", "👩🚀"),
        ("e\u0301", "é"),
        ("\u0301x", "\u25cc\u0301x"),
        ("a\tb", "a    b"),
        ("a\r\nb\rc", "a\nb␍c"),
        ("ครู ที่", "ครู ที่"),
        ("שָׁלוֹם", unicodedata.normalize("NFC", "שָׁלוֹם")),
        ("\u202eabc", "abc"),
    ],
)
def test_what_is_taken_away_is_seen_where_it_matters(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_marks_do_not_pile_up() -> None:
    piled = plain("Z" + "\u0336" * 100 + "a\u0336")
    assert piled.count("\u0336") == MOST_MARKS + 1


def test_a_name_is_one_line_without_blanks_around() -> None:
    assert plain_line("  Ann \n\n of  Green\tGables ") == "Ann of Green Gables"
