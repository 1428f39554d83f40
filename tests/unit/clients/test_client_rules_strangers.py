"""What a user does of a conversation that it is not in: nothing, and it learns nothing by trying.

Each attempt is made at what is there and at what is not, and the answers are equal to the letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from postbox.clients.events.incoming import (
    AddMember,
    Content,
    DeleteMessage,
    EditMessage,
    Foreign,
    React,
    Read,
    RemoveMember,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    SetPicture,
    Unreact,
)
from postbox.clients.ids import conversation_stream
from postbox.clients.rules.refusals import NO_CONVERSATION, NO_MESSAGE
from postbox.clients.tables import REFUSED, Role
from postbox.rpc.fields import bytes_field
from postbox.rules import Rejected
from support.client_rules import Device, House, code, together, uuid


@dataclass(frozen=True)
class Scene:
    """A conversation of ann's and bob's, and mal, who is not in it."""

    house: House
    ann: Device
    bob: Device
    mal: Device
    garden: bytes

    @property
    def message(self) -> bytes:
        return self.ann.id(1)


def scene() -> Scene:
    house = House()
    ann, bob, mal = (house.device(name) for name in ("ann", "bob", "mal"))
    garden = together(ann, bob)
    ann.do(1, SendMessage("a secret", None), garden)
    ann.do(2, EditMessage(uuid(1), "another", None))
    bob.do(1, React(ann.id(1), "+"))
    return Scene(house, ann, bob, mal, garden)


def was_in() -> Scene:
    made = scene()
    made.ann.do(3, AddMember(made.mal.user, Role.OWNER, True), made.garden)
    made.mal.do(99, React(made.message, "+"))
    made.ann.do(4, RemoveMember(made.mal.user), made.garden)
    return made


OF_A_CONVERSATION: dict[str, Callable[[Scene], Content]] = {
    "sends": lambda s: SendMessage("hi", None),
    "replies": lambda s: SendMessage("hi", s.message),
    "renames": lambda s: RenameConversation("mine"),
    "adds itself": lambda s: AddMember(s.mal.user, Role.MEMBER, True),
    "adds itself as an owner": lambda s: AddMember(s.mal.user, Role.OWNER, True),
    "adds a member": lambda s: AddMember(s.bob.user, Role.MEMBER, True),
    "takes a role": lambda s: AddMember(s.ann.user, Role.MEMBER, True),
    "removes a member": lambda s: RemoveMember(s.bob.user),
    "sends an application's event": lambda s: Foreign(100, bytes_field(100, b"x")),
}

OF_A_MESSAGE: dict[str, Callable[[bytes], Content]] = {
    "edits": lambda message: EditMessage(message, "mine", None),
    "deletes": lambda message: DeleteMessage(message),
    "reacts": lambda message: React(message, "+"),
    "takes back": lambda message: Unreact(message, "+"),
    "reads": lambda message: Read(message),
}

SCENES = pytest.mark.parametrize("made", [scene, was_in], ids=["never was in", "was in"])


@SCENES
@pytest.mark.parametrize("attempt", OF_A_CONVERSATION)
def test_who_is_not_in_a_conversation_is_told_the_same_as_if_there_were_none(
    made: Callable[[], Scene], attempt: str
) -> None:
    here = made()
    content = OF_A_CONVERSATION[attempt](here)
    before = here.house.model.head
    there, nowhere = here.mal.do(1, content, here.garden), here.mal.do(2, content, uuid(404))
    assert there == nowhere == Rejected(NO_CONVERSATION)
    assert here.house.model.head == before, "and nobody is told anything"


@SCENES
@pytest.mark.parametrize("attempt", OF_A_MESSAGE)
@pytest.mark.parametrize("what", ["a message", "a deleted one", "an edit", "the conversation"])
def test_who_is_not_in_a_conversation_is_told_the_same_as_if_it_had_no_such_message(
    made: Callable[[], Scene], attempt: str, what: str
) -> None:
    here = made()
    if what == "a deleted one":
        here.ann.do(50, DeleteMessage(uuid(1)))
    target = {"an edit": here.ann.id(2), "the conversation": here.garden}.get(what, here.message)
    before, content = here.house.model.head, OF_A_MESSAGE[attempt]
    there, nowhere = here.mal.do(1, content(target)), here.mal.do(2, content(uuid(404)))
    assert there == nowhere == Rejected(NO_MESSAGE)
    assert here.house.model.head == before


@SCENES
def test_a_reply_elsewhere_proves_no_message_there(made: Callable[[], Scene]) -> None:
    here = made()
    own = together(here.mal)
    replies = [SendMessage("so?", here.message), SendMessage("so?", uuid(404))]
    answers = [here.mal.do(local, reply, own) for local, reply in enumerate(replies)]
    assert answers == [Rejected(NO_MESSAGE)] * 2


@SCENES
def test_what_an_outsider_was_based_on_proves_nothing(made: Callable[[], Scene]) -> None:
    here = made()
    rename = RenameConversation("mine")
    for local, based_on in enumerate((here.garden, uuid(404))):
        refused = here.mal.do(local, rename, here.garden, based_on=based_on)
        assert refused == Rejected(NO_CONVERSATION)


@SCENES
def test_what_an_outsider_does_of_its_own_is_told_to_nobody_there(
    made: Callable[[], Scene],
) -> None:
    here = made()
    before = len(here.house.entries(conversation_stream(here.garden)))
    assert code(here.mal.do(1, SetDisplayName("Mal"))) == "stored"
    assert code(here.mal.do(2, SetPicture(bytes(32), b"png"))) == "stored"
    assert len(here.house.entries(conversation_stream(here.garden))) == before


def test_a_local_uuid_of_another_device_names_nothing() -> None:
    here = scene()
    assert here.mal.do(1, React(uuid(7), "+")) == Rejected(NO_MESSAGE)
    tablet = here.house.device("ann", "tablet")
    assert tablet.do(1, EditMessage(uuid(1), "x", None)) == Rejected(NO_MESSAGE)


def test_what_is_refused_is_remembered_for_the_device_that_tried() -> None:
    here = scene()
    here.mal.do(1, SendMessage("hi", None), here.garden)
    assert [row[0] for row in here.house.rows(REFUSED)] == [here.mal.ref.id]
