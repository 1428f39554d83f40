"""What another host may do to this node's users: events against rows, and nothing else."""

from __future__ import annotations

import pytest
from protobuf import Message

from postbox.hosts.applications.events import event_of
from postbox.hosts.guilds.policy import (
    CHANGE_MS,
    CHANGES_AT_ONCE,
    INVITE_MS,
    INVITES_AT_ONCE,
    MAX_GUILDS,
    STRANGERS_AT_ONCE,
    GuildPolicy,
)
from postbox.hosts.guilds.tables import (
    GUILD,
    INVITE,
    QUOTA,
    Answer,
    Direction,
    Invite,
    Quota,
    guild_of,
    invite_of,
    quota_of,
    row_of,
)
from postbox.hosts.links.policy import Content, Judged
from postbox.hosts.tables import CONSENT
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered
from postbox.rules import RowKey, Unread
from postbox.store.contract import Key, Row, Table

A, B, C = "a.example:2289", "b.example:2289", "c.example:2289"
ANN, BOB, BOB_HERE = f"ann@{A}", f"bob@{B}", f"bob@{A}"
POLICY = GuildPolicy(A)
OPEN = GuildPolicy(A, "anyone")
HOUR_MS = 3_600_000


class Rows:
    """Rows that the policy sees once it has asked for them."""

    def __init__(self, *dealt: tuple[str, str]) -> None:
        self.rows: dict[tuple[str, Key], Row] = {}
        for user, host in dealt:
            self.rows[CONSENT.name, (user, host)] = (user, host, 1)
        self._asked: set[RowKey] = set()

    def __getitem__(self, key: tuple[Table, Key], /) -> Row | None:
        if RowKey(*key) not in self._asked:
            raise Unread(RowKey(*key))
        return self.rows.get((key[0].name, key[1]))

    def entry(self, lane: object, entry_id: bytes) -> None:
        raise AssertionError("a policy looks at no entries")

    def judge(
        self, host: str, *messages: Message, policy: GuildPolicy = POLICY, at_ms: int = HOUR_MS
    ) -> Judged:
        """As link rules do it: what it needs is read, its changes are kept."""
        contents = [
            Content(each.type_url, each.value, b"event %d" % at)
            for at, each in enumerate(map(event_of, messages))
        ]
        return self.judge_contents(host, contents, policy, at_ms)

    def judge_contents(
        self, host: str, contents: list[Content], policy: GuildPolicy = POLICY, at_ms: int = HOUR_MS
    ) -> Judged:
        self._asked = set(policy.needs(host, contents, self))
        judged = policy.judge(host, contents, self, at_ms)
        for table, row in judged.puts:
            self.rows[table.name, row[: table.key]] = row
        for table, key in judged.drops:
            self.rows.pop((table.name, key), None)
        return judged

    @property
    def guilds(self) -> list[tuple[str, str, str]]:
        found = [guild_of(row) for (name, _), row in self.rows.items() if name == GUILD.name]
        return [(guild.host, guild.guild, guild.name) for guild in found]

    @property
    def invites(self) -> list[Invite]:
        return [invite_of(row) for (name, _), row in self.rows.items() if name == INVITE.name]

    def counted(self, user: str, host: str) -> int:
        return quota_of(user, host, self.rows.get((QUOTA.name, (user, host)))).guilds


def joined(user: str = ANN, guild: str = "g", name: str = "Garden") -> GuildJoined:
    return GuildJoined(user=user, guild=guild, name=name)


def left(user: str = ANN, guild: str = "g", reason: str = "removed") -> GuildLeft:
    return GuildLeft(user=user, guild=guild, reason=reason)


def invite(
    number: int = 1, inviter: str = BOB, user: str = ANN, conversation: str = "c"
) -> DirectInvite:
    return DirectInvite(
        invite=f"i{number}", inviter=inviter, user=user, conversation=conversation, name="Bob"
    )


def code(judged: Judged) -> str:
    assert judged.refusal is not None
    return judged.refusal.code


def test_a_guild_that_a_user_joined_is_in_the_list_and_gone_when_the_user_left() -> None:
    rows = Rows((ANN, B))
    assert rows.judge(B, joined(), joined(guild="h", name="")).taken == 2
    assert rows.guilds == [(B, "g", "Garden"), (B, "h", "")]
    assert rows.judge(B, left()).taken == 1
    assert rows.guilds == [(B, "h", "")]


def test_a_user_is_the_same_in_every_spelling_of_the_host() -> None:
    rows = Rows((ANN, B))
    for user in ("ann@a.example", "ann@A.EXAMPLE.", "ann@a.example:02289"):
        assert rows.judge(B, joined(user)).refusal is None
    assert len(rows.guilds) == 1


