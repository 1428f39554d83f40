"""Databases as earlier versions left them, from data/schemas.

`python -m support.golden` (with PYTHONPATH=tests) writes those of the second version anew; that is
only right while its migrations were not released.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

import apsw.shell
import trio

from postbox.home import DATABASE
from postbox.node import MIGRATIONS
from postbox.store.backup import fill_server
from postbox.store.open import open_database
from postbox.world import FileDisk
from support.golden_life import live
from support.postgres import programs, started

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
DISK = FileDisk()


VERSIONS = ("first", "second")


def status_of(version: str) -> dict[str, Any]:
    """What it said of its node."""
    status: dict[str, Any] = json.loads((SCHEMAS / f"{version}.json").read_bytes())
    return status


def make_home(version: str, home: Path) -> None:
    """The home of its node, as it left it."""
    home.mkdir(mode=0o700)
    (home / "node.key").touch(0o600)
    (home / "node.key").write_bytes((SCHEMAS / f"{version}.node.key").read_bytes())
    connection = DISK.open_database(str(home / DATABASE))
    connection.execute((SCHEMAS / f"{version}.sqlite.sql").read_text())
    connection.pragma("journal_mode", "wal")
    connection.close()


def make_server(version: str, url: str) -> None:
    """The same node in an empty database, as the version that moved it to PostgreSQL left it."""
    with DISK.connect_database(url) as connection:
        connection.execute((SCHEMAS / f"{version}.postgres.sql").read_bytes())


def upgraded(path: str) -> str:
    """The database at a path or URL, with tables of today."""
    open_database(DISK, path, MIGRATIONS, bytes(16), bytes(32)).close()
    return path


def write_second() -> None:
    folder = programs()
    assert folder is not None, "PostgreSQL is not installed"
    with tempfile.TemporaryDirectory() as made:
        home = Path(made) / "home"
        trio.run(live, home)
        said = _status(home)
        names = status_of("first").keys()
        status = {name: said[name] for name in names}
        (SCHEMAS / "second.json").write_text(json.dumps(status, indent=2) + "\n")
        (SCHEMAS / "second.node.key").write_bytes((home / "node.key").read_bytes())
        path = str(home / DATABASE)
        (SCHEMAS / "second.sqlite.sql").write_text(_lines_of(path))
        for postgres in started(folder):
            with postgres.database() as url:
                deque(fill_server(DISK, path, url, MIGRATIONS), maxlen=0)
                (SCHEMAS / "second.postgres.sql").write_text(_dumped(folder, url))


def _status(home: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "postbox", "status", "--json", "--home", str(home)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def _lines_of(path: str) -> str:
    """Without what says when and where it was made."""
    output = io.StringIO()
    connection = DISK.open_database(path)
    shell = apsw.shell.Shell(db=connection, stdout=output)
    shell.process_command(".dump")  # type: ignore[no-untyped-call]
    connection.close()
    lines = [line for line in output.getvalue().splitlines() if not line.startswith("--")]
    return "\n".join(filter(None, lines)) + "\n"


def _dumped(folder: Path, url: str) -> str:
    """Without what only psql understands."""
    words = ["--inserts", "--no-owner", "--no-privileges", "--schema=public", url]
    ran = subprocess.run([folder / "pg_dump", *words], capture_output=True, text=True, check=True)
    lines = [line for line in ran.stdout.splitlines() if line and not line.startswith(("\\", "--"))]
    return "\n".join(lines).replace("CREATE SCHEMA public;\n", "") + "\n"


if __name__ == "__main__":
    write_second()
