"""Two processes of one node on one PostgreSQL: who does what the node must do once."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.command import served, told
from support.witness import until

PEER = "http://127.0.0.1:9"
"""Where nobody answers."""


def copy_of_key(home: Path, new: Path) -> Path:
    new.mkdir(mode=0o700)
    shutil.copy(home / "node.key", new)
    return new


async def test_of_two_that_serve_one_pulls_and_forgets_and_when_it_stops_the_other(
    tmp_path: Path, database: str
) -> None:
    one = tmp_path / "one"
    told("keys", "show", "--home", one, "--store", database)
    other, third = copy_of_key(one, tmp_path / "other"), copy_of_key(one, tmp_path / "third")
    words = ("--store", database, "--peer", PEER)
    with ExitStack() as first:
        first.enter_context(served(one, *words))
        with served(other, *words):
            assert leases(one) == ["clients", "hosts", "mesh", "retention"]
            assert leases(other) == []
            [seen] = told("peers", "--home", other)["peers"]
            assert seen["contact"] == "elsewhere"
            # A verb on a home that is not served is a process, too, and takes nothing from anybody.
            assert leases(third, "--store", database) == []
            assert leases(one) == ["clients", "hosts", "mesh", "retention"]
            first.close()
            await until(lambda: leases(other) == ["clients", "hosts", "mesh", "retention"])


def leases(home: Path, *words: str) -> Any:
    return told("status", "--home", home, *words)["leases"]
