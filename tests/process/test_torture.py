"""`make torture` works: a few lives of each kind, on one engine or the other. `.ci/run` has all of
them on both by `make torture` itself, for 24 s each.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.children import environment


def tortured(*words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "torture.torture", *words],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_process_that_is_killed_again_and_again_keeps_what_it_acknowledged(
    engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "postgres":
        request.getfixturevalue("postgres")  # or this is skipped
    last = tortured("--engine", engine, "--cycles", "5")
    assert last.startswith(f"{engine}: 5 kills")
    assert "0 lost, 0 doubled" in last
    assert last.endswith("seed 1: held")


def test_three_hosts_that_are_killed_again_and_again_get_each_event_once_and_in_order() -> None:
    last = tortured("--engine", "hosts", "--cycles", "3")
    assert "kills of whole nodes" in last
    assert last.endswith("events, 0 lost, 0 doubled; seed 1: held")


def test_what_devices_made_is_seen_once_though_answers_are_lost_and_the_host_is_killed() -> None:
    last = tortured("--engine", "clients", "--cycles", "2")
    assert "kills of the node" in last
    assert last.endswith("0 lost, 0 doubled; seed 1: held")


@pytest.mark.usefixtures("postgres")
def test_what_the_client_library_made_is_seen_once_though_devices_are_killed_too() -> None:
    last = tortured("--engine", "library-postgres", "--cycles", "1")
    assert "kills of the node" in last
    assert last.endswith("0 lost, 0 doubled; seed 1: held")
