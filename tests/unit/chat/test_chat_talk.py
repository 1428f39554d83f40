"""A conversation, as it stands on the screen."""

from __future__ import annotations

from datetime import UTC

import pytest

from postbox.chat.lines import Look, text_of, width_of
from postbox.chat.talk import MOST_LINES, Talk, blocks
from postbox.client import Message, Reaction, State
from support.chat_facts import ANN, BOB, CARL, NAMES, message, own
from support.hostile_texts import TEXTS

DAY_MS = 86_400_000


def shown(*messages: Message, width: int = 50, **more: object) -> list[str]:
    talk = Talk(messages, ANN, NAMES, zone=UTC, **more)  # type: ignore[arg-type]
    return [text_of(line).rstrip() for block in blocks(talk, width) for line in block.lines]


def body(*messages: Message, width: int = 50, **more: object) -> list[str]:
    """Without what stands above the first author."""
    return shown(*messages, width=width, **more)[2:]


def test_messages_stand_below_their_author_with_their_times() -> None:
    assert body(message(3, "Noodles?"), message(4, "Or soup?"), own(5, "Soup", State.READ)) == [
        "Bob",
        "  12:03 Noodles?",
        "  12:04 Or soup?",
        "you",
        "  12:05 Soup · read",
    ]


def test_above_them_stand_the_day_and_whether_there_is_more() -> None:
    first = shown(message(1, "x"))
    assert [line.strip() for line in first[:2]] == ["── the beginning ──", "── Sat 21 Nov 2026 ──"]
    assert "older messages" in shown(message(1, "x"), has_older=True)[0]


def test_a_new_day_is_told_and_the_author_again() -> None:
    later = message(2, "next", at_ms=message(2, "").at_ms + DAY_MS)
    assert [line.strip() for line in body(message(1, "x"), later)][2:] == [
        "── Sun 22 Nov 2026 ──",
        "Bob",
        "12:02 next",
    ]


@pytest.mark.parametrize(
    ("state", "more", "said"),
    [
        (State.SENDING, {}, "sending"),
        (State.SENT, {}, "sent"),
        (State.SENT, {"delivered_to": 1}, "delivered to 1 of 2"),
        (State.DELIVERED, {}, "delivered"),
        (State.DELIVERED, {"read_by": 1}, "read by 1 of 2"),
        (State.READ, {}, "read"),
        (State.FAILED, {"code": "NOT_A_MEMBER"}, "failed: you are not in this conversation"),
        (State.FAILED, {"code": "NEW_CODE", "detail": "why\x1b"}, "failed: NEW_CODE: why␛"),
    ],
)
def test_how_far_an_own_message_has_come_is_said(
    state: State, more: dict[str, object], said: str
) -> None:
    assert body(own(1, "Hi", state, **more), width=70) == ["you", f"  12:01 Hi · {said}"]


def test_a_state_is_said_once_and_what_is_not_sent_each_time() -> None:
    states = [State.READ, State.READ, State.SENT, State.SENT, State.SENDING, State.SENDING]
    lines = body(*(own(at, "x", state) for at, state in enumerate(states)))
    said = [line[9:] for line in lines[1:]]
    assert said == ["", " · read", "", " · sent", " · sending", " · sending"]


def test_a_note_that_has_no_place_behind_the_text_stands_below_it() -> None:
    assert body(own(1, "four words of text", State.SENDING), width=28)[1:] == [
        "  12:01 four words of text",
        "        sending",
    ]


def test_edits_replies_and_reactions_are_seen() -> None:
    first = message(1, "Where?")
    second = own(
        2,
        "Here",
        State.SENT,
        reply_to="message-1",
        is_edited=True,
        reactions=[Reaction("👍", (BOB,)), Reaction("🎉", (ANN, BOB, CARL))],
    )
    assert body(first, second)[2:] == [
        "you",
        "  12:02 ┌ Bob: Where?",
        "        Here · edited · sent",
        "        👍 Bob  🎉 3",
    ]


def test_a_reply_to_what_is_not_here_says_so() -> None:
    assert body(message(2, "Here", reply_to="message-1"))[1] == "  12:02 ┌ an older message"


def test_a_change_on_its_way_is_seen() -> None:
    assert body(message(1, "x", is_pending=True))[1] == "  12:01 x · sending a change"


def test_what_is_new_is_marked_once_before_the_first_of_others() -> None:
    said = [message(1, "old"), own(2, "mine", State.READ), message(3, "a"), message(4, "b")]
    lines = [line.strip() for line in body(*said, new_after=1)]
    assert lines[4:] == ["── new ──", "Bob", "12:03 a", "12:04 b"]


def test_a_long_message_is_cut_and_says_how_to_read_it_whole() -> None:
    lines = body(message(1, "\n".join(map(str, range(1_000)))))
    assert len(lines) == MOST_LINES + 2
    assert "Enter" in lines[-1]


@pytest.mark.parametrize("width", [16, 24, 55])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_breaks_the_lines(text: str, width: int) -> None:
    """Wherever a stranger may put it: message, name, reaction, and what is answered."""
    answer = message(
        2,
        "x",
        reply_to="message-1",
        author_name=text,
        reactions=[Reaction(text, (BOB, CARL))],
    )
    talk = Talk(
        [message(1, text, author_name=text), answer], ANN, {BOB: text, CARL: text}, zone=UTC
    )
    for block in blocks(talk, width):
        for line in block.lines:
            assert width_of(line) <= width
            assert "\n" not in text_of(line)
            assert "\x1b" not in text_of(line)


def test_looks_are_of_the_chat_alone() -> None:
    marked = [
        span
        for block in blocks(Talk([message(1, "[bold]x[/bold]")], ANN, NAMES, zone=UTC), 40)
        if block.key
        for line in block.lines
        for span in line
    ]
    assert [span.look for span in marked] == [Look.DIM, Look.PLAIN]
    assert marked[1].text == "[bold]x[/bold]"
