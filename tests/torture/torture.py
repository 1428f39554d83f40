"""Kill -9 again and again: `make torture`, as often as fits a minute an engine.

A process that has only store and log, with 16 payers who submit at once, is killed at a random
moment, started again, killed again. After each time the log is compared with what was acknowledged:
nothing lost, nothing doubled, positions and numbers dense, each payer's drafts in order. On
PostgreSQL a backend or the whole server crashes, too, now and then, and the process goes on.
`--engine node` kills the whole node instead, `hosts` and `hosts-postgres` three that post to each
other, `clients` and `clients-postgres` one that devices talk to through a proxy that loses answers,
`library` and `library-postgres` such a one and its devices, too, which have the client library.

The page cache outlives a process, so this says nothing of a disk that loses what it was given: that
is `tests/crash/`. Processes are forked from this one, which has loaded everything.
"""

from __future__ import annotations

import argparse
import gc
import os
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from psycopg.conninfo import conninfo_to_dict

from postbox.store.contract import Store
from postbox.store.open import open_database
from postbox.world import SystemClock, system_world
from support.postgres import Server, programs, started
from support.simulate import SeededRandom
from support.toy_chat import MIGRATIONS
from torture.account import Account, Broken
from torture.writer import write_for_ever, write_opening

LONGEST_S = 0.2  # of a life: it has opened its store after a quarter of that
PATIENCE_S = 300.0  # for a server that crashed to be back, and the process to go on
MOST_ANSWERS = 40  # some batches
CHAOS = 0.03  # the share of lives in which the server crashes: each takes a second or two
CHECK_ALL = 200  # lives between two looks at the whole log
TELL_S = 20.0
EVENTS_A_KILL = 200  # at least, with three hosts: 10,000 for 50 kills
SETTLED_A_KILL = 50  # at least, with devices

IsOver: TypeAlias = Callable[[int, int], bool]
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    database: str
    server: Server | None = None  # which has it, and crashes now and then

    def crash(self, server: Server, random: SeededRandom) -> None:
        backends = server.backends(str(conninfo_to_dict(self.database)["dbname"]))
        if backends and random.fraction() < 0.5:
            server.crash(backends[0])
        else:
            server.stop("immediate")
            server.start()


@dataclass
class Life:
    """Of one process, from fork to kill."""

    pid: int
    pipe: int
    _heard: bytearray = field(default_factory=bytearray)

    def hear(self, seconds: float, *, lines: int = sys.maxsize) -> None:
        """For so long, or until so many more answers."""
        clock = SystemClock()
        until_s = clock.elapsed_s() + seconds
        stop = self._heard.count(b"\n") + lines
        while (left_s := until_s - clock.elapsed_s()) > 0 and self._heard.count(b"\n") < stop:
            if select.select([self.pipe], [], [], left_s)[0] and not self._read():
                return

    def _read(self) -> bool:
        data = os.read(self.pipe, 2**16)
        self._heard += data
        return bool(data)

    def kill(self) -> list[str]:
        """Every answer that it gave."""
        os.kill(self.pid, signal.SIGKILL)
        while self._read():
            pass
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise Broken(f"the process had ended by itself, with {status}")
        return self._heard.decode().splitlines()


def start(database: str, account: Account, seed: int) -> Life:
    pipe, answers = os.pipe()
    pid = os.fork()
    if pid:
        os.close(answers)
        return Life(pid, pipe)
    try:
        os.close(pipe)
        write_for_ever(database, answers, account.acknowledged, seed)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


@contextmanager
def opened(database: str) -> Iterator[Store]:
    store = open_database(system_world().disk, database, [MIGRATIONS], bytes(16), bytes(32))
    try:
        yield store
    finally:
        store.close()


@dataclass
class Torture:
    engine: Engine
    seed: int
    account: Account = field(default_factory=Account)
    lives: int = 0
    crashes: int = 0

    def run(self, is_over: Callable[[int], bool], tell: Callable[[str], None]) -> None:
        """Raises Broken."""
        write_opening(self.engine.database, system_world())
        clock = SystemClock()
        told_s = clock.elapsed_s()
        while not is_over(self.lives):
            self.lives += 1
            self._live()
            if clock.elapsed_s() - told_s > TELL_S:
                tell(self.summary())
                told_s = clock.elapsed_s()
        with opened(self.engine.database) as store:
            self.account.check_all(store)

    def _live(self) -> None:
        random = SeededRandom(self.seed * 1_000_003 + self.lives)
        life = start(self.engine.database, self.account, self.seed + self.lives)
        # Half of the kills come at any moment, half right upon an answer: if that came too early,
        # what it tells of is not there yet.
        lines = sys.maxsize if self.lives % 2 else 1 + int(random.fraction() * MOST_ANSWERS)
        life.hear(random.fraction() * LONGEST_S, lines=lines)
        if self.engine.server is not None and random.fraction() < CHAOS:
            self.crashes += 1
            self.engine.crash(self.engine.server, random)
            life.hear(PATIENCE_S, lines=1)
            life.hear(random.fraction() * LONGEST_S)
        for line in life.kill():
            self.account.take(line)
        with opened(self.engine.database) as store:
            self.account.check(store)
            if self.lives % CHECK_ALL == 0:
                self.account.check_all(store)

    def summary(self) -> str:
        crashes = f" ({self.crashes} crashes of the server)" if self.engine.server else ""
        return (
            f"{self.lives} kills{crashes}, {self.account.answers} drafts acknowledged,"
            f" 0 lost, 0 doubled; {self.account.unknown_but_there} were there without an answer"
        )