def test_what_comes_again_changes_nothing() -> None:
    rows = Rows((ANN, B))
    for _ in range(3):
        rows.judge(B, joined(), joined())
    assert (rows.guilds, rows.counted(ANN, B)) == ([(B, "g", "Garden")], 1)
    for _ in range(3):
        rows.judge(B, left(), left())
    assert (rows.guilds, rows.counted(ANN, B)) == ([], 0)


def test_joining_again_under_another_name_renames() -> None:
    rows = Rows((ANN, B))
    rows.judge(B, joined(), joined(name="Forest"))
    assert (rows.guilds, rows.counted(ANN, B)) == ([(B, "g", "Forest")], 1)


def test_one_batch_sees_what_it_did_itself() -> None:
    rows = Rows((ANN, B))
    rows.judge(B, joined(), left(), joined(name="Again"))
    assert (rows.guilds, rows.counted(ANN, B)) == ([(B, "g", "Again")], 1)
    rows.judge(B, left(), joined(guild="h"), left(guild="h"))
    assert (rows.guilds, rows.counted(ANN, B)) == ([], 0)


def test_a_host_changes_only_its_own_guilds_whatever_it_calls_them() -> None:
    rows = Rows((ANN, B), (ANN, C))
    rows.judge(B, joined())
    rows.judge(C, left(), joined(name="Not the garden"))
    assert rows.guilds == [(B, "g", "Garden"), (C, "g", "Not the garden")]
    rows.judge(C, left())
    assert rows.guilds == [(B, "g", "Garden")]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (joined(), "no_consent"),
        (left(), "no_consent"),
        (invite(), "no_consent"),
        (joined(f"bob@{B}"), "not_here"),
        (joined(f"bob@{C}"), "not_here"),
        (invite(user=BOB), "not_here"),
        (invite(inviter=f"carl@{C}"), "not_yours"),
        (invite(inviter=ANN), "not_yours"),
        (InviteAnswered(invite="i1", accepted=True), "no_such_invite"),
        (joined("ann"), "bad_event"),
        (joined("@a.example"), "bad_event"),
        (joined("ann@"), "bad_event"),
        (joined("ann@127.0.0.1:80"), "bad_event"),
        (joined("a nn@a.example"), "bad_event"),
        (joined("ann@bob@a.example"), "bad_event"),
        (joined("ann@a.example/x"), "bad_event"),
        (joined("x" * 100_000 + "@a.example"), "bad_event"),
        (joined(guild=""), "bad_event"),
        (joined(guild="g" * 257), "bad_event"),
        (joined(guild="g\0"), "bad_event"),
        (joined(name="n" * 257), "bad_event"),
        (joined(name="a\0b"), "bad_event"),
        (left(reason="bored"), "bad_event"),
        (left(reason=""), "bad_event"),
        (invite(conversation="c\n"), "bad_event"),
        (InviteAnswered(invite="", accepted=True), "bad_event"),
    ],
)
def test_what_is_not_the_senders_to_say_is_refused_with_a_code_and_changes_nothing(
    message: Message, expected: str
) -> None:
    rows = Rows((ANN, C), (f"other@{A}", B), (BOB, B))
    before = dict(rows.rows)
    judged = rows.judge(B, message)
    assert (code(judged), judged.taken, rows.rows) == (expected, 0, before)
    assert len(judged.refusal.text if judged.refusal else "") <= 256


@pytest.mark.parametrize(
    "value", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x01\xff", b"\x0b" * 9]
)
@pytest.mark.parametrize("prefix", ["type.googleapis.com/", "", "evil.example/x/"])
def test_bytes_that_are_not_of_their_type_are_refused_however_the_type_is_spelt(
    value: bytes, prefix: str
) -> None:
    rows = Rows((ANN, B))
    content = Content(f"{prefix}postbox.v1.GuildJoined", value, b"event")
    assert code(rows.judge_contents(B, [content])) == "bad_event"


def test_an_unknown_type_is_taken_without_a_look_at_its_bytes() -> None:
    rows = Rows()
    contents = [Content(kind, b"\xff", b"event") for kind in ("type.googleapis.com/x.Y", "", "/")]
    assert rows.judge_contents(B, contents) == Judged(3)


def test_what_stands_before_a_refused_event_is_taken_and_what_stands_behind_it_is_not() -> None:
    rows = Rows((ANN, B))
    judged = rows.judge(B, joined(), joined("eve@elsewhere.example"), joined(guild="h"))
    assert (judged.taken, code(judged), rows.guilds) == (1, "not_here", [(B, "g", "Garden")])


def test_the_end_of_a_guild_reaches_a_user_who_has_withdrawn_consent() -> None:
    rows = Rows((ANN, B))
    rows.judge(B, joined())
    del rows.rows[CONSENT.name, (ANN, B)]
    assert code(rows.judge(B, joined(guild="h"))) == "no_consent"
    assert rows.judge(B, left()).refusal is None
    assert rows.guilds == []


