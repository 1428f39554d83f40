"""Messages: what is sent, edited and deleted, by whom, and what refers to what."""

from __future__ import annotations

import pytest

from postbox.clients.events.incoming import (
    Content,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    Foreign,
    React,
    SendMessage,
)
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, text_of, user_stream
from postbox.clients.rules.refusals import (
    DELETED,
    DEPENDENCY_REFUSED,
    NO_MESSAGE,
    NOT_A_MEMBER,
    NOT_ALLOWED,
    SUPERSEDED,
    UNKNOWN_TARGET,
)
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Rejected
from support.client_rules import AT_MS, FIRST_LOCAL, Device, House, code, together, uuid


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
    return together(ann, bob)


def texts(house: House, garden: bytes) -> list[str | None]:
    """Of messages and their edits, in order; None: erased."""
    kinds = (Kind.NEW_MESSAGE, Kind.MESSAGE_EDITED)
    entries = [entry for entry in house.entries(conversation_stream(garden)) if entry.kind in kinds]
    return [None if entry.body is None else _text(house, entry.id) for entry in entries]


def _text(house: House, event: bytes) -> str:
    told = house.told(event).content
    assert told is not None
    assert isinstance(told.value, pb.NewMessage | pb.MessageEdited)
    assert told.value.message is not None
    return told.value.message.text


def message_of(house: House, event: bytes) -> pb.Message:
    message = house.content(event, pb.NewMessage).message
    assert message is not None
    return message


def test_a_message_is_told_with_its_ids_and_whose_it_is(
    house: House, ann: Device, garden: bytes
) -> None:
    assert code(ann.do(1, SendMessage("hi", None, b""), garden)) == "stored"
    told = house.told(ann.id(1))
    message = message_of(house, ann.id(1))
    assert (message.text, message.conversationUuid) == ("hi", text_of(garden))
    assert house.content(ann.id(1), pb.NewMessage).uuid == text_of(ann.id(1))
    assert (told.conversationUuid, told.authorUuid) == (text_of(garden), text_of(ann.user))
    assert told.clientUuid == "", "that is for the device that made it alone"
    entry = house.found(ann.id(1))
    assert entry is not None
    assert entry.author == ann.user + ann.ref.id + uuid(1)
    assert (entry.at_ms, entry.seq, entry.kind) == (AT_MS, 2, Kind.NEW_MESSAGE)


def test_a_conversation_may_be_named_by_the_local_uuid_that_created_it(
    ann: Device, bob: Device, garden: bytes
) -> None:
    assert code(ann.do(1, SendMessage("hi", None), uuid(FIRST_LOCAL))) == "stored"
    assert code(bob.do(1, SendMessage("hi", None), uuid(FIRST_LOCAL))) == NOT_A_MEMBER


def test_a_reply_names_the_stored_message_however_the_device_named_it(
    house: House, ann: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("hi", None), garden)
    for local, named in ((2, uuid(1)), (3, ann.id(1))):
        assert code(ann.do(local, SendMessage("and", named), garden)) == "stored"
        assert message_of(house, ann.id(local)).replyToUuid == text_of(ann.id(1))


def test_a_reply_is_to_a_message_of_the_same_conversation(ann: Device, garden: bytes) -> None:
    other = _second(ann)
    ann.do(1, SendMessage("hi", None), other)
    assert code(ann.do(2, SendMessage("and", ann.id(1)), garden)) == UNKNOWN_TARGET
    assert code(ann.do(3, SendMessage("and", other), other)) == UNKNOWN_TARGET, "no message"


def _second(device: Device) -> bytes:
    device.do(77, CreateConversation("second", ()))
    return device.id(77)


def test_what_refers_to_a_refused_event_of_the_device_is_told_so(
    ann: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("hi", None), uuid(404))
    refers: list[Content] = [
        EditMessage(uuid(1), "ho", None),
        DeleteMessage(uuid(1)),
        React(uuid(1), "+"),
    ]
    for local, content in enumerate(refers, 2):
        assert code(ann.do(local, content)) == DEPENDENCY_REFUSED
    assert code(ann.do(9, SendMessage("and", uuid(1)), garden)) == DEPENDENCY_REFUSED
    assert code(ann.do(10, SendMessage("and", None), uuid(2))) == DEPENDENCY_REFUSED
    assert code(ann.do(11, EditMessage(uuid(500), "ho", None))) == UNKNOWN_TARGET


def test_an_edit_takes_the_place_of_the_edit_before_it(
    house: House, ann: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("one", None), garden)
    ann.do(2, EditMessage(uuid(1), "two", None))
    ann.do(3, EditMessage(ann.id(1), "three", None))
    assert texts(house, garden) == ["one", None, "three"]
    assert house.content(ann.id(3), pb.MessageEdited).uuid == text_of(ann.id(1))


