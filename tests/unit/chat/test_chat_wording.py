"""What is said of conversations, people, the connection and the queue."""

from __future__ import annotations

import pytest

from postbox.chat import listing, wording
from postbox.chat.desk import Waiting
from postbox.chat.lines import text_of
from postbox.client import Guild, Invite, Standing, State, Status, Waits, Why
from postbox.client.facts import UNREAD_AT_MOST
from support.chat_facts import ANN, BOB, CARL, conversation, member, queued


@pytest.mark.parametrize(
    ("status", "waiting", "refused", "said"),
    [
        (Status("live"), 0, 0, "live"),
        (Status("live"), 3, 1, "live · 3 waiting · 1 failed"),
        (Status("catching up"), 0, 0, "catching up…"),
        (Status("connecting"), 0, 0, "connecting…"),
        (
            Status("offline", "UNREACHABLE", "refused", 105.2),
            2,
            0,
            "connecting in 5 s · no answer from the host · 2 waiting",
        ),
        (Status("connecting", "UNREACHABLE", "", 99.0), 0, 0, "connecting… · no answer from the"),
        (Status("offline", "STORE"), 0, 0, "offline · this device cannot write"),
        (Status("offline", "NEVER\x1bHEARD"), 0, 0, "offline · NEVER␛HEARD"),
        (Status("needs sign-in", "TOKEN_EXPIRED"), 4, 0, "needs sign-in: F5 · 4 waiting"),
        (Status("displaced", "DISPLACED"), 0, 0, "live elsewhere; F5 takes it back"),
        (Status("stopped"), 0, 0, "offline"),
    ],
)
def test_the_first_line_says_how_it_stands(
    status: Status, waiting: int, refused: int, said: str
) -> None:
    counts = wording.Counts(waiting, refused)
    assert text_of(wording.connection(status, counts, now_s=100.0)).startswith(said)


@pytest.mark.parametrize(("invites", "said"), [(1, "live · 1 invite"), (2, "live · 2 invites")])
def test_invites_are_told_in_the_first_line(invites: int, said: str) -> None:
    counts = wording.Counts(invites=invites)
    assert text_of(wording.connection(Status("live"), counts, now_s=0.0)) == said


def test_an_invite_says_by_both_names_who_invites_and_what_was_answered() -> None:
    made = listing.invites(
        [
            Invite("b.example", "1", "bob@b.example", "talk", "Bob"),
            Invite("b.example", "2", "carl@b.example", "", "", answer=False),
        ],
        60,
    )
    assert [[text_of(line) for line in block.lines] for block in made] == [
        ["Bob (bob@b.example) invites you to talk"],
        ["carl@b.example invites you to (no name)", "  declined · sending"],
    ]
    guilds = listing.guilds(
        [Guild("b.example", "g", "Gar\x1bden"), Guild("a.example", "h", "")], 40
    )
    assert [" ".join(text_of(block.lines[0]).split()) for block in guilds] == [
        "(no name) guild at a.example",
        "Gar␛den guild at b.example",
    ]


def test_who_types_is_told_by_name() -> None:
    assert wording.typing([]) == ""
    assert wording.typing(["Bob"]) == "Bob is typing…"
    assert wording.typing(["Bob", "Ann"]) == "Bob and Ann are typing…"
    assert wording.typing(["Bob", "Ann", ""]) == "Bob and 2 others are typing…"


def test_a_conversation_without_a_name_is_called_by_who_is_in_it() -> None:
    assert wording.title(conversation(name="Lunch\n!"), ["Bob"]) == "Lunch !"
    assert wording.title(conversation(name=""), ["Bob", ""]) == "Bob, (no name)"
    assert wording.title(conversation(name=" \u200b"), []) == "(only you)"


def test_conversations_are_listed_with_what_is_unread() -> None:
    rooms = [
        conversation("a", unread=2),
        conversation("b"),
        conversation("c", state=State.SENDING),
        conversation("d", state=State.FAILED),
        conversation("e", unread=UNREAD_AT_MOST),
    ]
    titles = {each.key: f"Room {each.key} with a long name" for each in rooms}
    made = listing.conversations(rooms, titles, "b", 22)
    assert [text_of(block.lines[0]) for block in made] == [
        " Room a with a lon… 2 ",
        "▸Room b with a long n…",
        " Room c with… sending ",
        " Room d with … failed ",
        " Room e with … 1,000+ ",
    ]


def test_people_are_told_with_both_names_who_is_here_and_what_they_read() -> None:
    members = [
        member(ANN, is_owner=True),
        member(BOB, read_seq=9, display="Ann"),
        member(CARL, is_pending=True, display=""),
    ]
    made = listing.people(members, listing.People(ANN, {BOB}, {ANN}, 9), 34)
    assert [" ".join(text_of(block.lines[0]).split()) for block in made] == [
        "● Ann (ann) owner, picture",
        "● Ann (bob) has read all",
        "○ carl sending",
    ]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (Why(queued(), Waits.ITS_TURN, 3), "waits behind 3 more"),
        (Why(queued(), Waits.THE_HOST, 0), "waits for the host"),
        (
            Why(queued(tries=2, last_error="UNREACHABLE: refused"), Waits.THE_HOST, 0),
            "waits for the host · tried 2 times: no answer from the host, refused",
        ),
        (
            Why(queued(Standing.SENT), Waits.THE_STREAM, 0),
            "the host has it; it comes down in a moment",
        ),
        (
            Why(queued(Standing.REFUSED, code="QUOTA"), Waits.THE_APP, 0),
            "refused: that would be one more than there may be",
        ),
        (Why(queued(Standing.KEPT), Waits.NOTHING, 0), "done"),
    ],
)
def test_the_queue_explains_itself(why: Why, said: str) -> None:
    assert wording.why(why).text == said


def test_what_waits_is_told_with_what_it_is_about() -> None:
    why = Why(queued(), Waits.THE_HOST, 0)
    made = listing.queue([Waiting(why, "Lunch", "Noodles?")], 60)
    assert text_of(made[0].lines[0])[5:] == " message in Lunch: Noodles?"
    assert made[0].key == "local-1"
