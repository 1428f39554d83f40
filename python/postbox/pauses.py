"""How long something waits: pure. What began together drifts apart, and what fails is tried less
and less often."""

from __future__ import annotations

_MOST_DOUBLINGS = 40
"""Beyond any pause, and a float can hold it."""


def around(whole: float, part: float, drawn: float) -> float:
    """`whole`, or up to `part` of it more or less. `drawn`: from 0 to 1."""
    return whole * (1 + part * (2 * drawn - 1))


def doubled(first: float, failures: int, longest: float) -> float:
    """After so many failures in a row: `first` after one, then twice as much after each."""
    doublings = min(max(0, failures - 1), _MOST_DOUBLINGS)
    return min(longest, first * float(2**doublings))
