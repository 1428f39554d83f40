"""The mean that nara takes of what several nodes say (math_helpers.go)."""

from __future__ import annotations

from collections.abc import Sequence

SPREAD = 5
"""What is further from the median than by this factor is left out: a liar moves the mean by no more
than an honest node that is far off."""
AROUND_ZERO = 10


def trimmed_mean(values: Sequence[int]) -> int:
    """Without what is far from the median (the upper one of an even number); 0 of nothing. Divided
    as Go divides, towards zero."""
    if not values:
        return 0
    middle = sorted(values)[len(values) // 2]
    low, high = _bounds(middle)
    kept = [value for value in values if low <= value <= high]
    total, count = (sum(kept), len(kept)) if kept else (middle, 1)
    return abs(total) // count * (1 if total >= 0 else -1)


def _bounds(middle: int) -> tuple[int, int]:
    if middle == 0:
        return -AROUND_ZERO, AROUND_ZERO
    near, far = _divided(middle), middle * SPREAD
    return (near, far) if middle > 0 else (far, near)


def _divided(middle: int) -> int:
    return abs(middle) // SPREAD * (1 if middle > 0 else -1)
