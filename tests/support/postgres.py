"""A real PostgreSQL for the tests: one server a run, a database of its own for each test.

The server has a short folder under /tmp and listens on a socket in it, nowhere else. A watcher that
holds the other end of a pipe stops it and removes the folder when the run ends, however it ends.
Where PostgreSQL is not installed, tests that need it are skipped (with CI=true they fail).
"""

from __future__ import annotations

import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from postbox.world import FileDisk

OWNER = "postbox"
START_S = "600"  # or stop, on a slow machine that is busy with everything else
_PLACES = ("/usr/lib/postgresql", "/usr/local", "/usr/local/opt")
_FINDINGS = ("*/bin/initdb", "*/*/bin/initdb", "bin/initdb")

# fsync and all that makes a commit durable are as they come: on.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


def programs() -> Path | None:
    """Where initdb, pg_ctl and postgres are: on the PATH, or where Debian and others put them."""
    found = [Path(on_path).resolve()] if (on_path := shutil.which("initdb")) else []
    for place in map(Path, _PLACES):
        here = [each for pattern in _FINDINGS for each in place.glob(pattern)]
        found += sorted(here, key=_version, reverse=True)
    return next((each.parent for each in found if (each.parent / "postgres").exists()), None)


def _version(program: Path) -> list[int]:
    """The numbers in its path."""
    return [int(number) for number in re.findall(r"\d+", str(program))]


def account() -> dict[str, Any]:
    """As whom the server runs: it refuses to be root's."""
    if os.getuid() != 0:
        return {}
    names = {each.pw_name: each for each in pwd.getpwall()}
    who = names.get("postgres") or names["nobody"]
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


@dataclass
class Server:
    """Started by `started`."""

    folder: Path
    _call: Callable[..., None]
    _options: str
    _free: list[str] = field(default_factory=list)
    _made: int = 0

    def url(self, database: str = "postgres", **parameters: str) -> str:
        asked = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"postgresql://{OWNER}@/{database}?host={self.folder}{asked}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """One statement by a connection of its own, as the operator would."""
        with FileDisk().connect_database(self.url(database)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty one. To make one takes half a second, so it is used again later."""
        name = self._free.pop() if self._free else self._make()
        try:
            yield self.url(name)
        finally:
            self._clean(name)
            self._free.append(name)

    def _clean(self, name: str) -> None:
        self.cut(name)
        for statement in (
            f"alter database {name} allow_connections true",
            f"alter database {name} reset all",
        ):
            self.run(statement)
        for statement in ("drop schema public cascade", "create schema public"):
            self.run(statement, name)

    def _make(self) -> str:
        self._made += 1
        name = f"test_{self._made}"
        self.run(f"create database {name} template template0")
        return name

    @contextmanager
    def another_folder(self) -> Iterator[Path]:
        """With a path that is short enough for a socket."""
        with tempfile.TemporaryDirectory(prefix="postbox-pg-", dir="/tmp") as folder:
            yield Path(folder)

    def stop(self, how: str = "fast") -> None:
        """`immediate` is a crash, as far as the server can tell: it recovers at its start."""
        self._call("pg_ctl", f"--mode={how}", "--wait", "stop")

    def start(self) -> None:
        log, options = self.folder / "log", f"--options={self._options}"
        self._call("pg_ctl", f"--log={log}", options, "--wait", "start")

    def promote(self) -> None:
        """From now on a standby takes writes."""
        self._call("pg_ctl", "--wait", "promote")

    def configure(self, name: str, value: str) -> None:
        self.run(f"alter system set {name} = '{value}'")
        self.reload()

    def reload(self) -> None:
        """Reads its files again. From then on they hold for whoever connects, and for those who
        have, from their next statement on."""
        asked = "select pg_conf_load_time()"
        before = self.run(asked)
        self.run("select pg_reload_conf()")
        while self.run(asked) == before:
            select.select([], [], [], 0.01)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def backends(self, database: str) -> list[int]:
        """The server's processes that serve its clients."""
        found = self.run(
            f"select pid from pg_stat_activity where datname = '{database}'"
            " and backend_type = 'client backend'"
        )
        return [pid for (pid,) in found]

    def crash(self, backend: int) -> None:
        """Kills one of its processes, upon which it ends all others and recovers."""
        with suppress(psycopg.OperationalError):
            with FileDisk().connect_database(self.url()) as witness:
                os.kill(backend, signal.SIGKILL)
                while True:
                    witness.execute("select pg_sleep(0.01)")
        while not self._answers():
            select.select([], [], [], 0.05)

    def _answers(self) -> bool:
        try:
            return bool(self.run("select 1"))
        except psycopg.OperationalError:
            return False

    def cut(self, database: str) -> int:
        """Ends all connections of clients to it (an autovacuum is none); returns how many."""
        ended = self.run(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            f" where datname = '{database}' and pid <> pg_backend_pid()"
            " and backend_type = 'client backend'"
        )
        return len(ended)


