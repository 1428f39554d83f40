"""What is held against a peer: points that collect, halve, demote, ban and end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postbox.mesh.peers.standing_rules import (
    AHEAD_NS,
    BANNED_AT,
    CLEAN,
    DEMOTED_AT,
    HALF_LIFE_NS,
    MAX_WHY,
    MOST_POINTS,
    Offence,
    Record,
    Regard,
    accused,
    ends_ns,
    points_at,
    regard_of,
)

NOW_NS = 1_790_000_000 * 10**9
HOUR_NS = 3600 * 10**9


def after(*offences: Offence, every_ns: int = 0) -> Record:
    """Of a peer that did all this, the last of it now."""
    record = CLEAN
    for number, offence in enumerate(offences, start=1):
        record = accused(record, offence, "why", NOW_NS - (len(offences) - number) * every_ns)
    return record


@pytest.mark.parametrize(
    ("offences", "regard"),
    [
        ((), Regard.GOOD),
        ((Offence.LIED,), Regard.DEMOTED),
        ((Offence.FORGED,), Regard.DEMOTED),
        ((Offence.FLOODED,), Regard.DEMOTED),
        ((Offence.LIED,) * 2, Regard.DEMOTED),
        ((Offence.LIED,) * 3, Regard.BANNED),
        ((Offence.WITHHELD,), Regard.GOOD),
        ((Offence.WITHHELD,) * 2, Regard.DEMOTED),
        ((Offence.STALLED,) * 3, Regard.GOOD),
        ((Offence.STALLED,) * 4, Regard.DEMOTED),
        ((Offence.STALLED,) * 1_000, Regard.DEMOTED),
        ((Offence.LITTERED,) * 1_000, Regard.DEMOTED),
        ((Offence.LIED, Offence.LIED, Offence.LIED, Offence.STALLED), Regard.BANNED),
        ((Offence.STALLED,) * 10 + (Offence.LIED,), Regard.BANNED),
    ],
)
def test_what_a_peer_did_decides_how_it_is_thought_of(
    offences: tuple[Offence, ...], regard: Regard
) -> None:
    assert regard_of(after(*offences), NOW_NS) is regard


def test_points_halve_every_twelve_hours_and_never_grow_by_a_clock_that_is_set_back() -> None:
    record = after(Offence.LIED)
    assert points_at(record, NOW_NS) == 10
    assert points_at(record, NOW_NS + HALF_LIFE_NS) == pytest.approx(5)
    assert points_at(record, NOW_NS + 3 * HALF_LIFE_NS) == pytest.approx(1.25)
    assert points_at(record, NOW_NS - AHEAD_NS) == 10


def test_a_peer_that_is_slow_once_a_day_stays_a_good_one() -> None:
    record = after(*[Offence.STALLED] * 1_000, every_ns=24 * HOUR_NS)
    assert regard_of(record, NOW_NS) is Regard.GOOD
    assert record.offences == 1_000


def test_a_peer_that_lies_without_end_is_banned_for_half_a_day_after_its_last_lie() -> None:
    record = after(*[Offence.LIED] * 1_000)
    assert record.points == MOST_POINTS
    assert regard_of(record, NOW_NS + HALF_LIFE_NS - 1_000) is Regard.BANNED
    assert regard_of(record, NOW_NS + HALF_LIFE_NS + 1_000) is Regard.DEMOTED
    assert regard_of(record, NOW_NS + 4 * HALF_LIFE_NS) is Regard.GOOD


@pytest.mark.parametrize("lies", [1, 2, 3, 4, 6, 100])
def test_a_regard_ends_when_it_is_said_to_end(lies: int) -> None:
    record = after(*[Offence.LIED] * lies)
    regard, end_ns = regard_of(record, NOW_NS), ends_ns(record, NOW_NS)
    assert end_ns is not None
    assert regard_of(record, end_ns - 10**9) is regard
    assert regard_of(record, end_ns + 10**9) is not regard


def test_a_good_regard_and_the_operators_ban_do_not_end() -> None:
    assert ends_ns(CLEAN, NOW_NS) is None
    banned = Record(why="spam", by_operator=True)
    assert ends_ns(banned, NOW_NS) is None
    assert regard_of(banned, NOW_NS + 10**6 * HOUR_NS) is Regard.BANNED


def test_the_operators_reason_stays_whatever_else_the_peer_does() -> None:
    banned = Record(why="spam", by_operator=True)
    worse = accused(banned, Offence.LIED, "again", NOW_NS)
    assert (worse.why, worse.by_operator, worse.offences) == ("spam", True, 1)


def test_a_reason_says_what_kind_it_is_of_and_is_bounded() -> None:
    assert after(Offence.FLOODED).why == "flooded: why"
    assert len(accused(CLEAN, Offence.LIED, "x" * 10_000, NOW_NS).why) == MAX_WHY


def test_a_ban_by_a_clock_that_ran_ahead_ends_when_the_clock_is_right() -> None:
    """Else it would last until the time that the clock said; the operator's ban has no time."""
    year_ns = 365 * 24 * HOUR_NS
    ahead = after(Offence.LIED, Offence.LIED, Offence.LIED)
    assert regard_of(ahead, NOW_NS) is Regard.BANNED
    assert regard_of(ahead, NOW_NS - AHEAD_NS) is Regard.BANNED, "a clock is set back a little"
    assert regard_of(ahead, NOW_NS - year_ns) is Regard.GOOD
    assert ends_ns(ahead, NOW_NS - year_ns) is None
    assert regard_of(replace(ahead, by_operator=True), NOW_NS - year_ns) is Regard.BANNED
    again = accused(ahead, Offence.LIED, "why", NOW_NS - year_ns)
    assert (again.points, again.at_ns) == (10.0, NOW_NS - year_ns), "and it counts anew"


def test_an_accusation_of_an_earlier_time_does_not_move_the_clock_back() -> None:
    record = accused(after(Offence.LIED), Offence.LIED, "late", NOW_NS - AHEAD_NS)
    assert (record.at_ns, record.points) == (NOW_NS, 20)


def test_the_bounds_are_in_their_order() -> None:
    assert 0 < DEMOTED_AT < BANNED_AT < MOST_POINTS
