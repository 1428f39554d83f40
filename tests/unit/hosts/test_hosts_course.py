"""From which number a link is sent on, after each answer that a receiver may give."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from postbox.hosts.sending.course import MAX_TURNS_BACK, Course, Stuck
from postbox.hosts.tables import MAX_BATCH_EVENTS


@dataclass(frozen=True)
class Item:
    seq: int
    upto: int
    is_event: bool = True


def events(first: int, last: int) -> list[Item]:
    return [Item(seq, seq) for seq in range(first, last + 1)]


def test_it_goes_on_behind_what_the_receiver_has() -> None:
    course = Course(4)
    course.went(events(5, 9), 9, is_gap=False)
    assert course.after == 9


def test_it_goes_on_behind_a_part_of_a_batch() -> None:
    course = Course(4)
    course.went(events(5, 9), 7, is_gap=False)
    assert course.after == 7


def test_a_receiver_that_asked_by_itself_may_have_more() -> None:
    course = Course(4)
    course.went(events(5, 9), 20, is_gap=False)
    assert course.after == 20


def test_a_receiver_that_was_put_back_is_sent_what_it_lacks() -> None:
    course = Course(40)
    course.went(events(41, 45), 12, is_gap=True)
    assert course.after == 12


@pytest.mark.parametrize("reached", [4, 5, 9, 100])
def test_a_gap_where_there_is_none_is_no_answer(reached: int) -> None:
    with pytest.raises(Stuck):
        Course(4).went(events(5, 9), reached, is_gap=True)


def test_a_receiver_without_a_gap_that_takes_nothing_is_stuck() -> None:
    course = Course(4)
    with pytest.raises(Stuck):
        course.went(events(5, 9), 4, is_gap=False)
    assert course.after == 4


def test_it_does_not_go_round_for_ever() -> None:
    course = Course(40)
    for _ in range(MAX_TURNS_BACK):
        course.went(events(41, 45), 12, is_gap=True)
        course.went(events(13, 40), 40, is_gap=False)
    with pytest.raises(Stuck):
        course.went(events(41, 45), 12, is_gap=True)


def test_what_is_refused_is_given_up_once_and_a_second_time_is_no_answer() -> None:
    course, batch = Course(4), events(5, 9)
    course.refused(batch, 7)
    assert course.after == 6
    with pytest.raises(Stuck):
        course.refused(events(7, 9), 7)


@pytest.mark.parametrize("seq", [0, 4, 10])
def test_what_was_not_sent_cannot_be_refused(seq: int) -> None:
    with pytest.raises(Stuck):
        Course(4).refused(events(5, 9), seq)


def test_what_is_no_event_cannot_be_refused() -> None:
    course, batch = Course(4), [Item(5, 7, is_event=False)]
    assert course.refusable(batch) == []
    with pytest.raises(Stuck):
        course.refused(batch, 5)


def test_what_may_be_refused_is_named_wherever_it_is() -> None:
    batch = [Item(5, 7, is_event=False), Item(8, 8), Item(9, 9)]
    course = Course(4)
    course.refused(batch, 9)
    assert course.refusable(batch) == [8]


def test_a_batch_that_is_refused_as_a_whole_is_sent_one_by_one() -> None:
    course = Course(4)
    assert course.most_events == MAX_BATCH_EVENTS
    course.send_singly(events(5, 7))
    for seq in (5, 6, 7):
        assert course.most_events == 1
        course.went(events(seq, seq), seq, is_gap=False)
    assert course.most_events == MAX_BATCH_EVENTS
