"""Events a second, from totals that only grow."""

from __future__ import annotations

from postbox.page.figures import GAP_S, KEPT, Figures, Totals


def test_a_point_is_what_came_between_two_looks_a_second() -> None:
    figures = Figures()
    figures.add(Totals(100, 50), 10.0, 1_000.0)
    assert list(figures.points) == []
    figures.add(Totals(104, 70), 12.0, 1_002.0)
    assert list(figures.points) == [(1_002.0, 2.0, 10.0)]


def test_after_a_pause_the_curve_begins_again() -> None:
    figures = Figures()
    for at in range(3):
        figures.add(Totals(at, 0), at, at)
    assert len(figures.points) == 2
    figures.add(Totals(10**6, 0), 3 + GAP_S, 0)
    assert list(figures.points) == [], "what came meanwhile is no event of a second"


def test_a_log_that_went_back_and_a_clock_that_stands_still_are_no_rate() -> None:
    figures = Figures()
    figures.add(Totals(100, 5), 1.0, 1.0)
    figures.add(Totals(3, 5), 2.0, 2.0)
    figures.add(Totals(9, 5), 2.0, 2.0)
    assert list(figures.points) == [(2.0, 0.0, 0.0)]


def test_points_are_bounded() -> None:
    figures = Figures()
    for at in range(KEPT + 10):
        figures.add(Totals(at, at), at, at)
    assert len(figures.points) == KEPT
