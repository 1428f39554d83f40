"""Where this node and its peers are, by round trips: what a map of the mesh shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from postbox.admin.peers import state_of
from postbox.mesh.door import Mesh
from postbox.mesh.peers.known import Known


class Placed(NamedTuple):
    """A peer. `x`, `y`: its place less ours in the plane, in milliseconds; None where it never
    said. `rtt_ms`: to there and back, as measured, else as estimated."""

    name: str
    state: str
    x: float | None
    y: float | None
    rtt_ms: float | None


def places(mesh: Mesh, peers: Sequence[Known]) -> list[Placed]:
    """Of the peers that have a name, by name."""
    return sorted(_placed(mesh, one) for one in peers if one.name)


def _placed(mesh: Mesh, peer: Known) -> Placed:
    coordinates = mesh.coordinates
    own, place = coordinates.own, coordinates.place_of(peer.name)
    state = state_of(mesh, peer)
    distance_ms = coordinates.distance_ms(peer.name)
    if place is None:
        return Placed(peer.name, state, None, None, distance_ms)
    return Placed(peer.name, state, place.x - own.x, place.y - own.y, distance_ms)
