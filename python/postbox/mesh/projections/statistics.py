"""nara's mean of what several say, as whole numbers: outliers do not count."""

from __future__ import annotations

from collections.abc import Iterable

SPREAD = 5
"""What is beyond five times the median, or below a fifth of it, is an outlier."""
NEAR_ZERO = 10
"""Around a median of zero, where five times is no distance."""


def trimmed_mean(values: Iterable[int]) -> int:
    """0 for none. nara's TrimmedMeanInt64 (utilities/math_helpers.go), division towards zero
    included; of two in the middle the upper one is the median."""
    ordered = sorted(values)
    if not ordered:
        return 0
    median = ordered[len(ordered) // 2]
    low, high = _bounds(median)
    kept = [value for value in ordered if low <= value <= high]
    return _quotient(sum(kept), len(kept)) if kept else median


def trimmed_mean_of_positive(values: Iterable[int]) -> int:
    """Zero is nara's word for "not observed"."""
    return trimmed_mean(value for value in values if value > 0)


def _bounds(median: int) -> tuple[int, int]:
    if median == 0:
        return -NEAR_ZERO, NEAR_ZERO
    near, far = _quotient(median, SPREAD), median * SPREAD
    return (near, far) if median > 0 else (far, near)


def _quotient(number: int, by: int) -> int:
    """As Go divides: towards zero."""
    return number // by if number >= 0 else -(-number // by)
