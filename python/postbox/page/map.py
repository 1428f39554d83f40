"""Where peers stand on the map: plain geometry, from places to a drawing of SIZE by SIZE.

This node is in the middle. A peer's distance from it is the round trip, on a scale of roots, so
that neighbours do not fall together beside one who is far; its direction is by its coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from postbox.admin.places import Placed

SIZE = 400.0
RADIUS = 165.0
"""Of the outermost ring; beyond it is room for names."""
MOST = 60
"""Peers on a map: more are a cloud, and the nearest are asked most."""
MOST_NAMED = 18
LABEL_HEIGHT, LETTER_WIDTH = 14.0, 6.6
DOT, GAP = 6.0, 9.0
"""From the middle of a dot to its edge, and to where its name begins."""
LONGEST = 14
STEPS_MS = tuple(base * 10.0**power for power in range(-2, 5) for base in (1, 2, 5))


class Span(NamedTuple):
    """A line of text on the map, or a dot."""

    left: float
    right: float
    y: float

    def is_free(self, taken: Sequence[Span]) -> bool:
        """Does it stand on the map, and in nobody's way?"""
        return (
            self.left >= 0
            and self.right <= SIZE
            and not any(
                self.left < other.right
                and other.left < self.right
                and abs(other.y - self.y) < LABEL_HEIGHT
                for other in taken
            )
        )


class Dot(NamedTuple):
    """`label`: "" where its name would stand in another's way."""

    name: str
    state: str
    x: float
    y: float
    rtt: str
    label: str
    label_x: float
    label_y: float
    anchor: str


class Ring(NamedTuple):
    radius: float
    text: str


class Map(NamedTuple):
    """`missing`: how many peers have no place on it."""

    dots: Sequence[Dot]
    rings: Sequence[Ring]
    missing: int


def drawn(placed: Sequence[Placed]) -> Map:
    known = [one for one in placed if one.x is not None and one.rtt_ms is not None]
    nearest = sorted(known, key=lambda one: (one.rtt_ms or 0.0, one.name))[:MOST]
    furthest_ms = max([one.rtt_ms or 0.0 for one in nearest], default=1.0)
    edge_ms = next((step for step in STEPS_MS if step >= furthest_ms), furthest_ms)
    dots = list(_dots(nearest, edge_ms))
    return Map(dots, list(_rings(edge_ms)) if dots else [], len(placed) - len(dots))


def _dots(nearest: Sequence[Placed], edge_ms: float) -> Iterator[Dot]:
    points = [_point(one, edge_ms) for one in nearest]
    taken = [Span(x - DOT, x + DOT, y) for x, y in points]
    names = 0
    for one, (x, y) in zip(nearest, points, strict=True):
        label = one.name if len(one.name) <= LONGEST else f"{one.name[: LONGEST - 1]}…"
        outwards = 1 if x >= SIZE / 2 else -1
        named, anchor = "", "start"
        for side in (outwards, -outwards) if names < MOST_NAMED else ():
            span = _span(label, x, y, side)
            if span.is_free(taken):
                named, anchor = label, "start" if side > 0 else "end"
                taken.append(span)
                names += 1
                break
        label_x = x + GAP if anchor == "start" else x - GAP
        yield Dot(one.name, one.state, x, y, ms(one.rtt_ms), named, label_x, y + 4, anchor)


def _point(one: Placed, edge_ms: float) -> tuple[float, float]:
    angle = math.atan2(one.y or 0.0, one.x or 0.0)
    radius = _radius(one.rtt_ms or 0.0, edge_ms)
    return SIZE / 2 + radius * math.cos(angle), SIZE / 2 + radius * math.sin(angle)


def _span(label: str, x: float, y: float, side: int) -> Span:
    width = len(label) * LETTER_WIDTH
    left = x + GAP if side > 0 else x - GAP - width
    return Span(left, left + width, y)


def _rings(edge_ms: float) -> Iterator[Ring]:
    at = STEPS_MS.index(edge_ms) if edge_ms in STEPS_MS else len(STEPS_MS) - 1
    for step in (at, at - 2, at - 4):
        if step >= 0:
            yield Ring(_radius(STEPS_MS[step], edge_ms), ms(STEPS_MS[step]))


def _radius(rtt_ms: float, edge_ms: float) -> float:
    return 14 + (RADIUS - 14) * math.sqrt(min(1.0, rtt_ms / edge_ms))


def ms(rtt_ms: float | None) -> str:
    """A round trip in words."""
    if rtt_ms is None:
        return "–"
    if rtt_ms < 10:
        return f"{rtt_ms:.2g} ms"
    return f"{rtt_ms:.0f} ms"
