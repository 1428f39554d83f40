"""Three nodes over the real server and client, on a network in memory and virtual time.

That a seed gives one trace in any process is in `tests/process/test_simulation_repeats.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from support.cluster import random_cuts, three_nodes
from support.simulate import simulate


def test_nodes_that_are_cut_off_or_crash_become_equal_again_and_lose_nothing(
    tmp_path: Path,
) -> None:
    """By another way with each seed."""
    one, other = (
        simulate(seed, partial(three_nodes, homes=tmp_path / str(seed))).digest() for seed in (1, 2)
    )
    assert one != other


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_and_when_they_become_equal_and_lose_nothing(
    tmp_path: Path, seed: int
) -> None:
    simulate(seed, partial(random_cuts, homes=tmp_path))
