"""nara's trimmed mean, as its table has it."""

from __future__ import annotations

import pytest

from postbox.mesh.projections.statistics import trimmed_mean


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([], 0),
        ([7], 7),
        ([1, 2, 3], 2),
        ([1, 2], 1),  # 1.5, towards zero
        ([10, 11, 12, 1_000], 11),  # 1,000 is more than five times the median
        ([1, 100, 110, 120], 110),  # 1 is less than a fifth of it
        ([22, 110, 550], 227),  # at the bounds, both in
        ([21, 110, 551], 110),  # just outside, both out
        ([0, 0, 5, 10, 11], 8),  # median 5: from 1 to 25
        ([0, 0, 0, 10, 11], 2),  # median 0: from -10 to 10
        ([-1, -2], -1),  # towards zero
        ([-10, -10, -100], -10),
        ([-10, -11, 5], -10),
    ],
)
def test_what_is_far_from_the_median_is_left_out(values: list[int], mean: int) -> None:
    assert trimmed_mean(values) == mean
    assert trimmed_mean(values[::-1]) == mean


def test_one_liar_among_five_moves_the_mean_by_less_than_it_wishes() -> None:
    honest = [100, 100, 101, 102]
    assert trimmed_mean([*honest, 10**18]) == trimmed_mean(honest)
