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
LONGEST = 14
STEPS_MS = tuple(base * 10.0**power for power in range(-2, 5) for base in (1, 2, 5))


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
    taken: list[tuple[float, float, float]] = []  # lines of text: left, right, y
    for number, one in enumerate(nearest):
        angle = math.atan2(one.y or 0.0, one.x or 0.0)
        radius = _radius(one.rtt_ms or 0.0, edge_ms)
        x, y = SIZE / 2 + radius * math.cos(angle), SIZE / 2 + radius * math.sin(angle)
        label = one.name if len(one.name) <= LONGEST else f"{one.name[: LONGEST - 1]}…"
        side = 1 if x >= SIZE / 2 else -1
        width = len(label) * LETTER_WIDTH
        left = x + 9 if side > 0 else x - 9 - width
        is_free = left >= 0 and left + width <= SIZE and number < MOST_NAMED
        for other_left, other_right, other_y in taken:
            is_apart = left > other_right or left + width < other_left
            is_free = is_free and (is_apart or abs(other_y - y) > LABEL_HEIGHT)
        if is_free:
            taken.append((left, left + width, y))
        anchor = "start" if side > 0 else "end"
        named = label if is_free else ""
        yield Dot(one.name, one.state, x, y, ms(one.rtt_ms), named, x + 9 * side, y + 4, anchor)


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
