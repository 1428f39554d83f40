"""A user's answer to an invite: the other door's rows and the user's event, in one decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from postbox.clients.events.incoming import AnswerInvite
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import user_stream
from postbox.clients.rules.answers import NO_INVITE, Neighbour
from postbox.clients.rules.rules import ClientRules
from postbox.clients.tables import REFUSED, TABLES
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import (
    Decision,
    EntryKey,
    NewEntry,
    Put,
    Reason,
    Rejected,
    RowKey,
    State,
    StreamKey,
)
from postbox.store.contract import Column, Lane, Table
from support.client_rules import House, code

INVITES = Table("invites", (Column("name", "text"), Column("answer", "text")), key=1)
ACCEPTS = AnswerInvite("b.example:2289", "i", True)


@dataclass(frozen=True)
class OtherDoor:
    """That has one invite."""

    user: str
    invite: str = "i"

    @property
    def tables(self) -> tuple[Table, ...]:
        return (INVITES,)

    def needs_of_answer(
        self, user: str, answer: AnswerInvite, state: State
    ) -> Iterable[RowKey | EntryKey | StreamKey]:
        yield RowKey(INVITES, (answer.invite,))

    def answered(
        self, user: str, event: bytes, answer: AnswerInvite, state: State, at_ms: int
    ) -> Decision:
        if (user, answer.invite) != (self.user, self.invite):
            return Decision(refuse=NO_INVITE)
        if state[INVITES, (answer.invite,)] is not None:
            return Decision(refuse=Reason("SUPERSEDED", "answered before"))
        posted = NewEntry(Lane.HOSTS, b"out/b", event, 1, b"", at_ms, b"the answer", numbered=True)
        said = "yes" if answer.is_accepted else "no"
        return Decision((posted,), (Put(INVITES, (answer.invite, said)),))


@pytest.fixture
def house() -> House:
    return House(ClientRules(OtherDoor("ann")))


def test_an_answer_is_the_users_event_and_the_other_doors(house: House) -> None:
    ann = house.device("ann")
    assert code(ann.do(1, ACCEPTS)) == "stored"
    own = house.found(ann.id(1))
    assert own is not None
    assert (own.stream, own.kind) == (user_stream(ann.user), Kind.INVITE_DECIDED)
    told = house.content(ann.id(1), pb.InviteDecided)
    assert (told.host, told.invite, told.accepted) == ("b.example:2289", "i", True)
    assert house.model.find(Lane.HOSTS, ann.id(1)) is not None
    assert house.row(INVITES, "i") == ("i", "yes")


def test_what_the_other_door_refuses_is_refused_here_and_leaves_nothing(house: House) -> None:
    ann, bob = house.device("ann"), house.device("bob")
    assert bob.do(1, ACCEPTS) == Rejected(NO_INVITE)
    assert house.row(INVITES, "i") is None
    ann.do(1, ACCEPTS)
    head = house.model.head
    assert code(ann.do(2, ACCEPTS)) == "SUPERSEDED"
    assert house.model.head == head
    assert len(house.rows(REFUSED)) == 2


def test_without_a_neighbour_nobody_has_an_invite() -> None:
    ann = House().device("ann")
    assert ann.do(1, ACCEPTS) == Rejected(NO_INVITE)


def test_the_rules_have_the_tables_of_both_doors() -> None:
    neighbour: Neighbour = OtherDoor("ann")
    assert ClientRules(neighbour).tables == (*TABLES, INVITES)
    assert ClientRules().tables == TABLES
