"""Conversations: who is in, since when, in which role, and what each event leaves in the log."""

from __future__ import annotations

import pytest

from postbox.clients.events.incoming import (
    AddMember,
    CreateConversation,
    RemoveMember,
    RenameConversation,
    SendMessage,
)
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, text_of, user_id, user_stream
from postbox.clients.rules import members
from postbox.clients.rules import periods as rules_of_periods
from postbox.clients.rules.refusals import (
    DEPENDENCY_REFUSED,
    NO_USER,
    NOT_A_MEMBER,
    NOT_ALLOWED,
    NOT_THERE,
    QUOTA,
    SUPERSEDED,
    UNKNOWN_TARGET,
)
from postbox.clients.tables import (
    ACCOUNT,
    ADDED,
    CONVERSATION,
    MAX_CONVERSATIONS,
    MAX_PERIODS,
    MEMBER,
    PERIOD,
    Conversation,
    Member,
    Period,
    Role,
    account_of,
    read_row,
)
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Rejected
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
def cid(house: House) -> Device:
    return house.device("cid")


def add(device: Device, role: Role = Role.MEMBER, *, history: bool = False) -> AddMember:
    return AddMember(device.user, role, history)


def remove(device: Device) -> RemoveMember:
    return RemoveMember(device.user)


def member(device: Device, conversation: bytes) -> Member:
    row = device.house.row(MEMBER, conversation, device.user)
    assert row is not None
    return read_row(Member, row)


def periods(device: Device, conversation: bytes) -> list[Period]:
    rows = [read_row(Period, row) for row in device.house.rows(PERIOD)]
    ours = [row for row in rows if (row.user, row.conversation) == (device.user, conversation)]
    return sorted(ours, key=lambda row: row.number)


def conversation(house: House, id: bytes) -> Conversation:
    row = house.row(CONVERSATION, id)
    assert row is not None
    return read_row(Conversation, row)


def conversations(device: Device) -> tuple[bytes, ...]:
    row = device.house.row(ACCOUNT, device.user)
    assert row is not None
    return account_of(row).conversations


def last_kinds(house: House, count: int) -> list[tuple[bytes, int]]:
    newest = sorted(house.model.entries.items())[-count:]
    return [(entry.stream, entry.kind) for _, entry in newest]


# -- creating and naming ---------------------------------------------------------------------------


def test_who_creates_a_conversation_owns_it_and_all_are_in_from_its_first_number(
    house: House, ann: Device, bob: Device
) -> None:
    assert code(ann.do(1, CreateConversation("Garden", (bob.user, ann.user, bob.user)))) == "stored"
    garden = ann.id(1)
    assert conversation(house, garden) == Conversation(garden, "Garden", garden, 2, 1, house.at_ms)
    assert (member(ann, garden).role, member(bob, garden).role) == (Role.OWNER, Role.MEMBER)
    for each in (ann, bob):
        assert periods(each, garden) == [Period(each.user, garden, 1, garden, b"", False)]
        assert conversations(each) == (garden,)
    assert last_kinds(house, 3) == [
        (user_stream(ann.user), Kind.MEMBERSHIP),
        (user_stream(bob.user), Kind.MEMBERSHIP),
        (conversation_stream(garden), Kind.CONVERSATION_CREATED),
    ]
    made = house.content(garden, pb.ConversationCreated)
    assert [(user.name, user.uuid) for user in made.members] == [
        ("ann", text_of(ann.user)),
        ("bob", text_of(bob.user)),
    ]


def test_nobody_is_made_a_member_who_has_never_signed_in(house: House, ann: Device) -> None:
    stranger = user_id("zoe")
    assert code(ann.do(1, CreateConversation("x", (stranger,)))) == UNKNOWN_TARGET
    garden = together(ann)
    assert ann.do(2, AddMember(stranger, Role.MEMBER, True), garden) == Rejected(NO_USER)
    assert house.row(CONVERSATION, ann.id(1)) is None


