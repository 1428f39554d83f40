"""One seed, one run: whatever the hash seed of the process."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.children import command, environment


def trace_hash(seed: int, hash_seed: int, program: str = "toy-run", *arguments: str) -> str:
    environ = environment(PYTHONHASHSEED=str(hash_seed))
    run = subprocess.run(
        command(program, str(seed), *arguments),
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    return run.stdout.strip()


def test_a_seed_gives_the_same_trace_in_two_processes_with_different_hash_seeds() -> None:
    assert trace_hash(7, hash_seed=1) == trace_hash(7, hash_seed=2)


def test_another_seed_gives_another_trace() -> None:
    assert trace_hash(7, hash_seed=1) != trace_hash(8, hash_seed=1)


def test_three_nodes_with_their_servers_give_the_same_trace_in_two_processes(
    tmp_path: Path,
) -> None:
    """Everything is in it: what was committed where and when, whom each node reached, and why not;
    so nothing in httpx, h11, hypercorn, quart or the core follows the order of a hash."""
    one, other = (trace_hash(7, seed, "three-nodes", str(tmp_path / str(seed))) for seed in (1, 2))
    assert one == other
