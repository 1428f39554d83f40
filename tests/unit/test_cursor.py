"""Cursors: opaque, and each thing that can be wrong with one has its name."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from postbox.log.cursor import (
    MAC_BYTES,
    MARK_BYTES,
    CursorKind,
    CursorProblem,
    Moment,
    Place,
    Position,
    PositionWriter,
    read_cursor,
    write_cursor,
)
from postbox.store.contract import MAX_POS, Identity

IDENTITY = Identity(b"the first epoch.", b"k" * 32, {})
PLACES = st.one_of(
    st.builds(Position, st.integers(0, MAX_POS)),
    st.builds(Moment, st.integers(0, MAX_POS), st.binary(min_size=16, max_size=16)),
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MARK_AT = range(19, 19 + MARK_BYTES)  # behind version, kind, form and epoch


def read(
    text: str,
    kind: CursorKind = CursorKind.LOG,
    identity: Identity = IDENTITY,
    head: int = MAX_POS,
    floor: int = 0,
) -> Place | CursorProblem:
    return read_cursor(text, kind, identity, head=head, floor=floor)


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(PLACES, st.sampled_from(CursorKind))
def test_a_cursor_comes_back_as_the_place_it_was_made_of(place: Place, kind: CursorKind) -> None:
    assert read(write_cursor(kind, place, IDENTITY), kind) == place


@given(st.lists(st.integers(0, MAX_POS)), st.sampled_from(CursorKind))
def test_who_writes_many_writes_them_alike(positions: list[int], kind: CursorKind) -> None:
    writer = PositionWriter(kind, IDENTITY)
    alike = [write_cursor(kind, Position(pos), IDENTITY) for pos in positions]
    assert [writer.write(pos) for pos in positions] == alike


@given(PLACES, st.data())
def test_any_other_character_anywhere_makes_it_wrong(place: Place, data: st.DataObject) -> None:
    text = write_cursor(CursorKind.LOG, place, IDENTITY)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([char for char in ALPHABET if char != text[at]]))
    assert isinstance(read(text[:at] + other + text[at + 1 :]), CursorProblem)


@given(PLACES, st.integers(1, 255))
def test_any_other_byte_anywhere_is_named(place: Place, flip: int) -> None:
    raw = bytes_of(write_cursor(CursorKind.LOG, place, IDENTITY))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]
        wanted = CursorProblem.FOREIGN if at in MARK_AT else CursorProblem.TAMPERED
        assert read(text_of(changed)) is (CursorProblem.OTHER_VERSION if at == 0 else wanted)


@given(PLACES, st.data())
def test_a_part_of_a_cursor_or_more_than_it_is_wrong(place: Place, data: st.DataObject) -> None:
    raw = bytes_of(write_cursor(CursorKind.LOG, place, IDENTITY))
    part = raw[: data.draw(st.integers(0, len(raw) - 1))]
    more = raw + data.draw(st.binary(min_size=1, max_size=20))
    wrong = {CursorProblem.MALFORMED, CursorProblem.TAMPERED, CursorProblem.FOREIGN}
    assert {read(text_of(part)), read(text_of(more))} <= wrong


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(read(text), CursorProblem)


@given(st.binary(max_size=96))
def test_any_bytes_get_an_answer(raw: bytes) -> None:
    assert isinstance(read(text_of(raw)), CursorProblem)


@given(PLACES, st.binary(min_size=32, max_size=32).filter(lambda key: key != IDENTITY.cursor_key))
def test_a_cursor_of_another_node_is_told_apart(place: Place, key: bytes) -> None:
    """Also of one with the same epoch."""
    other = replace(IDENTITY, cursor_key=key)
    assert read(write_cursor(CursorKind.LOG, place, other)) is CursorProblem.FOREIGN


def test_a_mac_of_zeros_is_not_taken() -> None:
    raw = bytes_of(write_cursor(CursorKind.LOG, Position(7), IDENTITY))
    assert read(text_of(raw[:-MAC_BYTES] + bytes(MAC_BYTES))) is CursorProblem.TAMPERED


def test_a_cursor_of_another_door_is_told_apart() -> None:
    text = write_cursor(CursorKind.CLIENTS, Position(7), IDENTITY)
    assert read(text, CursorKind.HOSTS) is CursorProblem.OTHER_KIND


def test_a_cursor_from_before_a_restore_is_told_apart_from_a_made_up_one() -> None:
    text = write_cursor(CursorKind.LOG, Position(7), IDENTITY)
    restored = replace(IDENTITY, epoch=b"the second epoch")
    assert read(text, identity=restored) is CursorProblem.OTHER_EPOCH


def test_a_cursor_is_good_from_the_floor_to_the_head() -> None:
    def at(pos: int) -> Place | CursorProblem:
        return read(write_cursor(CursorKind.LOG, Position(pos), IDENTITY), head=9, floor=5)

    assert [at(4), at(5)] == [CursorProblem.TOO_OLD, Position(5)]
    assert [at(9), at(10)] == [Position(9), CursorProblem.AHEAD]


def test_what_is_wrong_with_the_cursor_itself_goes_before_its_place() -> None:
    text = write_cursor(CursorKind.LOG, Position(10), IDENTITY)
    restored = replace(IDENTITY, epoch=b"the second epoch")
    assert read(text, CursorKind.HOSTS, restored, head=9) is CursorProblem.OTHER_KIND
    assert read(text, identity=restored, head=9) is CursorProblem.OTHER_EPOCH


def test_a_moment_is_no_position_to_compare() -> None:
    moment = Moment(7, bytes(16))
    assert read(write_cursor(CursorKind.MESH, moment, IDENTITY), CursorKind.MESH, head=0) == moment


@pytest.mark.parametrize("problem", CursorProblem)
def test_every_problem_has_a_code_for_programs_and_a_text_that_says_what_to_do(
    problem: CursorProblem,
) -> None:
    assert re.fullmatch(r"cursor_[a-z_]+", problem.code)
    assert problem.code == f"cursor_{problem.name.lower()}"
    assert re.search(r": (start|send)", problem.text)
    assert (problem.reason.code, problem.reason.text) == (problem.code, problem.text)