def test_who_of_the_first_members_never_signed_in_is_named_as_the_device_called_them(
    ann: Device, bob: Device
) -> None:
    others = ("zoe", "yan", "xia", "wes", "val", "uma")
    members = (user_id("zoe"), bob.user, *map(user_id, others[1:]))
    called = ("zoe", "bob", text_of(members[2]), *others[2:])
    refused = ann.do(1, CreateConversation("x", members, called))
    assert isinstance(refused, Rejected)
    who = f"zoe, {text_of(members[2])}, xia, wes, val and 1 more"
    assert refused.reason.text == f"no user of this host has signed in as {who}"
    assert str(ann.do(2, CreateConversation("x", members[:1], called[:1]))).count("as zoe") == 1
    assert text_of(members[0]) in str(ann.do(3, CreateConversation("x", members[:1])))


def test_a_name_is_changed_by_any_member_and_the_last_one_counts(
    house: House, ann: Device, bob: Device
) -> None:
    garden = together(ann, bob)
    ann.do(1, RenameConversation("one"), garden)
    assert code(bob.do(1, RenameConversation("two"), garden)) == "stored"
    assert conversation(house, garden).name == "two"
    told = house.content(bob.id(1), pb.ConversationNameChanged)
    assert (told.newName, told.authorUuid) == ("two", text_of(bob.user))


def test_a_name_that_was_based_on_an_older_one_changes_nothing(
    house: House, ann: Device, bob: Device
) -> None:
    garden = together(ann, bob)
    assert code(ann.do(1, RenameConversation("one"), garden, based_on=garden)) == "stored"
    assert code(bob.do(1, RenameConversation("late"), garden, based_on=garden)) == SUPERSEDED
    assert code(ann.do(2, RenameConversation("two"), garden, based_on=uuid(1))) == "stored"
    late = RenameConversation("later")
    assert code(bob.do(2, late, garden, based_on=uuid(1))) == DEPENDENCY_REFUSED
    assert conversation(house, garden).name == "two"


# -- coming and going ------------------------------------------------------------------------------


def test_a_user_is_added_by_any_member_and_sees_what_its_period_says(
    house: House, ann: Device, bob: Device, cid: Device
) -> None:
    garden = together(ann, bob)
    assert code(bob.do(1, add(cid, history=True), garden)) == "stored"
    assert periods(cid, garden) == [Period(cid.user, garden, 1, bob.id(1), b"", True)]
    assert last_kinds(house, 2) == [
        (user_stream(cid.user), Kind.MEMBERSHIP),
        (conversation_stream(garden), Kind.MEMBER_JOINED),
    ]
    told = house.content(bob.id(1), pb.MemberJoined)
    assert told.user is not None
    assert (told.user.name, told.history, told.addedByUuid) == ("cid", True, text_of(bob.user))
    assert conversation(house, garden).members == 3


def test_who_leaves_is_told_so_and_nothing_after_it(house: House, ann: Device, bob: Device) -> None:
    garden = together(ann, bob)
    assert code(bob.do(1, remove(bob), garden)) == "stored"
    assert last_kinds(house, 2) == [
        (user_stream(bob.user), Kind.MEMBERSHIP),
        (conversation_stream(garden), Kind.MEMBER_LEFT),
    ]
    assert house.content(bob.id(1), pb.MemberLeft).removedByUuid == ""
    assert periods(bob, garden)[0].left == bob.id(1)
    assert conversations(bob) == ()
    assert conversation(house, garden).members == 1
    assert code(bob.do(2, SendMessage("hi", None), garden)) == NOT_A_MEMBER


