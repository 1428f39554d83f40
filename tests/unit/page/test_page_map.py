"""The map: distances are round trips, directions are coordinates, names do not cover each other."""

from __future__ import annotations

import math
from itertools import combinations, permutations

from postbox.admin.places import Placed
from postbox.page.map import DOT, LABEL_HEIGHT, LETTER_WIDTH, MOST, RADIUS, SIZE, Dot, drawn


def placed(name: str, turn: float, rtt_ms: float | None = 10.0) -> Placed:
    return Placed(name, "online", math.cos(turn), math.sin(turn), rtt_ms)


def distance(dot: Dot) -> float:
    return math.hypot(dot.x - SIZE / 2, dot.y - SIZE / 2)


def test_who_is_further_away_stands_further_out_and_nobody_leaves_the_map() -> None:
    made = drawn([placed(f"p{ms}", ms, ms) for ms in (0.1, 1.0, 7.0, 42.0, 250.0)])
    radii = [distance(dot) for dot in made.dots]
    assert radii == sorted(radii)
    assert max(radii) <= RADIUS + 0.01
    assert all(0 <= dot.x <= SIZE and 0 <= dot.y <= SIZE for dot in made.dots)
    assert [ring.text for ring in made.rings] == ["500 ms", "100 ms", "20 ms"]


def test_a_direction_is_that_of_the_coordinates() -> None:
    (dot,) = drawn([placed("east", 0.0)]).dots
    assert dot.x > SIZE / 2
    assert dot.y == SIZE / 2


def test_who_has_no_place_or_no_round_trip_is_counted_and_not_drawn() -> None:
    made = drawn([Placed("a", "online", None, None, 3.0), placed("b", 1.0, None), placed("c", 2.0)])
    assert [dot.name for dot in made.dots] == ["c"]
    assert made.missing == 2


def test_an_empty_mesh_has_an_empty_map() -> None:
    assert drawn([]) == ([], [], 0)


def test_of_many_the_nearest_are_drawn_and_no_two_names_cover_each_other() -> None:
    crowd = [placed(f"peer-{at:03}", at * 2.4, 1 + at) for at in range(200)]
    made = drawn(crowd)
    assert len(made.dots) == MOST
    assert made.missing == 200 - MOST
    named = [dot for dot in made.dots if dot.label]
    assert len(named) > 5
    for one, other in combinations(named, 2):
        assert not covers(one, *ends(other), other.y), (one, other)
    for one, other in permutations(made.dots, 2):
        assert not (one.label and covers(one, other.x - DOT, other.x + DOT, other.y))


def ends(dot: Dot) -> tuple[float, float]:
    """Of its name."""
    width = len(dot.label) * LETTER_WIDTH
    left = dot.label_x if dot.anchor == "start" else dot.label_x - width
    return left, left + width


def covers(dot: Dot, left: float, right: float, y: float) -> bool:
    begins, stops = ends(dot)
    return begins < right and left < stops and abs(dot.y - y) < LABEL_HEIGHT


def test_a_name_too_near_to_the_edge_stands_on_the_other_side() -> None:
    (dot,) = drawn([placed("a-name-of-letters", 0.0)]).dots
    assert (dot.anchor, dot.label) == ("end", "a-name-of-let…")
