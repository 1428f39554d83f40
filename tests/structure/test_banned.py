"""The outside comes through World only: ruff refuses other ways, and nobody switches it off."""

from __future__ import annotations

import json
import subprocess
import tomllib

import pytest

from structure.tree import BIN, ROOT, modules

ORDINARY = "python/postbox/mesh/gossip.py"


def refusals(source: str, path: str) -> list[str]:
    """The names that ruff refuses (TID251) if `source` were the file at `path`."""
    ruff = subprocess.run(
        [BIN / "ruff", "check", "--output-format", "json", "--stdin-filename", path, "-"],
        input=source,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ruff.stdout)
    return [problem["message"].split("`")[1] for problem in found if problem["code"] == "TID251"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time", "time"),
        ("from time import monotonic", "time"),
        ("import random", "random"),
        ("import secrets", "secrets"),
        ("import os\nos.urandom(1)", "os.urandom"),
        ("from os import urandom", "os.urandom"),
        ("import uuid", "uuid"),
        ("import sqlite3", "sqlite3"),
        ("import psycopg\npsycopg.connect('')", "psycopg.connect"),
        ("import socket", "socket"),
        ("from anyio import to_thread", "anyio.to_thread"),
        ("import trio\ntrio.to_thread.run_sync(int)", "trio.to_thread"),
        ("from trio import to_thread", "trio.to_thread"),
        ("from postbox._core import Ledger", "postbox._core"),
        ("from postbox import _core", "postbox._core"),
    ],
)
def test_a_way_around_world_is_refused(source: str, name: str) -> None:
    assert refusals(source, ORDINARY) == [name]


def test_world_itself_is_not_refused() -> None:
    assert refusals("import time", "python/postbox/world.py") == []


def test_the_ban_is_lifted_in_three_files_of_the_package_and_by_no_comment() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ignores = settings["tool"]["ruff"]["lint"]["per-file-ignores"]
    lifted = {path for path, codes in ignores.items() if "TID251" in codes}
    three = ("core", "world", "client/system")
    assert lifted == {*(f"python/postbox/{name}.py" for name in three), "benches/*"}
    silenced = [path for path in modules() if "TID251" in path.read_text(encoding="utf-8")]
    assert silenced == []
