"""Where this node is, and where its peers say that they are. In memory; where we are is kept
(`peers.saving`), where others are is heard again.

A peer's word about its own place is believed as far as it could be true; a round trip is the median
of the last few to that peer, so that one slow answer of a busy machine does not move us.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from msgspec import Struct, field
from msgspec.structs import replace

from postbox.mesh.coordinates.vivaldi import (
    Coordinate,
    Rule,
    distance_ms,
    is_round_trip,
    is_sane,
    moved,
    start_at,
)
from postbox.mesh.merging.news import Trip
from postbox.world import Random

MAX_PEERS = 1_000
"""Whose places are known; who was heard of longest ago is forgotten first."""
RECENT = 3
"""Round trips to a peer, of which the median counts: Serf's latency filter."""
EVERY_NS = 20 * 10**9
"""A peer's own measurement of the way to us counts this often. Who writes more of them would move
us more than others do. Ours are 30 s apart."""
FRESH_NS = 300 * 10**9
"""An older ping of a peer's tells where we were."""


AGAIN_ERROR = 0.5
"""At least, of a place that comes back: a node may have been carried elsewhere while it was off,
and who is too sure stays where it was for long."""


class _Peer(Struct):
    place: Coordinate | None = None
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    measured_ns: int = 0  # by us, or by it
    asked_ns: int = 0  # by us, whatever came of it


class Coordinates:
    def __init__(self, random: Random, name: str, rule: Rule) -> None:
        self._random = random
        self.name = name
        self._rule = rule
        self._peers: dict[str, _Peer] = {}  # whoever was heard of last is last
        self.own = start_at(self._drawn(), self._drawn())
        self.moves = 0
        self.is_kept = False
        """Whether this process measures. Of several that are one node, the others do not know."""

    def restore(self, place: Coordinate) -> None:
        """Where we were when we were here last, or another process of ours. What we measured since
        we began counts for more."""
        if not self.moves and is_sane(place):
            self.own = replace(place, error=max(place.error, AGAIN_ERROR))

    def place_of(self, name: str) -> Coordinate | None:
        peer = self._peers.get(name)
        return None if peer is None else peer.place

    def asked_ns(self, name: str) -> int:
        """When we last tried to measure the way there; 0 for never."""
        peer = self._peers.get(name)
        return 0 if peer is None else peer.asked_ns

    def distance_ms(self, name: str) -> float | None:
        """The round trip to that peer, as estimated; None where nothing is known. What was measured
        counts for more than where it says it is."""
        peer = self._peers.get(name)
        if peer is None:
            return None
        if peer.recent_ms:
            return median(peer.recent_ms)
        return None if peer.place is None else distance_ms(self.own, peer.place)

    def asked(self, name: str, now_ns: int) -> None:
        self._peer(name).asked_ns = now_ns

    def heard(self, name: str, place: Coordinate) -> bool:
        """A peer says where it is. False if nobody can be there."""
        if name == self.name or not is_sane(place):
            return False
        self._peer(name).place = place
        return True

    def measured(self, name: str, rtt_ms: float, now_ns: int) -> None:
        """The way to `name`, by us."""
        if name == self.name or not is_round_trip(rtt_ms):
            return
        peer = self._peer(name)
        peer.measured_ns = now_ns
        peer.recent_ms.append(rtt_ms)
        if peer.place is not None:
            turn = self._drawn()
            self.own = moved(self.own, peer.place, median(peer.recent_ms), self._rule, turn=turn)
            self.moves += 1

    def learned(self, trip: Trip, now_ns: int) -> None:
        """From the log. A peer's measurement of the way to us is one of ours to it, if we know
        where it is; what we wrote ourselves was counted when it was measured."""
        peer = self._peers.get(trip.observer)
        if trip.target != self.name or peer is None or peer.place is None:
            return
        is_fresh = abs(now_ns - trip.at_ns) <= FRESH_NS
        if is_fresh and now_ns - peer.measured_ns >= EVERY_NS:
            self.measured(trip.observer, trip.rtt_ms, now_ns)

    def _peer(self, name: str) -> _Peer:
        peer = self._peers.pop(name, None) or _Peer()
        self._peers[name] = peer
        if len(self._peers) > MAX_PEERS:
            del self._peers[next(iter(self._peers))]
        return peer

    def _drawn(self) -> float:
        return int.from_bytes(self._random.bytes(7), "big") / 2**56
