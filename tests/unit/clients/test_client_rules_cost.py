"""What a decision looks at does not grow with the conversation, nor with what was said in it."""

from __future__ import annotations

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
    Unreact,
)
from postbox.clients.tables import Role
from support.client_rules import House, code, uuid


def looked_at(others: int, messages: int) -> list[int]:
    """By each of a row of events, in a conversation with so many others and so much said."""
    house = House()
    ann, bob = house.device("ann"), house.device("bob")
    users = [house.device(f"user {number}".replace(" ", "-")).user for number in range(others)]
    ann.do(1, CreateConversation("", tuple(users)))
    garden = ann.id(1)
    for local in range(100, 100 + messages):
        ann.do(local, SendMessage("said", None), garden)
    row: list[Content] = [
        SendMessage("hi", None),
        SendMessage("and", uuid(2)),
        EditMessage(uuid(2), "ho", None),
        EditMessage(uuid(2), "hey", uuid(3)),
        React(uuid(2), "+"),
        React(uuid(2), "+"),
        Unreact(uuid(2), "+"),
        Read(uuid(3)),
        Read(uuid(2)),
        AddMember(bob.user, Role.OWNER, history=True),
        AddMember(bob.user, Role.MEMBER, history=True),
        RemoveMember(bob.user),
        RenameConversation("x"),
        DeleteMessage(uuid(2)),
        RemoveMember(ann.user),
    ]
    counts = []
    for local, content in enumerate(row, 2):
        assert code(ann.do(local, content, garden)) in ("stored", "duplicate")
        counts.append(house.asked)
    return counts


def test_what_a_decision_reads_is_the_same_in_a_small_conversation_and_in_a_large_one() -> None:
    assert looked_at(others=0, messages=0) == looked_at(others=90, messages=50)


def test_what_a_decision_reads_is_little() -> None:
    assert max(looked_at(others=3, messages=3)) <= 16
