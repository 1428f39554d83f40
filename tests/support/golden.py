"""Databases as earlier versions left them, from data/schemas.

`python -m support.golden` (with PYTHONPATH=tests) writes the one of PostgreSQL anew; that is only
right while its migrations were not released.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from postbox.home import DATABASE
from postbox.node import MIGRATIONS
from postbox.store.backup import fill_server
from postbox.store.open import open_database
from postbox.world import FileDisk
from support.postgres import programs, started

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
DISK = FileDisk()


def first_status() -> dict[str, Any]:
    """What the first version said of its node."""
    status: dict[str, Any] = json.loads((SCHEMAS / "first.json").read_bytes())
    return status


def make_first_home(home: Path) -> None:
    """The home of that node, as it left it."""
    home.mkdir(mode=0o700)
    (home / "node.key").touch(0o600)
    (home / "node.key").write_bytes((SCHEMAS / "first.node.key").read_bytes())
    connection = DISK.open_database(str(home / DATABASE))
    connection.execute((SCHEMAS / "first.sqlite.sql").read_text())
    connection.pragma("journal_mode", "wal")
    connection.close()


def make_first_server(url: str) -> None:
    """The same node in an empty database, as the first version that knew PostgreSQL left it."""
    with DISK.connect_database(url) as connection:
        connection.execute((SCHEMAS / "first.postgres.sql").read_bytes())


def upgraded(path: str) -> str:
    """The database at a path or URL, with tables of today."""
    open_database(DISK, path, MIGRATIONS, bytes(16), bytes(32)).close()
    return path


def write_first_server() -> None:
    folder = programs()
    assert folder is not None, "PostgreSQL is not installed"
    for postgres in started(folder):
        with postgres.database() as url, tempfile.TemporaryDirectory() as home:
            make_first_home(Path(home) / "home")
            path = upgraded(str(Path(home) / "home" / DATABASE))
            deque(fill_server(DISK, path, url, MIGRATIONS), maxlen=0)
            (SCHEMAS / "first.postgres.sql").write_text(_dumped(folder, url))


def _dumped(folder: Path, url: str) -> str:
    """Without what only psql understands."""
    words = ["--inserts", "--no-owner", "--no-privileges", "--schema=public", url]
    ran = subprocess.run([folder / "pg_dump", *words], capture_output=True, text=True, check=True)
    lines = [line for line in ran.stdout.splitlines() if line and not line.startswith(("\\", "--"))]
    return "\n".join(lines).replace("CREATE SCHEMA public;\n", "") + "\n"


if __name__ == "__main__":
    write_first_server()
