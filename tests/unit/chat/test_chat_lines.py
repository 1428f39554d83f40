"""Lines of a width in cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from postbox.chat.lines import Look, Span, fitted, padded, spread, text_of, width_of, wrapped
from postbox.chat.plain import plain
from support.hostile_texts import TEXTS


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 3, ["one", "two", "thr", "ee"]),
        ("a\n\nb", 10, ["a", "", "b"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("a 漢字漢字", 5, ["a", "漢字", "漢字"]),
        ("   indented text", 12, ["   indented", "text"]),
        ("trailing   ", 20, ["trailing"]),
        ("abcdef gh", 4, ["abcd", "ef", "gh"]),
    ],
)
def test_text_is_broken_between_words_if_that_can_be(
    text: str, width: int, lines: list[str]
) -> None:
    assert wrapped(text, width) == lines


@given(st.sampled_from(sorted(TEXTS.values())) | st.text(), st.integers(2, 60))
def test_no_line_is_wider_than_it_may_be_and_no_word_is_lost(text: str, width: int) -> None:
    shown = plain(text[:3_000])
    lines = wrapped(shown, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(shown.split())


@given(st.text(), st.integers(0, 30))
def test_what_is_fitted_fits(text: str, width: int) -> None:
    shown = plain(text).replace("\n", "")
    assert cell_len(fitted(shown, width)) <= width
    assert cell_len(padded(shown, width)) == width


def test_what_is_cut_says_so() -> None:
    assert fitted("conversation", 8) == "convers…"
    assert fitted("漢字漢字", 6) == "漢字…"
    assert fitted("fits", 4) == "fits"


def test_the_right_side_is_whole_and_the_left_one_gives_way() -> None:
    right = (Span("12", Look.MARK),)
    line = spread((Span("A long name of a conversation"),), right, 12)
    assert text_of(line) == "A long n… 12"
    assert width_of(spread((Span("Lunch"),), right, 12)) == 12
