"""Cursors: opaque, and each thing that can be wrong with one has its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from postbox.log.cursor import (
    CursorKind,
    CursorProblem,
    Moment,
    Place,
    Position,
    read_cursor,
    write_cursor,
)
from postbox.store.contract import Identity

IDENTITY = Identity(b"the first epoch.", b"k" * 32, {})
PLACES = st.one_of(
    st.builds(Position, st.integers(0, 2**63 - 1)),
    st.builds(Moment, st.integers(0, 2**63 - 1), st.binary(min_size=16, max_size=16)),
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(PLACES, st.sampled_from(CursorKind))
def test_a_cursor_comes_back_as_the_place_it_was_made_of(place: Place, kind: CursorKind) -> None:
    text = write_cursor(kind, place, IDENTITY)
    assert read_cursor(text, kind, IDENTITY) == place


@given(PLACES, st.data())
def test_any_other_character_anywhere_makes_it_wrong(place: Place, data: st.DataObject) -> None:
    text = write_cursor(CursorKind.LOG, place, IDENTITY)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([char for char in ALPHABET if char != text[at]]))
    read = read_cursor(text[:at] + other + text[at + 1 :], CursorKind.LOG, IDENTITY)
    assert isinstance(read, CursorProblem)


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(read_cursor(text, CursorKind.LOG, IDENTITY), CursorProblem)


def test_a_cursor_of_another_door_is_told_apart() -> None:
    text = write_cursor(CursorKind.CLIENTS, Position(7), IDENTITY)
    assert read_cursor(text, CursorKind.HOSTS, IDENTITY) is CursorProblem.OTHER_KIND


def test_a_cursor_from_before_a_restore_is_told_apart_from_a_made_up_one() -> None:
    text = write_cursor(CursorKind.LOG, Position(7), IDENTITY)
    restored = replace(IDENTITY, epoch=b"the second epoch")
    assert read_cursor(text, CursorKind.LOG, restored) is CursorProblem.OTHER_EPOCH
    other_key = replace(IDENTITY, cursor_key=b"x" * 32)
    assert read_cursor(text, CursorKind.LOG, other_key) is CursorProblem.TAMPERED


@pytest.mark.parametrize("text", ["", "====", "AQ", "AQ==", "A" * 500, "é", "AQAA AAAA"])
def test_what_is_no_cursor_is_malformed(text: str) -> None:
    assert read_cursor(text, CursorKind.LOG, IDENTITY) is CursorProblem.MALFORMED


def test_a_cursor_of_a_later_version_is_told_apart() -> None:
    text = write_cursor(CursorKind.LOG, Position(7), IDENTITY)
    assert read_cursor("Ag" + text[2:], CursorKind.LOG, IDENTITY) is CursorProblem.OTHER_VERSION


def test_cursors_do_not_change_between_releases() -> None:
    text = write_cursor(CursorKind.LOG, Position(7), IDENTITY)
    assert text == "AQEBdGhlIGZpcnN0IGVwb2NoLgAAAAAAAAAHdsFLjQ4LgMIu2WPoN4gVoA"
