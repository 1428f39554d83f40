"""How often a node gossips, and with how many."""

from __future__ import annotations

import pytest

from postbox.mesh.gossip.rhythm_rules import LONGEST_S, pause_s, peers_of_a_round
from postbox.mesh.gossip.zine import LATELY_NS

EVEN = 0.5


@pytest.mark.parametrize(("chattiness", "expected_s"), [(100, 30), (50, 165), (10, 273), (0, 300)])
def test_the_pause_is_naras(chattiness: int, expected_s: float) -> None:
    assert pause_s(chattiness, EVEN) == expected_s


@pytest.mark.parametrize("chattiness", [0, 50, 100])
def test_a_pause_differs_by_a_tenth_at_most_and_is_within_what_a_zine_tells(
    chattiness: int,
) -> None:
    pauses = [pause_s(chattiness, drawn / 100) for drawn in range(101)]
    assert min(pauses) >= 0.9 * pause_s(chattiness, EVEN)
    assert max(pauses) <= min(LONGEST_S, 1.1 * pause_s(chattiness, EVEN))
    assert max(pauses) <= LATELY_NS / 1e9, "else events would be in no zine"
    assert len(set(pauses)) > 50


@pytest.mark.parametrize(("is_short", "expected"), [(False, {3, 4, 5}), (True, {1, 2})])
def test_a_round_is_with_a_few(is_short: bool, expected: set[int]) -> None:
    counts = [peers_of_a_round(is_short=is_short, drawn=drawn / 1000) for drawn in range(1000)]
    assert set(counts) == expected
    assert min(counts.count(one) for one in expected) > 300
    assert peers_of_a_round(is_short=is_short, drawn=1.0) == max(expected)