def test_a_host_cannot_fill_a_users_list_without_end() -> None:
    rows = Rows((ANN, B))
    rows.rows[QUOTA.name, (ANN, B)] = row_of(Quota(ANN, B, guilds=MAX_GUILDS - 1))
    judged = rows.judge(B, joined(), joined(guild="h"))
    assert (judged.taken, code(judged)) == (1, "too_many_guilds")
    assert rows.judge(B, joined(name="New")).refusal is None, "what is in the list may be renamed"
    assert rows.judge(B, left(), joined(guild="h")).refusal is None


def test_a_host_does_not_let_a_user_in_and_out_of_a_guild_without_end() -> None:
    """Each is an entry for the user's devices."""
    rows = Rows((ANN, B), (BOB_HERE, B))
    in_and_out: list[Message] = [joined(), left()] * CHANGES_AT_ONCE
    assert rows.judge(B, *in_and_out).refusal is None
    assert rows.judge(B, left()).refusal is None, "changes nothing"
    judged = rows.judge(B, joined(user=BOB_HERE), joined())
    assert (judged.taken, code(judged)) == (1, "too_many_changes")
    later_ms = HOUR_MS + 2 * CHANGE_MS
    judged = rows.judge(B, joined(), joined(), joined(name="New"), at_ms=later_ms)
    assert judged.refusal is None
    judged = rows.judge(B, joined(name="Newer"), at_ms=later_ms)
    assert code(judged) == "too_many_changes"
    assert rows.judge(B, left(), at_ms=later_ms).refusal is None
    assert rows.guilds == [(B, "g", "Garden")], "of the other user"


def test_an_invite_waits_for_an_answer_and_coming_again_it_stays_as_it_is() -> None:
    rows = Rows((ANN, B))
    rows.judge(B, invite())
    [made] = rows.invites
    assert made == Invite(Direction.IN, B, "i1", BOB, ANN, "c", "Bob", Answer.NONE, HOUR_MS)
    answered = row_of(Invite(Direction.IN, B, "i1", BOB, ANN, "c", "Bob", Answer.DECLINED, HOUR_MS))
    rows.rows[INVITE.name, ("in", B, "i1")] = answered
    assert rows.judge(B, invite()).refusal is None
    assert rows.invites[0].answer is Answer.DECLINED
    assert code(rows.judge(B, invite(inviter=f"eve@{B}"))) == "invite_known"


def test_anyone_may_invite_where_the_operator_says_so_but_not_more() -> None:
    rows = Rows()
    assert rows.judge(B, invite(), policy=OPEN).refusal is None
    assert code(rows.judge(B, joined(), policy=OPEN)) == "no_consent"
    assert code(rows.judge(B, invite(2, inviter=f"x@{C}"), policy=OPEN)) == "not_yours"


@pytest.mark.parametrize("policy", [POLICY, OPEN])
def test_one_user_is_not_invited_by_one_host_without_end(policy: GuildPolicy) -> None:
    rows = Rows((ANN, B), (ANN, C))
    many = [invite(number) for number in range(INVITES_AT_ONCE + 1)]
    judged = rows.judge(B, *many, policy=policy)
    assert (judged.taken, code(judged)) == (INVITES_AT_ONCE, "too_many_invites")
    assert rows.judge(C, invite(inviter=f"x@{C}"), policy=policy).refusal is None, "another host"
    later = HOUR_MS + INVITE_MS
    assert rows.judge(B, invite(98), policy=policy, at_ms=later).refusal is None
    assert code(rows.judge(B, invite(99), policy=policy, at_ms=later)) == "too_many_invites"


def test_a_host_cannot_invite_made_up_users_without_end() -> None:
    rows = Rows()
    many = [invite(each, user=f"u{each}@{A}") for each in range(STRANGERS_AT_ONCE + 1)]
    judged = rows.judge(B, *many, policy=OPEN)
    assert (judged.taken, code(judged)) == (STRANGERS_AT_ONCE, "too_many_invites")


def test_an_answer_is_taken_once_and_from_the_invited_users_host_only() -> None:
    rows = Rows()
    made = Invite(Direction.OUT, B, "i1", ANN, BOB, "c", "", Answer.NONE, 1)
    rows.rows[INVITE.name, ("out", B, "i1")] = row_of(made)
    yes = InviteAnswered(invite="i1", accepted=True)
    assert code(rows.judge(C, yes)) == "no_such_invite"
    assert rows.judge(B, yes, yes).taken == 2
    assert rows.invites[0].answer is Answer.ACCEPTED
    no = InviteAnswered(invite="i1", accepted=False)
    assert code(rows.judge(B, no)) == "answered_before"