def test_who_comes_back_has_a_period_of_its_own(ann: Device, bob: Device) -> None:
    garden = together(ann, bob)
    ann.do(1, remove(bob), garden)
    ann.do(2, add(bob, history=True), garden)
    bob.do(1, remove(bob), garden)
    ann.do(3, add(bob), garden)
    assert periods(bob, garden) == [
        Period(bob.user, garden, 1, garden, ann.id(1), False),
        Period(bob.user, garden, 2, ann.id(2), bob.id(1), True),
        Period(bob.user, garden, 3, ann.id(3), b"", False),
    ]
    now = Member(garden, bob.user, True, Role.MEMBER, 3, ann.id(3), added_by=ann.user)
    assert member(bob, garden) == now


def test_so_many_periods_are_kept_and_the_oldest_go(ann: Device, bob: Device) -> None:
    garden = together(ann, bob)
    for local in range(MAX_PERIODS):
        ann.do(2 * local, remove(bob), garden)
        ann.do(2 * local + 1, add(bob), garden)
    assert [row.number for row in periods(bob, garden)] == list(range(2, MAX_PERIODS + 2))


def test_to_add_who_is_in_and_to_remove_who_has_gone_changes_nothing(
    house: House, ann: Device, bob: Device, cid: Device
) -> None:
    garden = together(ann, bob, cid)
    head = house.model.head
    assert code(bob.do(1, add(cid), garden)) == "duplicate"
    assert code(bob.do(2, add(ann), garden)) == "duplicate", "and takes no role from an owner"
    assert house.model.head == head
    ann.do(1, remove(cid), garden)
    again = [bob.do(3, remove(cid), garden), cid.do(1, remove(cid), garden)]
    assert [code(each) for each in again] == ["duplicate", "duplicate"]
    assert code(bob.do(1, add(cid), garden)) == "duplicate", "for ever, also when it is out"
    assert not member(cid, garden).is_in


def test_nobody_is_removed_who_was_never_in(ann: Device, bob: Device, cid: Device) -> None:
    garden = together(ann, bob)
    assert ann.do(1, remove(cid), garden) == Rejected(NOT_THERE)
    assert code(cid.do(1, remove(cid), garden)) == NOT_A_MEMBER


def test_who_is_out_adds_nobody_and_not_itself(ann: Device, bob: Device, cid: Device) -> None:
    garden = together(ann, bob)
    bob.do(1, remove(bob), garden)
    for local, whom in enumerate((bob, cid, ann), 2):
        assert code(bob.do(local, add(whom), garden)) == NOT_A_MEMBER
    assert code(bob.do(9, remove(ann), garden)) == NOT_A_MEMBER


# -- roles -----------------------------------------------------------------------------------------


def test_owners_remove_others_and_give_roles_and_members_do_not(
    house: House, ann: Device, bob: Device, cid: Device
) -> None:
    garden = together(ann, bob, cid)
    denied: list[AddMember | RemoveMember] = [
        remove(cid),
        add(cid, Role.OWNER),
        add(bob, Role.OWNER),
    ]
    for local, content in enumerate(denied):
        assert code(bob.do(local, content, garden)) == NOT_ALLOWED
    assert code(ann.do(1, add(bob, Role.OWNER), garden)) == "stored"
    assert last_kinds(house, 1) == [(conversation_stream(garden), Kind.MEMBER_JOINED)]
    assert (conversation(house, garden).owners, len(periods(bob, garden))) == (2, 1)
    assert code(bob.do(9, remove(cid), garden)) == "stored"
    assert code(bob.do(10, add(ann, Role.MEMBER), garden)) == "stored"
    assert (conversation(house, garden).owners, member(ann, garden).role) == (1, Role.MEMBER)


def test_nobody_brings_in_an_owner_who_is_none(ann: Device, bob: Device, cid: Device) -> None:
    garden = together(ann, bob)
    assert code(bob.do(1, add(cid, Role.OWNER), garden)) == NOT_ALLOWED
    assert code(ann.do(1, add(cid, Role.OWNER), garden)) == "stored"


