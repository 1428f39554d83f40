"""How long to wait before the next try: decorrelated jitter. Each wait is drawn between the
shortest and three times the one before, so that devices which were cut off together do not come
back together, and one that fails for long comes seldom.
"""

from __future__ import annotations

from collections.abc import Callable

SHORTEST_S = 0.5
LONGEST_S = 60.0
"""A minute: as long as someone looks at a screen that says offline, and few enough tries a day for
a battery."""

LONGEST_SAID_S = 3_600.0
"""That a host may make a device wait: who says more has an error, or wants it never to come back.
"""


class Backoff:
    def __init__(self, fraction: Callable[[], float]) -> None:
        """`fraction`: draws a number from 0 to 1."""
        self._fraction = fraction
        self._last_s = SHORTEST_S

    def next_s(self) -> float:
        longest_s = min(LONGEST_S, 3 * self._last_s)
        self._last_s = SHORTEST_S + self._fraction() * (longest_s - SHORTEST_S)
        return self._last_s

    def reset(self) -> None:
        """It worked."""
        self._last_s = SHORTEST_S


def said_s(wished_s: float) -> float:
    """To wait, where the host said how long."""
    return min(max(wished_s, SHORTEST_S), LONGEST_SAID_S)
