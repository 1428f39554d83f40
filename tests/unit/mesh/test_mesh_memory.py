"""How many events a ledger keeps: by name, by number, by the machine's memory."""

from pathlib import Path

import pytest

from postbox.mesh.memory import MAX_CAPACITY, available_mb, capacity_of, mode_for


@pytest.mark.parametrize(
    ("mode", "capacity"),
    [
        ("short", 20_000),
        ("medium", 80_000),
        ("hog", 320_000),
        ("1", 1),
        ("1234", 1_234),
        (str(MAX_CAPACITY), MAX_CAPACITY),
    ],
)
def test_a_mode_is_a_name_or_a_number_of_events(mode: str, capacity: int) -> None:
    assert capacity_of(mode) == capacity


@pytest.mark.parametrize(
    "mode", ["", "0", "-1", "1.5", "1e6", "+5", "low", "Hog", " 7", "٣", str(MAX_CAPACITY + 1)]
)
def test_anything_else_is_refused_with_what_there_is(mode: str) -> None:
    with pytest.raises(ValueError, match=r"auto, short, medium, hog or a number of events"):
        capacity_of(mode)


@pytest.mark.parametrize(
    ("megabytes", "mode"),
    [(64, "short"), (384, "short"), (385, "medium"), (1024, "medium"), (1025, "hog")],
)
def test_a_machine_gets_the_mode_that_fits_its_memory(megabytes: int, mode: str) -> None:
    assert mode_for(megabytes) == mode


def test_auto_is_the_mode_for_this_machine() -> None:
    assert capacity_of("auto") == capacity_of(mode_for(available_mb()))


def test_the_limit_of_a_control_group_counts_when_it_is_lower(tmp_path: Path) -> None:
    limit, unlimited, missing = tmp_path / "limit", tmp_path / "max", tmp_path / "missing"
    limit.write_text(f"{300 * 2**20}\n")
    unlimited.write_text("max\n")
    assert available_mb([missing, unlimited]) == available_mb([])
    assert available_mb([missing, unlimited, limit]) == 300


def test_a_limit_above_the_machine_s_memory_is_none(tmp_path: Path) -> None:
    """Control groups of the first kind write an immense number where there is no limit."""
    limit = tmp_path / "limit"
    limit.write_text(str(2**63 - 4096))
    assert available_mb([limit]) == available_mb([])