def test_where_no_owner_is_left_every_member_may(
    house: House, ann: Device, bob: Device, cid: Device
) -> None:
    garden = together(ann, bob, cid)
    ann.do(1, remove(ann), garden)
    assert conversation(house, garden).owners == 0
    assert code(bob.do(1, add(bob, Role.OWNER), garden)) == "stored"
    assert code(cid.do(1, remove(bob), garden)) == NOT_ALLOWED
    assert (conversation(house, garden).owners, conversation(house, garden).members) == (1, 2)


def test_an_owner_who_comes_back_is_what_it_is_added_as(
    house: House, ann: Device, bob: Device
) -> None:
    garden = together(ann, bob)
    ann.do(1, remove(ann), garden)
    bob.do(1, add(ann), garden)
    assert (member(ann, garden).role, conversation(house, garden).owners) == (Role.MEMBER, 0)


# -- limits ----------------------------------------------------------------------------------------


def test_a_conversation_has_so_many_members(
    ann: Device, bob: Device, cid: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 2)
    garden = together(ann, bob)
    assert code(ann.do(1, add(cid), garden)) == QUOTA
    ann.do(2, remove(bob), garden)
    assert code(ann.do(3, add(cid), garden)) == "stored"
    assert code(ann.do(4, add(bob), garden)) == QUOTA


def test_a_user_is_in_so_many_conversations(ann: Device, bob: Device) -> None:
    for local in range(MAX_CONVERSATIONS):
        assert code(bob.do(local, CreateConversation("", ()))) == "stored"
    garden = together(ann)
    assert code(bob.do(-1 % 2**64, CreateConversation("", ()))) == QUOTA
    assert code(ann.do(1, add(bob), garden)) == QUOTA
    bob.do(2**65, remove(bob), bob.id(7))
    assert code(bob.do(2**66, CreateConversation("", ()))) == "stored"


def test_others_leave_a_user_room_for_conversations_of_its_own(
    ann: Device, bob: Device, cid: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_of_periods, "MAX_ADDED", 3)
    garden, den = together(ann, bob), together(cid)
    assert code(ann.do(1, CreateConversation("", (bob.user,)))) == "stored"
    assert code(bob.do(1, CreateConversation("", (ann.user,)))) == "stored"
    assert code(cid.do(1, add(bob), den)) == QUOTA
    assert code(cid.do(2, CreateConversation("", (bob.user,)))) == QUOTA
    assert code(bob.do(2, CreateConversation("", (cid.user,)))) == "stored"
    for local, left in enumerate((garden, ann.id(1)), 3):
        bob.do(local, remove(bob), left)
    assert code(cid.do(3, add(bob), den)) == "stored", "who leaves has room at once"


def test_one_user_fills_no_more_than_its_share_of_anothers_conversations(
    house: House, ann: Device, bob: Device, cid: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_of_periods, "MAX_ADDED_BY_ONE", 2)
    garden, den = together(ann, bob), together(cid)
    for local in range(9):  # what it was brought into before does not count
        ann.do(2 * local, remove(bob), garden)
        ann.do(2 * local + 1, add(bob), garden)
    ann.do(30, CreateConversation("", ()))
    assert code(ann.do(31, add(bob, Role.OWNER), ann.id(30))) == "stored"
    assert house.row(ADDED, bob.user, ann.user) == (bob.user, ann.user, 2)
    assert code(ann.do(32, CreateConversation("", (bob.user,)))) == QUOTA
    assert code(ann.do(33, CreateConversation("", (cid.user,)))) == "stored"
    assert code(cid.do(1, add(bob), den)) == "stored", "others still may"
    assert code(ann.do(34, remove(bob), garden)) == "stored"
    assert code(ann.do(35, CreateConversation("", (bob.user,)))) == "stored"
    for local, left in enumerate((ann.id(30), ann.id(35), den)):
        bob.do(local, remove(bob), left)
    assert [row for row in house.rows(ADDED) if row[0] == bob.user] == []
