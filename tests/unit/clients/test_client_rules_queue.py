"""The frame around the rules: retries, remembered refusals, and the numbers of a device's queue."""

from __future__ import annotations

import pytest

from postbox.clients.events.incoming import React, SendMessage
from postbox.clients.rules.refusals import NOT_A_MEMBER, QUEUE_HOLE
from postbox.clients.tables import MAX_REFUSED, QUEUE, REFUSED, refusals_in
from postbox.rules import Accepted, Duplicate, Reason, Rejected
from support.client_rules import Device, House, code, together, uuid

HI = SendMessage("hi", None)
NOWHERE = uuid(404)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def ann(house: House) -> Device:
    return house.device("ann")


def awaited(device: Device) -> int:
    row = device.house.row(QUEUE, device.ref.id)
    return 1 if row is None else int(row[1] or 0)


def remembered(device: Device) -> list[bytes]:
    row = device.house.row(REFUSED, device.ref.id)
    return [refusal.event for refusal in refusals_in(row)]


def test_what_is_stored_is_a_duplicate_for_ever_whatever_it_says(ann: Device) -> None:
    garden = together(ann)
    stored = ann.do(1, HI, garden)
    assert isinstance(stored, Accepted)
    for content in (HI, SendMessage("something else", None)):
        assert ann.do(1, content, garden) == Duplicate(stored.pos, stored.seq)
    assert len(ann.house.entries(b"c/" + garden)) == 2


def test_two_devices_of_a_user_may_give_the_same_local_uuid(house: House, ann: Device) -> None:
    garden = together(ann)
    tablet = house.device("ann", "tablet")
    assert [code(each.do(1, HI, garden)) for each in (ann, tablet)] == ["stored", "stored"]
    assert ann.id(1) != tablet.id(1)


def test_a_refusal_is_the_same_when_the_event_comes_again(house: House, ann: Device) -> None:
    bob = house.device("bob")
    garden = together(bob)
    refused = ann.do(1, HI, garden)
    assert code(refused) == NOT_A_MEMBER
    ann.house.at_ms += 1
    again = together(ann)  # an event that would be stored now, was it not refused before
    assert ann.do(1, HI, again) == refused
    assert remembered(ann) == [ann.id(1)]


def test_as_many_refusals_are_remembered_as_a_batch_has_events(ann: Device) -> None:
    for local in range(MAX_REFUSED + 5):
        ann.do(local, HI, NOWHERE)
    assert remembered(ann) == [ann.id(local) for local in range(5, MAX_REFUSED + 5)]


def test_what_could_not_be_read_is_refused_for_its_reason_and_remembered(ann: Device) -> None:
    reason = Reason("INVALID", "field 3 is none")
    assert ann.do(1, reason, number=1) == Rejected(reason)
    assert (remembered(ann), awaited(ann)) == ([ann.id(1)], 2)
    assert ann.do(1, HI, together(ann)) == Rejected(reason), "not even when it can be read now"


def test_refusals_are_remembered_a_device(house: House, ann: Device) -> None:
    tablet = house.device("ann", "tablet")
    ann.do(1, HI, NOWHERE)
    assert (len(remembered(ann)), remembered(tablet)) == (1, [])


def test_numbers_follow_each_other_and_refusals_count(ann: Device) -> None:
    garden = together(ann)
    assert [
        code(ann.do(n, HI, place, number=n)) for n, place in enumerate((garden, NOWHERE, garden), 1)
    ] == [
        "stored",
        NOT_A_MEMBER,
        "stored",
    ]
    assert awaited(ann) == 4


def test_nothing_behind_a_hole_is_looked_at_or_remembered(ann: Device) -> None:
    garden = together(ann)
    for place in (garden, NOWHERE):
        refused = ann.do(2, HI, place, number=2)
        assert code(refused) == QUEUE_HOLE
        assert isinstance(refused, Rejected)
        assert "numbered from 1" in refused.reason.text
    assert (remembered(ann), awaited(ann)) == ([], 1)
    assert ann.house.found(ann.id(2)) is None
    assert [code(ann.do(n, HI, garden, number=n)) for n in (1, 2)] == ["stored", "stored"]


def test_a_batch_may_be_sent_again_from_anywhere_in_it(ann: Device) -> None:
    garden = together(ann)
    for n in (1, 2, 3):
        ann.do(n, HI, garden, number=n)
    again = [code(ann.do(n, HI, garden, number=n)) for n in (1, 2, 3, 4)]
    assert again == ["duplicate", "duplicate", "duplicate", "stored"]
    assert awaited(ann) == 5


def test_a_number_that_was_used_is_judged_and_does_not_move_the_queue(ann: Device) -> None:
    garden = together(ann)
    ann.do(1, HI, garden, number=1)
    ann.do(2, HI, garden, number=2)
    assert code(ann.do(3, HI, garden, number=1)) == "stored"
    assert awaited(ann) == 3


def test_what_is_stored_already_moves_the_queue_where_it_has_the_awaited_number(
    ann: Device,
) -> None:
    """A device that did not count before, or whose numbers a restored host does not know, would
    else be told of the same hole for ever."""
    garden = together(ann)
    ann.do(1, HI, garden)
    assert code(ann.do(1, HI, garden, number=1)) == "duplicate"
    assert code(ann.do(2, HI, garden, number=2)) == "stored"


def test_what_left_no_entry_and_what_was_refused_move_the_queue_too(
    house: House, ann: Device
) -> None:
    garden = together(ann)
    ann.do(1, HI, garden)
    ann.do(2, React(ann.id(1), "+"))
    ann.do(3, React(ann.id(1), "+"))
    ann.do(4, HI, NOWHERE)
    settled = [
        code(ann.do(3, React(ann.id(1), "+"), number=1)),
        code(ann.do(4, HI, NOWHERE, number=2)),
        code(ann.do(5, HI, garden, number=3)),
    ]
    assert settled == ["duplicate", NOT_A_MEMBER, "stored"]


def test_a_device_that_does_not_count_has_no_numbers(ann: Device) -> None:
    garden = together(ann)
    assert code(ann.do(1, HI, garden)) == "stored"
    assert ann.house.row(QUEUE, ann.ref.id) is None
