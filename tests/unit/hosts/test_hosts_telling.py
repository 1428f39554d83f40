"""Who is told of guilds and invites, and of what: nobody of what changes nothing."""

from __future__ import annotations

import pytest
from protobuf import Message

from postbox.hosts.applications.events import event_of
from postbox.hosts.guilds.policy import GuildPolicy
from postbox.hosts.guilds.rules import Act, Ask, GuildDraft, GuildRules, Join, Leave, Reply
from postbox.hosts.guilds.tables import INVITE, Answer, Direction, Invite, row_of
from postbox.hosts.guilds.telling import News
from postbox.hosts.guilds.users import User
from postbox.hosts.links.arrivals import Arrival, Arrived, PlainArrival
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import CONSENT
from postbox.rpc.postbox.v1.clients_pb import (
    GuildEntered,
    GuildExited,
    InviteDecided,
    InviteReceived,
)
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered
from postbox.rules import Decision, NewEntry
from postbox.store.contract import IDENTITY, Lane
from support.rows import Rows

A, B = "a.example:2289", "b.example:2289"
ANN, BOB, ZOE = User("ann", A), User("bob", B), User("zoe", A)
EPOCH = b"e" * 16


class Ears:
    """A `Tell` that notes what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, News]] = []
        self.causes: list[bytes] = []

    def __call__(self, user: str, news: News, cause: bytes, at_ms: int) -> NewEntry:
        self.heard.append((user, news))
        self.causes.append(cause)
        new_id = len(self.causes).to_bytes(16, "big")
        return NewEntry(Lane.CLIENTS, user.encode(), new_id, 18, b"", at_ms, news.to_binary())


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    rows.rows[IDENTITY.name, ("epoch",)] = ("epoch", EPOCH)
    rows.rows[CONSENT.name, (str(ANN), B)] = (str(ANN), B, 1)
    return rows


def do(rows: Rows, ears: Ears, act: Act, number: int = 1) -> Decision:
    draft = GuildDraft(number.to_bytes(16, "big"), act)
    return rows.decide(GuildRules(A, ears), draft, at_ms=1_000)


def arrive(rows: Rows, ears: Ears, *messages: Message, start: int = 1) -> Decision:
    """From B, numbered from `start`."""
    events = tuple(
        Arrived(b"body", EPOCH, seq, 1, type_url=each.type_url, value=each.value)
        for seq, each in enumerate(map(event_of, messages), start)
    )
    return rows.decide(HostRules(GuildPolicy(A, tell=ears)), Arrival(b"a" * 16, B, events), 1_000)


def joined(guild: str = "g", name: str = "Garden", user: User = ANN) -> GuildJoined:
    return GuildJoined(user=str(user), guild=guild, name=name)


def told(decision: Decision) -> int:
    return sum(entry.lane == Lane.CLIENTS for entry in decision.entries)


def test_what_another_host_changes_is_told_in_its_order(rows: Rows, ears: Ears) -> None:
    decision = arrive(
        rows,
        ears,
        joined(),
        joined(name="Yard"),
        GuildLeft(user=str(ANN), guild="g", reason="banned"),
        DirectInvite(invite="i", inviter=str(BOB), user=str(ANN), conversation="c", name="Bob"),
    )
    assert ears.heard == [
        ("ann", GuildEntered(host=B, guild="g", name="Garden")),
        ("ann", GuildEntered(host=B, guild="g", name="Yard")),
        ("ann", GuildExited(host=B, guild="g", reason="banned")),
        (
            "ann",
            InviteReceived(host=B, invite="i", inviter=str(BOB), conversation="c", name="Bob"),
        ),
    ]
    assert told(decision) == 4
    assert len(set(ears.causes)) == 4, "each of them has a cause of its own"


def test_nobody_is_told_of_what_changes_nothing(rows: Rows, ears: Ears) -> None:
    invite = DirectInvite(invite="i", inviter=str(BOB), user=str(ANN), name="Bob")
    arrive(rows, ears, joined(), invite)
    left = GuildLeft(user=str(ANN), guild="never", reason="left")
    assert told(arrive(rows, ears, joined(), invite, left, start=3)) == 0
    assert told(arrive(rows, ears, joined(), invite)) == 0, "they came before"
    assert len(ears.heard) == 2


def test_of_a_batch_that_ends_in_a_refusal_the_taken_part_is_told(rows: Rows, ears: Ears) -> None:
    stranger = User("stranger", A)
    decision = arrive(rows, ears, joined(), joined(user=stranger), joined("h"))
    assert [news for _, news in ears.heard] == [GuildEntered(host=B, guild="g", name="Garden")]
    assert told(decision) == 1


def test_an_event_without_a_number_is_told_of_with_its_own_id(rows: Rows, ears: Ears) -> None:
    event = event_of(joined())
    arrived = Arrived(b"body", type_url=event.type_url, value=event.value)
    draft = PlainArrival(b"p" * 16, B, arrived)
    decision = rows.decide(HostRules(GuildPolicy(A, tell=ears)), draft, 1_000)
    assert told(decision) == 1
    assert ears.causes == [draft.id]


def test_the_application_tells_this_hosts_users_and_not_those_of_others(
    rows: Rows, ears: Ears
) -> None:
    assert told(do(rows, ears, Join(ANN, "g", "Garden"))) == 1
    assert told(do(rows, ears, Join(ANN, "g", "Garden"), 2)) == 0
    assert told(do(rows, ears, Leave(ANN, "g", "left"), 3)) == 1
    assert told(do(rows, ears, Leave(ANN, "g", "left"), 4)) == 0
    assert told(do(rows, ears, Join(BOB, "g", "Garden"), 5)) == 0
    assert told(do(rows, ears, Ask("i", ANN, BOB, "c", "Ann"), 6)) == 0
    assert ears.heard == [
        ("ann", GuildEntered(host=A, guild="g", name="Garden")),
        ("ann", GuildExited(host=A, guild="g", reason="left")),
    ]


def test_an_invite_between_two_users_of_this_host_is_told_and_so_is_its_answer(
    rows: Rows, ears: Ears
) -> None:
    do(rows, ears, Ask("i", ANN, ZOE, "c", "Ann"))
    do(rows, ears, Ask("i", ANN, ZOE, "c", "Ann"), 2)
    do(rows, ears, Reply(ZOE, A, "i", Answer.DECLINED), 3)
    do(rows, ears, Reply(ZOE, A, "i", Answer.DECLINED), 4)
    received = InviteReceived(host=A, invite="i", inviter=str(ANN), conversation="c", name="Ann")
    assert ears.heard == [("zoe", received), ("zoe", InviteDecided(host=A, invite="i"))]


def test_an_answer_by_the_application_is_told_and_posted_at_once(rows: Rows, ears: Ears) -> None:
    made = Invite(Direction.IN, B, "i", str(BOB), str(ANN), "c", "Bob", Answer.NONE, 1)
    rows.rows[INVITE.name, ("in", B, "i")] = row_of(made)
    decision = do(rows, ears, Reply(ANN, B, "i", Answer.ACCEPTED))
    assert ears.heard == [("ann", InviteDecided(host=B, invite="i", accepted=True))]
    assert {entry.lane for entry in decision.entries} == {Lane.HOSTS, Lane.CLIENTS}


def test_an_inviter_is_told_nothing_by_the_answer(rows: Rows, ears: Ears) -> None:
    do(rows, ears, Ask("i", ANN, BOB, "c", "Ann"))
    arrive(rows, ears, InviteAnswered(invite="i", accepted=True))
    assert ears.heard == []
