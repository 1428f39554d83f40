"""How often and how many at once, by key, and with bounded memory."""

from __future__ import annotations

import pytest

from postbox.net.rates import AtOnce, Rate, TooMany


def test_a_burst_is_granted_and_then_one_at_a_time() -> None:
    rate = Rate(per_minute=60, burst=3)
    assert [rate.wait_s("ann", 0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert rate.wait_s("ann", 0.5) == pytest.approx(0.5)
    assert rate.wait_s("ann", 1.0) == 0
    assert rate.wait_s("ann", 1.0) == pytest.approx(1)


def test_a_long_pause_gives_no_more_than_the_burst() -> None:
    rate = Rate(per_minute=60, burst=2)
    assert [rate.wait_s("ann", 0.0) for _ in range(2)] == [0, 0]
    assert [rate.wait_s("ann", 3600.0) > 0 for _ in range(3)] == [False, False, True]


def test_several_are_granted_together_or_none_of_them() -> None:
    rate = Rate(per_minute=60, burst=10)
    assert rate.wait_s("ann", 0.0, 8) == 0
    assert rate.wait_s("ann", 0.0, 8) == pytest.approx(6)
    assert rate.wait_s("ann", 0.0, 2) == 0
    assert rate.due_s("ann", 0.0, 2) == rate.due_s("ann", 0.0, 2) == pytest.approx(2)
    assert rate.due_s("bob", 0.0, 10) == 0
    assert rate.due_s("bob", 0.0, 0) == 0


def test_what_is_more_than_the_burst_is_granted_when_it_is_full_and_paid_off() -> None:
    rate = Rate(per_minute=60, burst=10)
    assert rate.wait_s("ann", 0.0, 15) == 0
    assert rate.wait_s("ann", 0.0, 15) == pytest.approx(15)
    assert rate.wait_s("ann", 0.0) == pytest.approx(6)
    assert rate.wait_s("ann", 15.0, 15) == 0


def test_what_was_granted_elsewhere_counts_up_to_one_more_burst() -> None:
    rate = Rate(per_minute=60, burst=10)
    rate.take("ann", 0.0, 4)
    assert rate.due_s("ann", 0.0, 7) == pytest.approx(1)
    rate.take("ann", 0.0, 1_000_000)
    assert rate.due_s("ann", 0.0) == pytest.approx(11)


def test_nothing_is_remembered_of_a_full_bucket() -> None:
    rate = Rate(per_minute=60, burst=10)
    assert rate.wait_s("ann", 0.0, 0) == 0
    assert rate._buckets == {}


def test_keys_do_not_share() -> None:
    rate = Rate(per_minute=1, burst=1)
    assert [rate.wait_s(key, 0.0) > 0 for key in ("ann", "bob", "ann")] == [False, False, True]


def test_a_flood_of_keys_is_remembered_within_bounds_and_full_buckets_are_forgotten() -> None:
    rate = Rate(per_minute=60, burst=1, max_keys=100)
    for number in range(1_000):
        rate.wait_s(str(number), 0.0)
    assert len(rate._buckets) == 100
    rate.wait_s("ann", 10.0)
    assert list(rate._buckets) == ["ann"]


def test_so_many_at_once_of_a_key_and_of_all() -> None:
    slots = AtOnce(limit=2, limit_in_all=3)
    with slots.one("ann"), slots.one("ann"):
        with pytest.raises(TooMany), slots.one("ann"):
            pass
        with slots.one("bob"):
            with pytest.raises(TooMany), slots.one("cat"):
                pass
        with slots.one("cat"):
            pass
    with slots.one("ann"), slots.one("ann"):
        pass


def test_one_that_fails_gives_its_place_back() -> None:
    slots = AtOnce(limit=1, limit_in_all=1)
    with pytest.raises(ZeroDivisionError), slots.one("ann"):
        _ = 1 / 0
    with slots.one("bob"):
        pass


def test_a_part_of_all_can_be_kept_for_others() -> None:
    slots = AtOnce(limit=4, limit_in_all=4)
    with slots.one("ann", kept=2), slots.one("bob", kept=2):
        with pytest.raises(TooMany), slots.one("cat", kept=2):
            pass
        with slots.one("dan"), slots.one("eve"), pytest.raises(TooMany), slots.one("fay"):
            pass
