"""What is a set or only grows: reactions, and up to where users have read and have everything."""

from __future__ import annotations

import pytest

from postbox.clients.events.incoming import (
    AddMember,
    DeleteMessage,
    EditMessage,
    React,
    Read,
    RemoveMember,
    SendMessage,
    Unreact,
)
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, text_of, user_stream
from postbox.clients.rules import reactions, watermarks
from postbox.clients.rules.draft import delivered
from postbox.clients.rules.refusals import NOT_A_MEMBER, QUOTA
from postbox.clients.tables import (
    REACTION,
    REFUSED,
    TOMB,
    WATERMARK,
    Role,
    Tomb,
    Watermark,
    read_row,
)
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Accepted, Duplicate, Outcome
from postbox.store.contract import Entry
from support.client_rules import Device, House, code, together, uuid


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def ann(house: House) -> Device:
    return house.device("ann")


@pytest.fixture
def bob(house: House) -> Device:
    return house.device("bob")


@pytest.fixture
def garden(ann: Device, bob: Device) -> bytes:
    """In which ann has said three things."""
    garden = together(ann, bob)
    for local in (1, 2, 3):
        ann.do(local, SendMessage("hi", None), garden)
    return garden


def tomb(house: House, event: bytes) -> int | None:
    row = house.row(TOMB, event)
    return None if row is None else read_row(Tomb, row).pos


def marks(house: House, kind: Kind) -> list[Watermark]:
    found = [read_row(Watermark, row) for row in house.rows(WATERMARK)]
    return [mark for mark in found if mark.kind == kind]


def entries(house: House, kind: Kind) -> list[Entry]:
    return [entry for entry in house.model.entries.values() if entry.kind == kind]


def deliver(device: Device, conversation: bytes, seq: int, number: int) -> Outcome:
    """The host's own word."""
    draft = delivered(device.user, device.ref.user_name, conversation, seq, uuid(2**100 + number))
    return device.house.submit(device.house.rules, draft)


# -- reactions -------------------------------------------------------------------------------------