def test_an_edit_may_say_what_it_was_based_on(ann: Device, house: House, garden: bytes) -> None:
    tablet = house.device("ann", "tablet")
    ann.do(1, SendMessage("one", None), garden)
    assert code(ann.do(2, EditMessage(uuid(1), "two", None), based_on=uuid(1))) == "stored"
    late = EditMessage(ann.id(1), "late", None)
    assert code(tablet.do(1, late, based_on=ann.id(1))) == SUPERSEDED
    assert code(tablet.do(2, late, based_on=ann.id(2))) == "stored"
    assert code(tablet.do(3, late, based_on=uuid(1))) == DEPENDENCY_REFUSED
    assert texts(house, garden) == ["one", None, "late"]


def test_an_edit_says_anew_what_the_message_replies_to(
    house: House, ann: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("one", None), garden)
    ann.do(2, SendMessage("two", uuid(1)), garden)
    ann.do(3, EditMessage(uuid(2), "2", None))
    assert code(ann.do(4, EditMessage(uuid(2), "zwei", uuid(1)))) == "stored"
    message = house.content(ann.id(4), pb.MessageEdited).message
    assert message is not None
    assert message.replyToUuid == text_of(ann.id(1))
    elsewhere = EditMessage(uuid(2), "drei", garden)
    assert code(ann.do(5, elsewhere)) == UNKNOWN_TARGET, "no message"


def test_only_its_author_changes_a_message(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("mine", None), garden)
    assert code(bob.do(1, EditMessage(ann.id(1), "", None))) == NOT_ALLOWED
    assert code(bob.do(2, DeleteMessage(ann.id(1)))) == NOT_ALLOWED
    tablet = house.device("ann", "tablet")
    assert code(tablet.do(1, EditMessage(ann.id(1), "ours", None))) == "stored"


def test_of_a_deleted_message_no_text_is_left_and_its_numbers_are(
    house: House, ann: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("one", None), garden)
    ann.do(2, EditMessage(uuid(1), "two", None))
    assert code(ann.do(3, DeleteMessage(uuid(1)))) == "stored"
    assert texts(house, garden) == [None, None]
    assert [entry.seq for entry in house.entries(conversation_stream(garden))] == [1, 2, 3, 4]


def test_nothing_more_can_be_done_with_a_deleted_message(
    ann: Device, bob: Device, garden: bytes
) -> None:
    ann.do(1, SendMessage("one", None), garden)
    ann.do(2, DeleteMessage(uuid(1)))
    assert ann.do(3, EditMessage(uuid(1), "two", None)) == Rejected(DELETED)
    assert bob.do(1, React(ann.id(1), "+")) == Rejected(DELETED)


def test_to_delete_what_is_deleted_changes_nothing(
    house: House, ann: Device, garden: bytes
) -> None:
    tablet = house.device("ann", "tablet")
    ann.do(1, SendMessage("one", None), garden)
    ann.do(2, DeleteMessage(uuid(1)))
    head = house.model.head
    assert code(tablet.do(1, DeleteMessage(ann.id(1)))) == "duplicate"
    assert code(tablet.do(1, DeleteMessage(ann.id(1)))) == "duplicate"
    assert house.model.head == head


def test_what_is_no_message_is_neither_edited_nor_deleted(ann: Device, garden: bytes) -> None:
    assert ann.do(1, EditMessage(garden, "x", None)) == Rejected(NO_MESSAGE)
    assert ann.do(2, DeleteMessage(garden)) == Rejected(NO_MESSAGE)


def test_an_applications_event_is_passed_on_as_it_came(
    house: House, ann: Device, bob: Device, garden: bytes
) -> None:
    field = bytes_field(100, b"a move of chess")
    assert code(ann.do(1, Foreign(100, field), garden)) == "stored"
    entry = house.found(ann.id(1))
    assert entry is not None
    assert entry.body is not None
    assert (entry.kind, entry.seq, entry.body[: len(field)]) == (100, 2, field)
    assert code(bob.do(1, React(ann.id(1), "+"))) == "stored"
    assert code(ann.do(2, EditMessage(uuid(1), "x", None))) == UNKNOWN_TARGET
    assert code(ann.do(3, DeleteMessage(uuid(1)))) == "stored"
    erased = house.found(ann.id(1))
    assert erased is not None
    assert erased.body is None


def test_an_applications_event_without_a_conversation_is_for_the_users_devices(
    house: House, ann: Device
) -> None:
    assert code(ann.do(1, Foreign(100, bytes_field(100, b"settings")))) == "stored"
    entry = house.found(ann.id(1))
    assert entry is not None
    assert (entry.stream, entry.seq) == (user_stream(ann.user), None)
