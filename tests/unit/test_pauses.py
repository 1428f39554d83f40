"""How long something waits."""

from __future__ import annotations

import pytest

from postbox.pauses import around, doubled


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 75), (0.5, 100), (1.0, 125)])
def test_a_pause_is_a_part_more_or_less(drawn: float, expected: float) -> None:
    assert around(100, 0.25, drawn) == expected


@pytest.mark.parametrize(
    ("failures", "expected"), [(0, 2), (1, 2), (2, 4), (5, 32), (6, 60), (10**9, 60)]
)
def test_a_pause_doubles_with_each_failure(failures: int, expected: float) -> None:
    assert doubled(2, failures, 60) == expected
