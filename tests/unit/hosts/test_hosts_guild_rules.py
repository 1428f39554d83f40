"""What this node's application does with guilds and invites: rows and postings in one decision."""

from __future__ import annotations

import pytest

from postbox.hosts.applications.events import unpacked
from postbox.hosts.guilds.rules import Act, Ask, GuildDraft, GuildRules, Join, Leave, Reply
from postbox.hosts.guilds.tables import GUILD, INVITE, Answer, Direction, Invite, invite_of, row_of
from postbox.hosts.guilds.users import User
from postbox.hosts.tables import CONSENT, out_stream
from postbox.rpc.postbox.v1.hosts_pb import (
    DirectInvite,
    GuildJoined,
    GuildLeft,
    InviteAnswered,
    PostboxEvent,
)
from postbox.rules import Decision
from postbox.store.contract import IDENTITY
from support.rows import Rows

A, B = "a.example:2289", "b.example:2289"
ANN, BOB, ZOE = User("ann", A), User("bob", B), User("zoe", A)
RULES = GuildRules(A)


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    rows.rows[IDENTITY.name, ("epoch",)] = ("epoch", b"e" * 16)
    return rows


def do(rows: Rows, act: Act, number: int = 1) -> Decision:
    return rows.decide(RULES, GuildDraft(number.to_bytes(16, "big"), act), at_ms=1_000)


def posted(decision: Decision) -> object:
    """The message that goes out, which is to bob's host."""
    [entry] = [each for each in decision.entries if each.stream == out_stream(B)]
    event = PostboxEvent.from_binary(entry.body).event
    assert event is not None
    return unpacked(event.type_url, event.value)


def invites(rows: Rows) -> list[Invite]:
    return [invite_of(row) for (table, _), row in rows.rows.items() if table == INVITE.name]


def received(rows: Rows, answer: Answer = Answer.NONE) -> None:
    made = Invite(Direction.IN, B, "i", str(BOB), str(ANN), "c", "Bob", answer, 1)
    rows.rows[INVITE.name, ("in", B, "i")] = row_of(made)


def test_a_member_of_another_host_is_told_to_that_host_and_kept_there(rows: Rows) -> None:
    decision = do(rows, Join(BOB, "g", "Garden"))
    assert posted(decision) == GuildJoined(user=str(BOB), guild="g", name="Garden")
    decision = do(rows, Leave(BOB, "g", "banned"), 2)
    assert posted(decision) == GuildLeft(user=str(BOB), guild="g", reason="banned")
    assert not [key for key in rows.rows if key[0] == GUILD.name]


def test_a_member_of_this_host_needs_no_event(rows: Rows) -> None:
    assert do(rows, Join(ANN, "g", "Garden")).entries == ()
    assert rows.rows[GUILD.name, (str(ANN), A, "g")][:4] == (str(ANN), A, "g", "Garden")
    assert do(rows, Leave(ANN, "g", "left"), 2).entries == ()
    assert not [key for key in rows.rows if key[0] == GUILD.name]


def test_an_invite_is_kept_here_sent_there_and_is_a_dealing_with_that_host(rows: Rows) -> None:
    decision = do(rows, Ask("i", ANN, BOB, "c", "Ann"))
    assert posted(decision) == DirectInvite(
        invite="i", inviter=str(ANN), user=str(BOB), conversation="c", name="Ann"
    )
    [made] = invites(rows)
    assert (made.direction, made.host, made.answer) == (Direction.OUT, B, Answer.NONE)
    assert (CONSENT.name, (str(ANN), B)) in rows.rows


def test_the_same_invite_again_is_not_sent_again_and_another_by_its_name_is_refused(
    rows: Rows,
) -> None:
    do(rows, Ask("i", ANN, BOB, "c", "Ann"))
    assert do(rows, Ask("i", ANN, BOB, "c", "Ann"), 2) == Decision()
    refused = do(rows, Ask("i", ZOE, BOB, "c", "Zoe"), 3).refuse
    assert refused is not None
    assert refused.code == "invite_known"


def test_an_answer_is_kept_and_sent_once(rows: Rows) -> None:
    received(rows)
    decision = do(rows, Reply(ANN, B, "i", Answer.ACCEPTED))
    assert posted(decision) == InviteAnswered(invite="i", accepted=True)
    assert invites(rows)[0].answer is Answer.ACCEPTED
    assert (CONSENT.name, (str(ANN), B)) in rows.rows, "who accepts deals with that host"
    assert do(rows, Reply(ANN, B, "i", Answer.ACCEPTED), 2) == Decision()
    refused = do(rows, Reply(ANN, B, "i", Answer.DECLINED), 3).refuse
    assert refused is not None
    assert refused.code == "answered_before"


def test_who_declines_has_not_dealt_with_that_host(rows: Rows) -> None:
    received(rows)
    assert posted(do(rows, Reply(ANN, B, "i", Answer.DECLINED))) == InviteAnswered(invite="i")
    assert not [key for key in rows.rows if key[0] == CONSENT.name]


def test_nobody_answers_an_invite_that_is_another_users_or_does_not_exist(rows: Rows) -> None:
    received(rows)
    for reply in (Reply(ZOE, B, "i", Answer.ACCEPTED), Reply(ANN, B, "j", Answer.ACCEPTED)):
        refused = do(rows, reply).refuse
        assert refused is not None
        assert refused.code == "no_such_invite"


def test_an_invite_between_two_users_of_this_host_needs_no_event(rows: Rows) -> None:
    assert do(rows, Ask("i", ANN, ZOE, "c", "Ann")).entries == ()
    assert {each.direction for each in invites(rows)} == {Direction.IN, Direction.OUT}
    assert do(rows, Reply(ZOE, A, "i", Answer.ACCEPTED), 2).entries == ()
    assert [each.answer for each in invites(rows)] == [Answer.ACCEPTED] * 2
