"""Where a node is among others, by round trips: Vivaldi (Dabek, Cox, Kaashoek and Morris, SIGCOMM
2004) in two dimensions with a height. Pure: coordinates in, a coordinate out.

Two nodes are as far apart as their places in the plane, plus both heights: the plane is the
Internet's core, a height the way to it. Each measurement moves a node a little towards where the
measured time and the distance agree. How far, depends on how sure of its place either of them is.

There are two rules for that. `relative` is the paper's: the error is a share of the round trip, and
a force acts on the height in the direction that the height has. `nara` is what nara does
(vivaldi.go), down to the last bit: the error is in milliseconds and mostly at its bound.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

Rule: TypeAlias = Literal["relative", "nara"]

CE = CC = 0.25
"""How much of a surprise enters the error (Ce), and of a force the place (Cc): the paper's."""
MIN_HEIGHT_MS = 1e-5
MIN_ERROR = 0.001
MAX_ERROR = 1.5
"""Of the relative rule: who is wrong by more knows nothing at all."""
NARA_MAX_ERROR = 2.0
START_ERROR = 1.0
START_RADIUS_MS = 0.001
"""New nodes are near the origin, and not in one point, where no direction leads apart."""
TOGETHER_MS = 1e-4
"""Nearer than this, a direction is drawn."""
MAX_RTT_MS = 10_000.0
"""Longer, something else than the way was measured. nara gives up after half of it."""
SPAN_MS = 20_000.0
"""Nobody is further from the origin, nor higher: twice the longest way."""


class Coordinate(Struct, frozen=True):
    """In milliseconds but for the error. The field names are nara's on the wire."""

    x: float = 0.0
    y: float = 0.0
    height: float = MIN_HEIGHT_MS
    error: float = START_ERROR


def start_at(turn: float, radius: float) -> Coordinate:
    """A new node's: both 0 up to 1, drawn."""
    east, north = _direction(turn)
    return Coordinate(east * radius * START_RADIUS_MS, north * radius * START_RADIUS_MS)


def is_sane(coordinate: Coordinate) -> bool:
    """Could a node be there? What others say of themselves is asked this before it moves us."""
    x, y, height, error = coordinate.x, coordinate.y, coordinate.height, coordinate.error
    is_finite = all(map(math.isfinite, (x, y, height, error)))
    return is_finite and math.hypot(x, y) <= SPAN_MS and 0 <= height <= SPAN_MS and error >= 0


def is_round_trip(rtt_ms: float) -> bool:
    return 0 < rtt_ms <= MAX_RTT_MS


def distance_ms(one: Coordinate, other: Coordinate) -> float:
    """The round trip between them, as their coordinates have it."""
    return math.hypot(one.x - other.x, one.y - other.y) + one.height + other.height


def moved(
    own: Coordinate, peer: Coordinate, rtt_ms: float, rule: Rule, *, turn: float
) -> Coordinate:
    """`own` after a measurement to `peer`, both sane. `turn`: 0 up to 1, drawn; the direction in
    which two part that are at one place. A time that is no round trip moves nothing, and a place
    that would not be sane is left for the origin."""
    if not is_round_trip(rtt_ms):
        return own
    match rule:
        case "relative":
            after = _moved_relative(own, peer, rtt_ms, turn)
        case "nara":
            after = _moved_nara(own, peer, rtt_ms, turn)
        case _:
            assert_never(rule)
    return after if is_sane(after) else start_at(turn, 1.0)


def _moved_relative(own: Coordinate, peer: Coordinate, rtt_ms: float, turn: float) -> Coordinate:
    wrong_ms = rtt_ms - distance_ms(own, peer)
    # A peer that claims to know its place exactly would move us as it likes.
    weight = own.error / (own.error + max(peer.error, MIN_ERROR))
    share = CE * weight
    error = abs(wrong_ms) / rtt_ms * share + own.error * (1 - share)
    force_ms = CC * weight * wrong_ms
    apart_ms, (east, north) = _apart(own, peer, turn)
    heights_ms = own.height + peer.height
    length_ms = apart_ms + heights_ms
    # [x, h] - [y, g] is [x - y, h + g], and as long as |x - y| + h + g: section 5.4 of the paper.
    flat = 1.0 if length_ms <= TOGETHER_MS else apart_ms / length_ms
    steep = 0.0 if length_ms <= TOGETHER_MS else heights_ms / length_ms
    return Coordinate(
        x=own.x + force_ms * flat * east,
        y=own.y + force_ms * flat * north,
        height=max(own.height + force_ms * steep, MIN_HEIGHT_MS),
        error=min(max(error, MIN_ERROR), MAX_ERROR),
    )


def _moved_nara(own: Coordinate, peer: Coordinate, rtt_ms: float, turn: float) -> Coordinate:
    wrong_ms = rtt_ms - distance_ms(own, peer)
    errors = own.error + peer.error
    weight = own.error / (errors if errors > 0 else 0.001)
    error = own.error * CE * weight + abs(wrong_ms) * (1 - CE * weight)
    force_ms = CC * weight * wrong_ms
    _, (east, north) = _apart(own, peer, turn)
    return Coordinate(
        x=own.x + east * force_ms,
        y=own.y + north * force_ms,
        height=max(own.height + 0.1 * force_ms, MIN_HEIGHT_MS),
        error=min(max(error, MIN_ERROR), NARA_MAX_ERROR),
    )


def _apart(own: Coordinate, peer: Coordinate, turn: float) -> tuple[float, tuple[float, float]]:
    """How far apart they are in the plane, and the direction from the peer to us."""
    dx, dy = own.x - peer.x, own.y - peer.y
    apart_ms = math.hypot(dx, dy)
    if apart_ms <= TOGETHER_MS:
        return apart_ms, _direction(turn)
    return apart_ms, (dx / apart_ms, dy / apart_ms)


def _direction(turn: float) -> tuple[float, float]:
    return math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
