"""Which lines are seen, and which block is chosen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postbox.chat.lines import Block, Span
from postbox.chat.view import View


def block(key: str, lines: int = 1) -> Block:
    return Block(key, tuple((Span(f"{key}{at}"),) for at in range(lines)))


def seen(view: View) -> list[str]:
    return ["".join(span.text for span in row.line) for row in view.rows()]


def talk(keys: str, height: int = 3) -> View:
    view = View(has_end=True)
    view.resize(height)
    view.show([block(key) for key in keys])
    return view


def test_a_conversation_begins_at_its_end_and_stays_there() -> None:
    view = talk("abcde")
    assert seen(view) == ["c0", "d0", "e0"]
    view.show([block(key) for key in "abcdef"])
    assert seen(view) == ["d0", "e0", "f0"]


def test_a_list_begins_at_its_start() -> None:
    view = View()
    view.resize(2)
    view.show([block(key) for key in "abc"])
    assert seen(view) == ["a0", "b0"]


def test_who_reads_further_up_is_not_moved_by_what_comes() -> None:
    view = talk("defgh")
    view.scroll(-1)
    assert seen(view) == ["e0", "f0", "g0"]
    view.show([block(key) for key in "abcdefghij"])
    assert seen(view) == ["e0", "f0", "g0"]


def test_what_stays_of_what_is_seen_stays_where_it_is() -> None:
    view = talk("abcdefg")
    view.scroll(-3)
    assert seen(view) == ["b0", "c0", "d0"]
    view.show([block("a", 4), *(block(key) for key in "cdefg")])
    assert seen(view)[1:] == ["c0", "d0"]


def test_the_size_changes_and_nothing_is_lost() -> None:
    view = talk("abcdef")
    for height in (1, 6, 2, 100, 3):
        view.resize(height)
        assert seen(view)[-1] == "f0"
    assert seen(view) == ["d0", "e0", "f0"]


def test_what_is_chosen_is_seen() -> None:
    view = talk("abcdef")
    view.choose_last()
    for _ in range(4):
        assert view.move(-1)
    assert view.chosen == "b"
    assert "b0" in seen(view)
    view.resize(1)
    assert seen(view) == ["b0"]


def test_a_block_larger_than_the_screen_is_scrolled_through() -> None:
    view = View(has_end=True)
    view.resize(3)
    view.show([block("a"), block("b", 7), block("c")])
    view.choose("a")
    lines = []
    while view.move(1):
        lines += seen(view)
    assert set(lines) >= {f"b{at}" for at in range(7)}
    assert view.chosen == "c"
    while view.move(-1):
        lines += seen(view)
    assert view.chosen == "a"


def test_in_place_of_what_is_gone_the_one_there_is_chosen() -> None:
    view = talk("abc")
    view.choose("b")
    view.show([block("a"), block("c")])
    assert view.chosen == "c"
    view.show([block("a")])
    assert view.chosen == "a"
    view.show([])
    assert view.chosen == ""
    assert seen(view) == []


def test_a_text_to_read_is_scrolled_line_by_line() -> None:
    view = View()
    view.resize(2)
    view.show([block("", 4)])
    assert view.move(1)
    assert seen(view) == ["1", "2"]
    assert not view.move(1)
    assert seen(view) == ["2", "3"]


def test_at_the_ends_there_is_no_further() -> None:
    view = talk("abcdef")
    view.choose_last()
    assert not view.move(1)
    view.to_start()
    assert (view.chosen, view.is_at_start) == ("a", True)
    assert not view.move(-1)
    view.to_end()
    assert (view.chosen, view.is_at_end) == ("f", True)


MOVES = st.sampled_from(
    ["move -1", "move 1", "page -1", "page 1", "scroll -3", "scroll 3", "to_start", "to_end"]
)
CHANGES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 5)), max_size=8)


@given(st.lists(MOVES | st.integers(1, 9) | CHANGES, max_size=30))
def test_whatever_is_done_the_view_is_full_and_what_is_chosen_is_there(
    steps: list[str | int | list[tuple[str, int]]],
) -> None:
    view, height, length = View(has_end=True), 1, 0
    keys: set[str] = set()
    for step in steps:
        if isinstance(step, int):
            height = step
            view.resize(height)
        elif isinstance(step, list):
            blocks = {key: block(key, lines) for key, lines in step}
            keys, length = set(blocks), sum(len(each.lines) for each in blocks.values())
            view.show(list(blocks.values()))
        else:
            name, *numbers = step.split()
            getattr(view, name)(*map(int, numbers))
        assert len(view.rows()) == min(height, length)
        assert view.chosen in keys | {""}