@contextmanager
def engine_named(name: str) -> Iterator[Engine]:
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="postbox-torture-") as folder:
            yield Engine(str(Path(folder) / "node.db"))
        return
    with server_started() as server, server.database() as url:
        yield Engine(url, server)


def server_started() -> AbstractContextManager[Server]:
    found = programs()
    if found is None:
        raise SystemExit("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return contextmanager(started)(found)


def torture(name: str, cycles: int | None, minutes: float, seed: int) -> bool:
    """Whether it held."""
    clock = SystemClock()
    until_s = clock.elapsed_s() + 60 * minutes

    def is_over(lives: int) -> bool:
        return clock.elapsed_s() >= until_s if cycles is None else lives >= cycles

    def tell(line: str) -> None:
        print(f"{name}: {line}", flush=True)

    with engine_named(name) as engine:
        each = Torture(engine, seed)
        try:
            each.run(is_over, tell)
        except Broken as broken:
            tell(f"BROKEN in life {each.lives} of seed {seed}: {broken}")
            return False
    tell(f"{each.summary()}; seed {seed}: held")
    return True


def nap(seconds: float) -> None:
    select.select([], [], [], seconds)


def torture_whole(cycles: int, seed: int) -> bool:
    from torture.whole_node import torture_node  # which loads the doors, too

    def tell(line: str) -> None:
        print(f"node: {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="postbox-torture-") as folder:
        try:
            tell(f"{torture_node(Path(folder), cycles, seed, tell, nap)}; seed {seed}: held")
        except Broken as broken:
            tell(f"BROKEN with seed {seed}: {broken}")
            return False
    return True


@contextmanager
def databases(count: int) -> Iterator[list[str]]:
    """On one server; none needs no server."""
    with ExitStack() as stack:
        server = stack.enter_context(server_started()) if count else None
        yield [stack.enter_context(server.database()) for _ in range(count) if server]


def torture_three(name: str, cycles: int | None, minutes: float, seed: int) -> bool:
    """`cycles`: kills, while as many events as the issue of host to host asks for are posted."""
    from torture.three_hosts import torture_hosts  # which needs certificates

    def run(folder: Path, is_over: IsOver, tell: Tell) -> str:
        with databases(3 if name == "hosts-postgres" else 0) as stores:
            return torture_hosts(folder, stores, is_over, seed, tell, nap)

    return _torture_served(name, cycles, minutes, EVENTS_A_KILL, seed, run)


def torture_devices(name: str, cycles: int | None, minutes: float, seed: int) -> bool:
    """`cycles`: kills, while some events a kill are settled."""
    from torture.clients import torture_clients  # which needs grpcio

    def run(folder: Path, is_over: IsOver, tell: Tell) -> str:
        with databases(1 if name == "clients-postgres" else 0) as stores:
            return torture_clients(folder, "".join(stores), is_over, seed, tell, nap)

    return _torture_served(name, cycles, minutes, SETTLED_A_KILL, seed, run)


def torture_with_library(name: str, cycles: int | None, minutes: float, seed: int) -> bool:
    """`cycles`: kills of the node, with five of devices each, while some messages are made."""
    from torture.library import torture_library

    def run(folder: Path, is_over: IsOver, tell: Tell) -> str:
        with databases(1 if name == "library-postgres" else 0) as stores:
            return torture_library(folder, "".join(stores), is_over, seed, tell, nap)

    return _torture_served(name, cycles, minutes, SETTLED_A_KILL, seed, run)


def _torture_served(
    name: str,
    cycles: int | None,
    minutes: float,
    events_a_kill: int,
    seed: int,
    run: Callable[[Path, IsOver, Tell], str],
) -> bool:
    """Whether it held."""
    clock = SystemClock()
    begun_s = told_s = clock.elapsed_s()

    def is_over(kills: int, events: int) -> bool:
        if cycles is None:
            return clock.elapsed_s() >= begun_s + 60 * minutes
        return kills >= cycles and events >= cycles * events_a_kill

    def tell(line: str) -> None:
        nonlocal told_s
        if clock.elapsed_s() - told_s > TELL_S:
            print(f"{name}: {line}", flush=True)
            told_s = clock.elapsed_s()

    with tempfile.TemporaryDirectory(prefix="postbox-torture-") as folder:
        try:
            came = run(Path(folder), is_over, tell)
        except Broken as broken:
            print(f"{name}: BROKEN with seed {seed}: {broken}", flush=True)
            return False
    print(f"{name}: {came}; seed {seed}: held", flush=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--engine", choices=["all", "both", *ENGINES, "node"], default="all")
    parser.add_argument("--cycles", type=int, help="for each engine; else --minutes")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each engine")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    if asked.engine == "node":
        return int(not torture_whole(asked.cycles or 10, asked.seed))
    gc.freeze()  # what is loaded is shared by all processes, untouched
    names = {"all": list(ENGINES), "both": ["sqlite", "postgres"]}.get(asked.engine, [asked.engine])
    held = [ENGINES[name](name, asked.cycles, asked.minutes, asked.seed) for name in names]
    return int(not all(held))


ENGINES = {
    "sqlite": torture,
    "postgres": torture,
    "hosts": torture_three,
    "hosts-postgres": torture_three,
    "clients": torture_devices,
    "clients-postgres": torture_devices,
    "library": torture_with_library,
    "library-postgres": torture_with_library,
}


if __name__ == "__main__":
    sys.exit(main())
