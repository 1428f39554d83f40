"""The write-ahead log of SQLite has a bound, whatever readers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import shake_128
from pathlib import Path

import pytest

from postbox.store.contract import Change, Entry, Lane, Reader
from postbox.store.sqlite import checkpoints
from postbox.store.sqlite.driver import SqliteStore, open_sqlite
from postbox.world import FileDisk

PAGES = 100
BODY_BYTES = 10 * checkpoints.PAGE_BYTES
RESTART_BYTES = 2 * PAGES * checkpoints.PAGE_BYTES
PATIENCE_S = 60.0  # for the other thread: it never waits for long


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", PAGES)
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 2 * PAGES)


@dataclass
class Log:
    store: SqliteStore
    path: Path
    head: int = 0

    def append(self, count: int) -> None:
        """Some 11 pages each."""
        for _ in range(count):
            self.head += 1
            body = shake_128(self.head.to_bytes(8, "big")).digest(BODY_BYTES)
            name = self.head.to_bytes(16, "big")
            entry = Entry(self.head, Lane.MESH, b"mesh", None, name, 1, 1, b"", 1, body)
            self.store.write(lambda tx: tx.apply(Change(appends=[entry])))  # noqa: B023

    @property
    def written_ahead(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    path = tmp_path / "node.db"
    store = open_sqlite(FileDisk(), str(path), [], bytes(16), bytes(32))
    yield Log(store, path)
    store.close()
    assert not Path(f"{path}-wal").exists(), "left behind by a store that was closed"


class Relay:
    """Two readers of which one begins before the other one ends, again and again."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._has_begun = threading.Event(), threading.Event()
        self._ends = False

    def run(self, me: int) -> None:
        while not self._ends:
            self._store.read(lambda reader: self._hand_over(me, reader))

    def _hand_over(self, me: int, reader: Reader) -> None:
        reader.page(Lane.MESH, None, 0, 1, 1)
        self._has_begun[me].set()
        assert self._has_begun[1 - me].wait(PATIENCE_S)
        self._has_begun[1 - me].clear()

    def end(self) -> None:
        self._ends = True
        for event in self._has_begun:
            event.set()


@contextmanager
def relayed(store: SqliteStore) -> Iterator[None]:
    relay = Relay(store)
    threads = [threading.Thread(target=relay.run, args=(me,)) for me in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        while any(thread.is_alive() for thread in threads):
            relay.end()
            threads[0].join(0.01)
            threads[1].join(0.01)


def test_readers_that_leave_no_gap_do_not_keep_the_write_ahead_log_growing(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "READERS_MS", 1_000)  # a busy machine wakes a thread late
    most = 0
    with relayed(log.store):
        for _ in range(60):
            log.append(5)
            most = max(most, log.written_ahead)
    assert log.head * BODY_BYTES > 14 * RESTART_BYTES
    assert most < 3 * RESTART_BYTES


def test_a_reader_that_stays_costs_no_commit_and_the_disk_only_until_it_has_gone(log: Log) -> None:
    log.append(1)

    def stay(reader: Reader) -> None:
        assert len(reader.page(Lane.MESH, None, 0, 10, 1).entries) == 1
        log.append(100)
        assert log.written_ahead > 4 * RESTART_BYTES

    log.store.read(stay)
    log.append(2)  # the first starts the write-ahead log anew, the second writes at its beginning
    assert log.written_ahead <= RESTART_BYTES + 2**16
    assert log.store.read(lambda reader: reader.head) == 103
    assert log.store.check() == []