def test_a_reaction_that_is_there_is_not_added_again(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    added = bob.do(1, React(ann.id(1), "+"))
    assert isinstance(added, Accepted)
    head = house.model.head
    same = Duplicate(added.pos, added.seq)
    assert house.device("bob", "tablet").do(1, React(ann.id(1), "+")) == same
    assert bob.do(2, React(ann.id(1), "+")) == same
    assert house.model.head == head + 1, "the tablet's registration"
    assert tomb(house, bob.id(2)) == added.pos


def test_each_user_reacts_for_itself_with_as_many_as_it_likes(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    done = [
        ann.do(10, React(uuid(1), "+")),
        bob.do(1, React(ann.id(1), "+")),
        bob.do(2, React(ann.id(1), "-")),
        bob.do(3, React(ann.id(2), "+")),
    ]
    assert [code(each) for each in done] == ["stored"] * 4
    assert len(house.rows(REACTION)) == 4


def test_a_message_has_so_many_reactions_and_room_again_when_one_is_taken_back(
    ann: Device, bob: Device, garden: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions, "MAX_REACTIONS", 3)
    for local, reaction in enumerate("abc"):
        assert code(bob.do(local, React(ann.id(1), reaction))) == "stored"
    assert code(bob.do(3, React(ann.id(1), "a"))) == "duplicate"
    ann.do(10, EditMessage(ann.id(1), "edited", None))
    assert code(ann.do(11, React(ann.id(1), "d"))) == QUOTA
    assert code(ann.do(12, React(ann.id(2), "d"))) == "stored"
    bob.do(4, Unreact(ann.id(1), "b"))
    bob.do(5, Unreact(ann.id(1), "b"))
    assert code(ann.do(13, React(ann.id(1), "e"))) == "stored"
    assert code(ann.do(14, React(ann.id(1), "f"))) == QUOTA
    ann.do(15, DeleteMessage(ann.id(1)))
    assert code(bob.do(6, Unreact(ann.id(1), "a"))) == "stored"


def test_a_reaction_is_removed_by_who_added_it_and_once(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    bob.do(1, React(ann.id(1), "+"))
    assert code(ann.do(10, Unreact(ann.id(1), "+"))) == "duplicate"
    assert code(bob.do(2, Unreact(ann.id(1), "+"))) == "stored"
    assert code(bob.do(3, Unreact(ann.id(1), "+"))) == "duplicate"
    assert house.rows(REACTION) == []
    assert house.content(bob.id(2), pb.ReactionRemoved).uuid == text_of(ann.id(1))


def test_what_changed_nothing_changes_nothing_when_it_comes_again_later(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    bob.do(1, React(ann.id(1), "+"))
    bob.do(2, React(ann.id(1), "+"))
    bob.do(3, Unreact(ann.id(1), "+"))
    bob.do(4, Unreact(ann.id(1), "+"))
    assert code(bob.do(2, React(ann.id(1), "+"))) == "duplicate"
    assert house.rows(REACTION) == []
    bob.do(5, React(ann.id(1), "+"))
    assert code(bob.do(4, Unreact(ann.id(1), "+"))) == "duplicate"
    assert len(house.rows(REACTION)) == 1


def test_a_reaction_to_what_was_deleted_since_may_be_taken_back(
    ann: Device, bob: Device, garden: bytes
) -> None:
    bob.do(1, React(ann.id(1), "+"))
    ann.do(10, DeleteMessage(uuid(1)))
    assert code(bob.do(2, Unreact(ann.id(1), "+"))) == "stored"


# -- watermarks ------------------------------------------------------------------------------------


def test_reading_moves_a_watermark_and_the_older_entry_goes(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    first = bob.do(1, Read(ann.id(1)))
    assert isinstance(first, Accepted)
    assert code(bob.do(2, Read(ann.id(3)))) == "stored"
    [mark] = entries(house, Kind.READ_NEW_MESSAGE)
    assert (mark.stream, mark.seq, mark.id) == (conversation_stream(garden), None, bob.id(2))
    told = house.content(bob.id(2), pb.ReadNewMessage)
    assert (told.uuid, told.upToSeq) == (text_of(ann.id(3)), 4)
    assert tomb(house, bob.id(1)) == first.pos, "it may be the cursor of a device"
    assert marks(house, Kind.READ_NEW_MESSAGE) == [Watermark(garden, bob.user, 6, 4, bob.id(2))]


def test_a_watermark_never_goes_back(house: House, ann: Device, bob: Device, garden: bytes) -> None:
    bob.do(1, Read(ann.id(3)))
    tablet = house.device("bob", "tablet")
    for local, message in ((1, ann.id(1)), (2, ann.id(3))):
        assert code(tablet.do(local, Read(message))) == "duplicate"
    assert [mark.seq for mark in marks(house, Kind.READ_NEW_MESSAGE)] == [4]


def test_a_watermark_that_was_replaced_is_still_known_when_it_comes_again(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    first = bob.do(1, Read(ann.id(1)))
    assert isinstance(first, Accepted)
    bob.do(2, Read(ann.id(2)))
    head = house.model.head
    assert bob.do(1, Read(ann.id(1))) == Duplicate(first.pos, None)
    assert house.model.head == head


def test_what_is_read_need_not_be_a_message_but_has_to_have_a_number(
    ann: Device, bob: Device, garden: bytes
) -> None:
    assert code(bob.do(1, Read(garden))) == "stored"
    assert code(bob.do(2, Read(bob.id(1)))) == "UNKNOWN_TARGET", "a watermark has none"


def test_what_was_delivered_is_the_hosts_word_and_has_no_device(
    house: House, bob: Device, garden: bytes
) -> None:
    assert code(deliver(bob, garden, 2, 1)) == "stored"
    assert code(deliver(bob, garden, 4, 2)) == "stored"
    assert code(deliver(bob, garden, 3, 3)) == "duplicate"
    [entry] = entries(house, Kind.DELIVERED_UP_TO)
    assert entry.author == bob.user + bytes(32)
    assert house.content(entry.id, pb.DeliveredUpTo).seq == 4
    assert tomb(house, uuid(2**100 + 1)) is not None, "others have it as their cursor"
    assert tomb(house, uuid(2**100 + 3)) is None, "nobody knows of it"


def test_of_who_has_left_nothing_is_delivered_and_nothing_is_remembered(
    house: House, bob: Device, garden: bytes
) -> None:
    bob.do(1, RemoveMember(bob.user), garden)
    assert code(deliver(bob, garden, 2, 1)) == NOT_A_MEMBER
    assert house.rows(REFUSED) == []


def test_in_a_large_conversation_only_the_users_own_devices_are_told_what_it_has_read(
    house: House, ann: Device, bob: Device, garden: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob.do(1, Read(ann.id(1)))
    monkeypatch.setattr(watermarks, "MAX_MEMBERS_TOLD", 2)
    ann.do(10, AddMember(house.device("cid").user, Role.MEMBER, False), garden)
    assert code(bob.do(2, Read(ann.id(2)))) == "stored"
    [mark] = entries(house, Kind.READ_NEW_MESSAGE)
    assert (mark.stream, mark.id) == (user_stream(bob.user), bob.id(2))
    assert house.told(bob.id(2)).conversationUuid == text_of(garden)
