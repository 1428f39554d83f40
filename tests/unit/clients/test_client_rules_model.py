"""Whatever devices send, in whatever order and however often: the rules on rows come to what the
reference without rows comes to, and so does who reads the log alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from postbox.clients.events.incoming import (
    AddMember,
    Content,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    React,
    Read,
    RemoveMember,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    Unreact,
)
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import ID_BYTES, conversation_stream, user_id, uuid_of
from postbox.clients.tables import (
    ACCOUNT,
    CONVERSATION,
    MEMBER,
    REACTION,
    WATERMARK,
    Conversation,
    Member,
    Reaction,
    Role,
    Watermark,
    account_of,
    read_row,
)
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_reference import Event, Reference, Said, Talk
from support.client_rules import Device, House, code, uuid
from support.simulate import SeededRandom

T = TypeVar("T")

BUSY = 20  # conversations that are made later are left alone, so that enough happens in some

USERS = ("ann", "bob", "cid")
DEVICES = (("ann", "phone"), ("ann", "tablet"), ("bob", "phone"), ("cid", "phone"))


@dataclass(frozen=True)
class Sent:
    device: int
    kind: type[Content]
    conversation: int  # of those that there are then, by the remainder
    target: int
    based_on: int
    is_again: bool  # under the local uuid of an earlier one of its kind
    by_local: bool  # names what it refers to by local uuids, whosever they are
    text: str
    user: bytes
    role: Role


KINDS: tuple[type[Content], ...] = (
    CreateConversation,
    SendMessage,
    SendMessage,
    SendMessage,
    EditMessage,
    EditMessage,
    EditMessage,
    DeleteMessage,
    React,
    React,
    Unreact,
    Unreact,
    Read,
    Read,
    AddMember,
    AddMember,
    AddMember,
    RemoveMember,
    RenameConversation,
    SetDisplayName,
)


def sent_by(random: SeededRandom) -> Sent:
    def one_of(several: Sequence[T]) -> T:
        return several[int(random.fraction() * len(several))]

    return Sent(
        device=one_of(range(len(DEVICES))),
        kind=one_of(KINDS),
        conversation=one_of(range(2**16)),
        target=one_of(range(2**16)),
        based_on=one_of(range(2**16)),
        is_again=random.fraction() < 0.1,
        by_local=random.fraction() < 0.2,
        text=one_of(["", "a", "b"]),
        user=user_id(one_of([*USERS, *USERS, *USERS, "never signed in"])),
        role=one_of(list(Role)),
    )


@dataclass(frozen=True, eq=False)
class Made:
    """An event that was sent before."""

    device: Device
    local: int
    kind: type[Content]

    def named(self, by_local: bool) -> bytes:
        return uuid(self.local) if by_local else self.device.id(self.local)


class Sending:
    """What there is to refer to: all that was sent, and what never was."""

    def __init__(self, house: House) -> None:
        self.devices = [house.device(*each) for each in DEVICES]
        self.reference = Reference([user_id(name) for name in USERS])
        self._made = [Made(self.devices[0], 404, SendMessage)]
        self._conversations = list(self._made)
        self._messages = list(self._made)

    def send(self, each: Sent) -> None:
        device, made = self.devices[each.device], self._made
        again = [one for one in made if one.device is device and one.kind is each.kind]
        local = again[each.target % len(again)].local if each.is_again and again else len(made)
        conversation = self._pick(self._conversations, each.conversation, each.by_local)
        target = self._pick(self._messages, each.target, each.by_local)
        based_on = None
        if each.based_on % 3 == 0:
            based_on = self._pick(made[-8:], each.based_on, each.by_local)
        content = content_of(each, target)
        outcome = device.do(local, content, conversation, based_on=based_on)
        event = Event(device.id(local), device.user, device.ref.id, conversation, based_on)
        assert code(outcome) == self.reference.do(event, content), (each, outcome)
        made.append(Made(device, local, each.kind))
        if code(outcome) == "stored" and each.kind is CreateConversation and len(made) < BUSY:
            self._conversations.append(made[-1])
        if code(outcome) == "stored" and each.kind in (SendMessage, RenameConversation):
            self._messages = [*self._messages[-6:], made[-1]]

    def _pick(self, there: list[Made], number: int, by_local: bool) -> bytes:
        return there[-1 - number % len(there)].named(by_local)


def content_of(each: Sent, target: bytes) -> Content:
    text, user, role = each.text, each.user, each.role
    made: dict[type[Content], Content] = {
        CreateConversation: CreateConversation(text, (user,) if text else ()),
        SendMessage: SendMessage(text, None if text else target),
        EditMessage: EditMessage(target, text, None),
        DeleteMessage: DeleteMessage(target),
        React: React(target, text + "+"),
        Unreact: Unreact(target, text + "+"),
        Read: Read(target),
        AddMember: AddMember(user, role, history=False),
        RemoveMember: RemoveMember(user),
        RenameConversation: RenameConversation(text),
        SetDisplayName: SetDisplayName(text),
    }
    return made[each.kind]


def said(device: int, kind: type[Content], text: str = "a", user: str = "bob") -> Sent:
    return Sent(device, kind, 0, 0, 1, False, False, text, user_id(user), Role.MEMBER)


FIRST = (
    said(0, CreateConversation),
    said(0, AddMember, user="cid"),
    said(0, SendMessage),
    said(2, SendMessage),
    said(2, SendMessage),
    said(2, CreateConversation, user="ann"),
    said(0, SendMessage),
)


@pytest.mark.parametrize("seed", range(30))
def test_rows_say_what_everything_that_was_ever_sent_comes_to(seed: int) -> None:
    random = SeededRandom(seed)
    sequence = [sent_by(random) for _ in range(100)]
    house = House()
    sending = Sending(house)
    for each in (*FIRST, *sequence):
        sending.send(each)
    reference = sending.reference
    assert conversations(house) == {
        key: (talk.name, talk.name_event, len(talk.roles), _owners(talk))
        for key, talk in reference.talks.items()
    }
    assert members(house) == {
        (key, user): talk.roles.get(user)
        for key, talk in reference.talks.items()
        for user in talk.ever
    }
    assert reactions(house) == reference.reactions
    assert watermarks(house) == {
        (key, user): seq for key, talk in reference.talks.items() for user, seq in talk.read.items()
    }
    assert accounts(house) == {
        user: (name if event else display(house, user), _in(reference, user))
        for user, (name, event) in reference.names.items()
    }
    for key, talk in reference.talks.items():
        assert_log_says(house, key, talk)


def _owners(talk: Talk) -> int:
    return sum(role is Role.OWNER for role in talk.roles.values())


def _in(reference: Reference, user: bytes) -> set[bytes]:
    return {key for key, talk in reference.talks.items() if user in talk.roles}


def conversations(house: House) -> dict[bytes, tuple[str, bytes, int, int]]:
    rows = [read_row(Conversation, row) for row in house.rows(CONVERSATION)]
    return {row.conversation: (row.name, row.name_event, row.members, row.owners) for row in rows}


def members(house: House) -> dict[tuple[bytes, bytes], Role | None]:
    rows = [read_row(Member, row) for row in house.rows(MEMBER)]
    return {(row.conversation, row.user): row.role if row.is_in else None for row in rows}


def reactions(house: House) -> set[tuple[bytes, bytes, str]]:
    rows = [read_row(Reaction, row) for row in house.rows(REACTION)]
    return {(row.message, row.user, row.reaction) for row in rows}


def watermarks(house: House) -> dict[tuple[bytes, bytes], int]:
    rows = [read_row(Watermark, row) for row in house.rows(WATERMARK)]
    return {(row.conversation, row.user): row.seq for row in rows}


def accounts(house: House) -> dict[bytes, tuple[str, set[bytes]]]:
    rows = [account_of(row) for row in house.rows(ACCOUNT)]
    return {row.user: (row.display, set(row.conversations)) for row in rows}


def display(house: House, user: bytes) -> str:
    """Of who never changed its name."""
    row = house.row(ACCOUNT, user)
    assert row is not None
    return account_of(row).display


# -- what the log alone says -----------------------------------------------------------------------


def assert_log_says(house: House, conversation: bytes, talk: Talk) -> None:
    entries = house.entries(conversation_stream(conversation))
    numbered = [entry for entry in entries if entry.seq is not None]
    assert [entry.seq for entry in numbered] == list(range(1, len(numbered) + 1))
    assert [entry.id for entry in numbered] == talk.log
    erased = {entry.id for entry in entries if entry.body is None}
    replayed = Replayed()
    for entry in numbered:
        if entry.body is not None:
            replayed.take(entry.id, entry.author[:ID_BYTES], house.told(entry.id))
    assert (replayed.name, replayed.roles) == (talk.name, talk.roles)
    assert texts(replayed.said) == texts(talk.said)
    deleted = {key for key, said in talk.said.items() if said.is_deleted}
    assert deleted == erased & set(talk.said)
    marks = [entry for entry in entries if entry.kind == Kind.READ_NEW_MESSAGE]
    assert len(marks) == len(talk.read), "one of each who has read"


def texts(said: dict[bytes, Said]) -> dict[bytes, tuple[bytes, str]]:
    return {key: (each.author, each.text) for key, each in said.items() if not each.is_deleted}


class Replayed:
    def __init__(self) -> None:
        self.name = ""
        self.roles: dict[bytes, Role] = {}
        self.said: dict[bytes, Said] = {}

    def take(self, event: bytes, author: bytes, told: pb.Event) -> None:
        assert told.content is not None
        match told.content.value:
            case pb.ConversationCreated() as made:
                self.name = made.name
                for user in made.members:
                    self.roles[_id(user.uuid)] = Role.MEMBER
                self.roles[author] = Role.OWNER
            case pb.ConversationNameChanged() as renamed:
                self.name = renamed.newName
            case pb.MemberJoined(user=pb.User() as user) as joined:
                self.roles[_id(user.uuid)] = Role(joined.role)
            case pb.MemberLeft() as left:
                del self.roles[_id(left.userUuid)]
            case pb.NewMessage(message=pb.Message() as message):
                self.said[event] = Said(author, message.text, event)
            case pb.MessageEdited(message=pb.Message() as message) as edited:
                if _id(edited.uuid) in self.said:
                    self.said[_id(edited.uuid)].text = message.text
            case _:
                pass


def _id(text: str) -> bytes:
    found = uuid_of(text)
    assert found is not None
    return found
