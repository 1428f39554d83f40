"""Whatever devices send, in whatever order and however often: the rules on rows come to what the
reference without rows comes to, and so does who reads the log alone."""

from __future__ import annotations

from collections import Counter

import pytest

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import ID_BYTES, conversation_stream, uuid_of
from postbox.clients.tables import (
    ACCOUNT,
    ADDED,
    CHANGED_MESSAGE,
    CONVERSATION,
    MEMBER,
    PICTURE,
    PICTURE_USE,
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
from support.client_reference import Reference, Said, Talk
from support.client_rules import House
from support.client_sending import sent_by_seed


@pytest.mark.parametrize("seed", range(30))
def test_rows_say_what_everything_that_was_ever_sent_comes_to(seed: int) -> None:
    house = House()
    sending = sent_by_seed(house, seed, 100)
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
    rows = [read_row(Member, row) for row in house.rows(MEMBER)]
    brought = Counter((row.user, row.added_by) for row in rows if row.added_by)
    assert {row[:2]: row[2] for row in house.rows(ADDED)} == brought
    assert all(row.is_in for row in rows if row.added_by)
    assert reactions(house) == reference.reactions
    counted = {row[0]: row[3] for row in house.rows(CHANGED_MESSAGE) if row[3]}
    assert counted == Counter(message for message, _, _ in reference.reactions)
    assert watermarks(house) == {
        (key, user): seq for key, talk in reference.talks.items() for user, seq in talk.read.items()
    }
    assert accounts(house) == {
        user: (name if event else display(house, user), _in(reference, user))
        for user, (name, event) in reference.names.items()
    }
    assert pictures(house) == Counter(sha256 for sha256, _ in reference.pictures.values() if sha256)
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


def pictures(house: House) -> dict[bytes, int]:
    """How many users have each that is kept."""
    uses = {bytes(row[0]): int(row[1]) for row in house.rows(PICTURE_USE)}  # type: ignore[arg-type]
    assert {row[0] for row in house.rows(PICTURE)} == set(uses)
    return uses


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
