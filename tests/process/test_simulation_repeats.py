"""One seed, one run: whatever the hash seed of the process."""

from __future__ import annotations

import subprocess

from support.children import command, environment


def trace_hash(seed: int, hash_seed: int) -> str:
    environ = environment(PYTHONHASHSEED=str(hash_seed))
    run = subprocess.run(
        command("toy-run", str(seed)), capture_output=True, text=True, check=True, env=environ
    )
    return run.stdout.strip()


def test_a_seed_gives_the_same_trace_in_two_processes_with_different_hash_seeds() -> None:
    assert trace_hash(7, hash_seed=1) == trace_hash(7, hash_seed=2)


def test_another_seed_gives_another_trace() -> None:
    assert trace_hash(7, hash_seed=1) != trace_hash(8, hash_seed=1)
