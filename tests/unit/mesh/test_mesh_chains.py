"""Which checkpoints about a node count, and how they follow each other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from postbox.mesh.checkpoints.chains import Chain, Link, chain_from
from postbox.mesh.checkpoints.consensus import VOTERS
from postbox.mesh.reading import Checkpoint


def link(name: str, as_of_s: int, votes: int = VOTERS, previous: str = "") -> Link:
    said = Checkpoint(subject="bob", as_of_time=as_of_s, previous_checkpoint_id=previous)
    return Link(name, said, votes)


def names(chain: Chain) -> list[str]:
    return [one.id for one in chain.links]


@pytest.mark.parametrize(
    ("votes", "counted"),
    [
        ([], []),
        ([2], [0]),
        ([1, 0], []),
        ([2, 4, 0, 3], [0, 1, 3]),
        ([5], [0]),
        ([5, 2], [0]),
        ([2, 5, 4, 9, 0], [1, 3]),
    ],
)
def test_those_of_five_known_voters_count_and_of_two_only_where_there_are_none(
    votes: Sequence[int], counted: Sequence[int]
) -> None:
    chain = chain_from(link(f"{nth}", 100 + nth, count) for nth, count in enumerate(votes))
    assert names(chain) == [f"{nth}" for nth in counted]


def test_two_who_lie_later_do_not_go_before_five() -> None:
    chain = chain_from([link("of five", 100), link("of two", 200, votes=2)])
    assert chain.reference == "of five"


def test_they_are_in_order_of_their_time_and_of_one_time_by_id() -> None:
    chain = chain_from([link("b", 7), link("c", 3), link("a", 7), link("d", 9)])
    assert names(chain) == ["c", "a", "b", "d"]


def test_what_goes_on_from_another_than_the_one_before_is_a_break() -> None:
    links = [link("a", 1, previous="lost"), link("b", 2, previous="a"), link("c", 3, previous="a")]
    assert chain_from(links).breaks == 1
    assert chain_from(links[:2]).breaks == 0


def test_of_one_second_anothers_reference_is_as_good() -> None:
    chain = chain_from([link("old", 1), link("a", 7), link("b", 7)])
    assert chain.reference == "b"
    assert chain.reference_beside("a") == "a"
    assert chain.reference_beside("b") == "b"
    assert [chain.reference_beside(one) for one in ("old", "unknown", "")] == ["b"] * 3
    assert Chain().reference_beside("a") == ""
