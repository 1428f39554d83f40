"""What users show of themselves: names and pictures, in all conversations that they are in."""

from __future__ import annotations

import hashlib

import pytest

from postbox.clients.events.incoming import (
    AddMember,
    CreateConversation,
    RemoveMember,
    SetDisplayName,
    SetPicture,
)
from postbox.clients.events.kinds import IS_COPY, Kind
from postbox.clients.ids import conversation_stream, copy_id, text_of, user_stream
from postbox.clients.rules.refusals import SUPERSEDED
from postbox.clients.tables import ACCOUNT, PICTURE, PICTURE_USE, Account, Role, account_of
from postbox.rpc.postbox.v1 import clients_pb as pb
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


def picture(png: bytes) -> SetPicture:
    return SetPicture(hashlib.sha256(png).digest(), png)


NO_PICTURE = SetPicture(b"", b"")


def account(device: Device) -> Account:
    row = device.house.row(ACCOUNT, device.user)
    assert row is not None
    return account_of(row)


def copies(house: House, conversation: bytes) -> list[Entry]:
    entries = house.entries(conversation_stream(conversation))
    return [entry for entry in entries if entry.flags & IS_COPY]


def pictures(house: House) -> dict[bytes, int]:
    """How many have it; those whose bytes are there."""
    users = {row[0]: row[1] for row in house.rows(PICTURE_USE)}
    assert {row[0] for row in house.rows(PICTURE)} == set(users)
    return {bytes(row[1]): users[row[0]] for row in house.rows(PICTURE)}  # type: ignore[arg-type,misc]


def test_a_name_is_for_the_users_devices_and_a_copy_for_each_conversation(
    house: House, ann: Device, bob: Device
) -> None:
    garden, yard = together(ann, bob), together(bob, ann)
    assert code(ann.do(1, SetDisplayName("Ann"))) == "stored"
    own = house.found(ann.id(1))
    assert own is not None
    assert (own.stream, own.seq, own.flags) == (user_stream(ann.user), None, 0)
    for conversation in (garden, yard):
        [copy] = copies(house, conversation)
        assert copy.id == copy_id(ann.id(1), conversation)
        assert (copy.seq, copy.kind, copy.author) == (None, own.kind, own.author)
        assert house.told(copy.id).conversationUuid == text_of(conversation)
        assert house.content(copy.id, pb.DisplayNameChanged).newName == "Ann"
    assert (account(ann).display, account(ann).name_event) == ("Ann", ann.id(1))


def test_conversations_that_the_user_has_left_hear_nothing_more_of_it(
    house: House, ann: Device, bob: Device
) -> None:
    garden = together(ann, bob)
    bob.do(1, RemoveMember(bob.user), garden)
    bob.do(2, SetDisplayName("Bob"))
    assert copies(house, garden) == []


def test_a_change_that_was_based_on_an_older_one_is_refused(house: House, ann: Device) -> None:
    tablet = house.device("ann", "tablet")
    ann.do(1, SetDisplayName("Ann"))
    assert code(tablet.do(1, SetDisplayName("Anna"), based_on=ann.id(1))) == "stored"
    assert code(ann.do(2, SetDisplayName("Annie"), based_on=uuid(1))) == SUPERSEDED
    assert code(ann.do(3, SetDisplayName("Annie"))) == "stored", "without it the last one counts"
    assert code(ann.do(4, picture(b"a"), based_on=uuid(77))) == SUPERSEDED
    assert account(ann).display == "Annie"


def test_a_picture_is_kept_once_for_as_long_as_somebody_has_it(
    house: House, ann: Device, bob: Device
) -> None:
    ann.do(1, picture(b"cat"))
    bob.do(1, picture(b"cat"))
    assert pictures(house) == {b"cat": 2}
    ann.do(2, picture(b"dog"))
    ann.do(3, picture(b"dog"))
    assert pictures(house) == {b"cat": 1, b"dog": 1}
    bob.do(2, NO_PICTURE)
    bob.do(3, NO_PICTURE)
    assert pictures(house) == {b"dog": 1}
    assert account(bob).picture == b""


def test_the_log_has_what_a_picture_is_called_and_not_its_bytes(house: House, ann: Device) -> None:
    garden = together(ann)
    ann.do(1, picture(b"a picture of a cat"))
    for event in (ann.id(1), copies(house, garden)[0].id):
        told = house.content(event, pb.ProfilePictureChanged)
        assert (told.pngImage, told.sha256) == (b"", hashlib.sha256(b"a picture of a cat").digest())


def test_who_comes_in_brings_its_name_and_its_picture(
    house: House, ann: Device, bob: Device
) -> None:
    bob.do(1, picture(b"cat"))
    bob.do(2, SetDisplayName("Bob"))
    garden = together(ann)
    ann.do(1, AddMember(bob.user, Role.MEMBER, False), garden)
    joined = house.content(ann.id(1), pb.MemberJoined).user
    assert joined is not None
    assert (joined.displayName, joined.pictureSha256) == ("Bob", account(bob).picture)
    [copy] = copies(house, garden)
    change = house.found(bob.id(1))
    assert change is not None
    assert (copy.kind, copy.author) == (Kind.PROFILE_PICTURE_CHANGED, change.author)
    joined_at = house.found(ann.id(1))
    assert joined_at is not None
    assert copy.pos == joined_at.pos + 1, "behind the event that lets it in"


def test_first_members_bring_theirs_too_and_may_come_again(
    house: House, ann: Device, bob: Device
) -> None:
    bob.do(1, picture(b"cat"))
    ann.do(1, CreateConversation("", (bob.user,)))
    garden = ann.id(1)
    ann.do(2, RemoveMember(bob.user), garden)
    assert code(ann.do(3, AddMember(bob.user, Role.MEMBER, False), garden)) == "stored"
    assert len({copy.id for copy in copies(house, garden)}) == 2
