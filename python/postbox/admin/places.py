"""Where this node and its peers are, by round trips: what a map of the mesh shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from postbox.mesh.coordinates.coordinates import Coordinates
from postbox.mesh.door import Mesh


class Placed(NamedTuple):
    """A peer. `x`, `y`: its place less ours in the plane, in milliseconds; None where it never
    said. `rtt_ms`: to there and back, as measured, else as estimated."""

    name: str
    state: str
    x: float | None
    y: float | None
    rtt_ms: float | None


def places(mesh: Mesh, states: Mapping[str, str]) -> list[Placed]:
    """Of these peers, by name. `states`: as `postbox peers` has them."""
    return [_placed(mesh.coordinates, name, states[name]) for name in sorted(states)]


def _placed(coordinates: Coordinates, name: str, state: str) -> Placed:
    own, place = coordinates.own, coordinates.place_of(name)
    distance_ms = coordinates.distance_ms(name)
    if place is None:
        return Placed(name, state, None, None, distance_ms)
    return Placed(name, state, place.x - own.x, place.y - own.y, distance_ms)
