"""What this node believes of places and ways, and what moves it."""

from __future__ import annotations

import math

import pytest

from postbox.mesh.coordinates.coordinates import (
    EVERY_NS,
    FRESH_NS,
    MAX_PEERS,
    Coordinates,
)
from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.merging.news import Trip
from postbox.world import SystemRandom

NOW = 1_700_000_000 * 10**9
FAR = Coordinate(x=40.0, height=1.0, error=0.2)


def coordinates() -> Coordinates:
    return Coordinates(SystemRandom(), "ann", "relative")


def test_of_a_stranger_nothing_is_estimated() -> None:
    assert coordinates().distance_ms("bob") is None
    assert coordinates().place_of("bob") is None


def test_a_place_alone_gives_an_estimate() -> None:
    known = coordinates()
    assert known.heard("bob", FAR)
    assert known.distance_ms("bob") == pytest.approx(41.0, abs=0.01)
    assert known.moves == 0


def test_a_measured_way_counts_before_an_estimate() -> None:
    known = coordinates()
    known.heard("bob", FAR)
    known.measured("bob", 0.25, NOW)
    assert known.distance_ms("bob") == 0.25
    assert known.moves == 1


def test_a_measurement_without_a_place_moves_nothing() -> None:
    known = coordinates()
    before = known.own
    known.measured("bob", 20.0, NOW)
    assert known.own == before
    assert known.distance_ms("bob") == 20.0


def test_one_slow_answer_among_quick_ones_does_not_count() -> None:
    known = coordinates()
    for rtt_ms in (10.0, 11.0, 5_000.0):
        known.measured("bob", rtt_ms, NOW)
    assert known.distance_ms("bob") == 11.0


def test_nor_does_it_move_us() -> None:
    known = coordinates()
    known.heard("bob", Coordinate(x=10.0))
    for rtt_ms in (10.0, 10.0):
        known.measured("bob", rtt_ms, NOW)
    before = known.own
    known.measured("bob", 5_000.0, NOW)
    assert math.hypot(known.own.x - before.x, known.own.y - before.y) < 0.1


@pytest.mark.parametrize("place", [Coordinate(x=math.nan), Coordinate(x=1e9), Coordinate(error=-1)])
def test_a_peer_that_says_it_is_nowhere_stays_where_it_was(place: Coordinate) -> None:
    known = coordinates()
    known.heard("bob", FAR)
    assert not known.heard("bob", place)
    assert known.place_of("bob") == FAR


def test_nobody_tells_us_where_we_are() -> None:
    known = coordinates()
    assert not known.heard("ann", FAR)
    known.measured("ann", 5.0, NOW)
    assert known.distance_ms("ann") is None


def test_a_peers_measurement_of_the_way_to_us_is_one_of_ours() -> None:
    known = coordinates()
    known.heard("bob", FAR)
    known.learned(Trip("bob", "ann", 20.0, NOW), NOW)
    assert known.moves == 1
    assert known.distance_ms("bob") == 20.0


@pytest.mark.parametrize(
    "trip",
    [
        Trip("bob", "cat", 20.0, NOW),  # between others
        Trip("ann", "bob", 20.0, NOW),  # counted when it was measured
        Trip("cat", "ann", 20.0, NOW),  # whose place is not known
        Trip("bob", "ann", 20.0, NOW - FRESH_NS - 1),
        Trip("bob", "ann", 20.0, NOW + FRESH_NS + 1),
        Trip("bob", "ann", math.nan, NOW),
        Trip("bob", "ann", 60_000.0, NOW),
    ],
)
def test_other_pings_do_not_move_us(trip: Trip) -> None:
    known = coordinates()
    known.heard("bob", FAR)
    known.learned(trip, NOW)
    assert known.moves == 0


def test_who_writes_many_pings_moves_us_no_more_than_others() -> None:
    known = coordinates()
    known.heard("bob", FAR)
    for nth in range(100):
        known.learned(Trip("bob", "ann", 900.0, NOW + nth), NOW + nth)
    assert known.moves == 1
    known.learned(Trip("bob", "ann", 900.0, NOW + EVERY_NS), NOW + EVERY_NS)
    assert known.moves == 2


def test_peers_beyond_the_bound_are_forgotten_from_the_one_heard_of_longest_ago() -> None:
    known = coordinates()
    for nth in range(MAX_PEERS):
        known.heard(f"peer{nth}", FAR)
    known.heard("peer0", FAR)
    known.heard("one-more", FAR)
    assert known.place_of("peer1") is None
    assert known.place_of("peer0") == known.place_of("one-more") == FAR
