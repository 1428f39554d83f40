"""A host's own keys: the same wherever they are made, and changed without a moment in between."""

from __future__ import annotations

import pytest

from postbox.rules import Reason
from postbox.trust.host_keys import (
    AHEAD_MS,
    FIRST,
    IN_FLIGHT_MS,
    KEEP_MS,
    OVERLAP_MS,
    Rotation,
    host_key,
    kid_of,
    published,
    rotated,
)
from postbox.trust.signatures import is_signature

SEED = bytes(range(32))
NOW_MS = 1_795_219_200_000


def numbers(rotation: Rotation, now_ms: int) -> list[int]:
    return [key.number for key in published(rotation, now_ms)]


def changed(rotation: Rotation, now_ms: int, *, is_at_once: bool = False) -> Rotation:
    found = rotated(rotation, now_ms, is_at_once=is_at_once)
    assert isinstance(found, Rotation)
    return found


def test_a_key_is_the_same_wherever_it_is_made_and_another_for_each_number_and_node() -> None:
    assert host_key(SEED, 0).public_key.hex() == (
        "bce634a260036878ccf5164213b6b346222656007958518ef10fd11cc860085e"
    )  # fixed: nodes in the field have these keys
    assert host_key(SEED, 7) == host_key(SEED, 7)
    keys = {host_key(seed, number).public_key for seed in (SEED, SEED[::-1]) for number in range(9)}
    assert len(keys) == 18


def test_a_kid_is_made_of_the_key() -> None:
    key = host_key(SEED, 3)
    assert key.kid == kid_of(key.public_key)
    assert len(key.kid) == 22
    assert is_signature(key.public_key, b"data", key.sign(b"data"))


@pytest.mark.parametrize(("seed", "number"), [(b"", 0), (SEED[:31], 0), (SEED, -1)])
def test_from_another_seed_or_number_no_key_is_made(seed: bytes, number: int) -> None:
    with pytest.raises(ValueError, match="a seed is 32 bytes, and keys are counted from 0"):
        host_key(seed, number)


def test_a_host_that_never_changed_its_key_publishes_one() -> None:
    [key] = published(FIRST, NOW_MS)
    assert (key.number, key.not_before_ms, key.valid_until_ms) == (0, 0, NOW_MS + KEEP_MS)
    assert FIRST.number_at(NOW_MS) == 0


def test_the_next_key_is_published_before_it_is_used_and_the_old_one_after() -> None:
    rotation = changed(FIRST, NOW_MS)
    from_ms = NOW_MS + AHEAD_MS
    for now_ms, current, listed in (
        (NOW_MS, 0, [0, 1]),
        (from_ms - 1, 0, [0, 1]),
        (from_ms, 1, [1, 0]),
        (from_ms + OVERLAP_MS - 1, 1, [1, 0]),
        (from_ms + OVERLAP_MS, 1, [1]),
    ):
        assert rotation.number_at(now_ms) == current
        assert numbers(rotation, now_ms) == listed
        assert all(key.valid_until_ms > now_ms for key in published(rotation, now_ms))
    next_key = list(published(rotation, NOW_MS))[1]
    assert next_key.not_before_ms == from_ms


def test_everybody_who_asks_at_the_half_of_the_time_knows_the_next_key_in_time() -> None:
    assert AHEAD_MS > KEEP_MS / 2


def test_a_change_that_is_under_way_can_only_be_hurried() -> None:
    rotation = changed(FIRST, NOW_MS)
    refused = rotated(rotation, NOW_MS + AHEAD_MS - 1, is_at_once=False)
    assert isinstance(refused, Reason)
    assert "keys rotate --now" in refused.text
    hurried = changed(rotation, NOW_MS + 5, is_at_once=True)
    assert hurried == Rotation(1, NOW_MS + 5, NOW_MS + 5 + IN_FLIGHT_MS)
    assert changed(rotation, NOW_MS + AHEAD_MS).number == 2


def test_a_key_in_wrong_hands_is_out_as_soon_as_nothing_of_it_is_on_its_way() -> None:
    rotation = changed(FIRST, NOW_MS, is_at_once=True)
    assert rotation.number_at(NOW_MS) == 1
    assert numbers(rotation, NOW_MS) == [1, 0]
    assert numbers(rotation, NOW_MS + IN_FLIGHT_MS) == [1]
    again = changed(rotation, NOW_MS + 1, is_at_once=True)
    assert numbers(again, NOW_MS + 1) == [2, 1]
