"""How many events a second come in and go out, as long as somebody looks."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

KEPT = 300
"""Points of a curve: ten minutes of them."""
GAP_S = 10.0
"""Nobody looked for so long: the curve begins again."""


class Totals(NamedTuple):
    """Events since some moment: `stored` in the log, and `given` to peers, hosts and devices."""

    stored: int
    given: int


class Point(NamedTuple):
    """A second's worth. `at_s`: Unix time."""

    at_s: float
    stored: float
    given: float


class Figures:
    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=KEPT)
        self._totals: Totals | None = None
        self._at_s = 0.0

    def add(self, totals: Totals, now_s: float, unix_s: float) -> None:
        """`now_s`: `Clock.elapsed_s`."""
        before, since_s = self._totals, now_s - self._at_s
        self._totals, self._at_s = totals, now_s
        if before is None or since_s > GAP_S:
            self.points.clear()
        elif since_s > 0:
            stored, given = (
                max(0, new - old) / since_s for new, old in zip(totals, before, strict=True)
            )
            self.points.append(Point(unix_s, stored, given))