def started(
    programs: Path,
    environment: Mapping[str, str] = {},
    place: Path = Path("/tmp"),
    primary: Server | None = None,
) -> Iterator[Server]:
    """With `environment` besides that of this process, in `place`: a socket's path is short. Of a
    `primary`: a standby that follows it, and has all that it has by now."""
    folder = Path(tempfile.mkdtemp(prefix="postbox-pg-", dir=place))
    who, variables = account(), {**os.environ, "PGCTLTIMEOUT": START_S, **environment}
    if who:
        os.chown(folder, who["user"], who["group"])
    data = folder / "data"

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), f"--pgdata={data}", *arguments]
        # `pg_ctl` leaves its output to the server, so it goes to a file and not into a pipe.
        with (folder / "said").open("wb+") as said:
            ran = subprocess.run(
                command,
                stdout=said,
                stderr=said,
                cwd=folder,
                env=variables,
                check=False,
                **who,
            )
            said.seek(0)
            assert ran.returncode == 0, f"{command} failed: {said.read().decode()}"

    stop = f'"{programs}/pg_ctl" --pgdata="{data}" -m immediate -w stop'
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", f'read _; {stop}; rm -rf "{folder}"'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is not for it
        cwd="/tmp",
        **who,
    )
    try:
        if primary is None:
            call(
                *("initdb", "--auth=trust", f"--username={OWNER}", "--encoding=UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions"),
            )
        else:
            call(
                *("pg_basebackup", f"--host={primary.folder}", f"--username={OWNER}"),
                *("--checkpoint=fast", "--write-recovery-conf", "--no-sync"),
            )
        settings = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        options = f"-c unix_socket_directories={folder} {settings}"
        server = Server(folder, call, options)
        server.start()
        yield server
    finally:
        watcher.communicate()
        shutil.rmtree(folder, ignore_errors=True)  # what was not the server's


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this run, started for the first test that asks for it."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    yield from started(found)


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, with a database in both. To be had for one test."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """Of whichever takes writes."""
        return f"{self.primary.url()},{self.standby.folder}"

    def wait_replayed(self) -> None:
        """Until the standby shows all that the primary has."""
        [(upto,)] = self.primary.run("select pg_current_wal_lsn()")
        asked = f"select pg_last_wal_replay_lsn() >= '{upto}'"
        while self.standby.run(asked) != [(True,)]:
            select.select([], [], [], 0.05)


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """To be stopped, damaged and put back."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    yield from started(found)


@pytest.fixture
def pair() -> Iterator[Pair]:
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    for primary in started(found):
        for standby in started(found, primary=primary):
            yield Pair(primary, standby)


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> str:
    """A database of either engine, the same at every opening in one test."""
    if request.param == "sqlite":
        return "node.db"
    url: str = request.getfixturevalue("database")
    return url


if __name__ == "__main__":  # for `make postgres`: where it is, or a failure if it is not there
    raise SystemExit(0 if programs() else "PostgreSQL is not installed")
