"""A device's file is opened by one at a time, for whom it is, and whatever is wrong with it has a
name; what was in it stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from postbox.client.errors import AnotherOwner, BrokenDatabase, DatabaseInUse, NoDatabase
from postbox.client.facts import Owner
from postbox.client.store import open as opening
from postbox.client.store import schema
from postbox.client.store.open import open_store
from postbox.errors import Full, SchemaTooNew, Unavailable
from postbox.world import FileDisk
from support.crash_disk import crash_disk
from support.device_file import ANN, BOB, OWNER, PATH, dump, opened, send, uuid
from support.simulate import MemoryDisk

OPEN = """
import sys
from postbox.client.store.open import open_store
from postbox.world import FileDisk
store = open_store(FileDisk(), sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / PATH
    with opened(FileDisk(), str(path)) as store:
        send(store, "a secret", 1)
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes) == {PATH, f"{PATH}-lock", f"{PATH}-wal", f"{PATH}-shm"}
    assert set(modes.values()) == {0o600}


def test_what_is_made_is_on_the_disk_before_it_counts() -> None:
    with opened() as store:
        assert store._writer.pragma("synchronous") == 2


def test_a_second_client_of_the_file_is_refused_until_the_first_is_closed() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        with pytest.raises(DatabaseInUse, match=r"device.db is open in another process, or twice"):
            open_store(disk, PATH)
        send(store, "not disturbed", 1)
    with opened(disk) as store:
        assert store.queued() == 1


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = str(tmp_path / PATH)
    command = [sys.executable, "-c", OPEN, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseInUse):
            open_store(FileDisk(), path)
        other.kill()
        other.wait()
    with opened(FileDisk(), path):
        with pytest.raises(DatabaseInUse):
            open_store(FileDisk(), path)
        # To have tried it again has not let the lock go: POSIX would, with any closing of the file.
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "DatabaseInUse" in tried.stderr


def test_a_file_that_could_not_be_opened_is_not_locked_either() -> None:
    disk = MemoryDisk()
    with opened(disk):
        pass
    with pytest.raises(AnotherOwner):
        open_store(disk, PATH, Owner(BOB, "phone", "example.org"))
    with opened(disk):
        pass


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Owner(BOB, "phone", "example.org"), "belongs to"),
        (Owner(ANN, "tablet", "example.org"), "on the device 'phone', and this is"),
        (Owner(ANN, "phone", "example.com"), "is of the host example.org, and not of example.com"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(other: Owner, why: str) -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        send(store, "for example.org", 1)
        before = dump(store)
        with pytest.raises(AnotherOwner, match=why):
            store.claim(other)
        assert dump(store) == before
    with pytest.raises(AnotherOwner, match=why):
        open_store(disk, PATH, other)
    with opened(disk) as store:
        assert dump(store) == before


def test_a_file_is_nobodys_until_it_is_claimed_and_stays_whose_it_is() -> None:
    disk = MemoryDisk()
    store = open_store(disk, PATH)
    owners = [store.owner]
    for owner in (Owner(ANN, "phone"), OWNER, Owner(ANN, "phone")):
        store.claim(owner)
        owners.append(store.owner)
    assert owners == [None, Owner(ANN, "phone"), OWNER, OWNER]
    store.close()
    store = open_store(disk, PATH)
    assert store.owner == OWNER
    store.close()


def test_a_host_may_move_if_somebody_says_so() -> None:
    disk, moved = MemoryDisk(), Owner(ANN, "phone", "example.com")
    with opened(disk) as store:
        store.claim(moved, moves=True)
    with opened(disk, owner=moved) as store:
        assert store.owner == moved


def test_a_file_of_a_newer_version_is_refused_and_left_alone() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        store._writer.execute("update version set number = 9, compatible = 7")
    with pytest.raises(
        SchemaTooNew, match=r"device.db was written by a newer version, which knows migration 7"
    ):
        open_store(disk, PATH)
    connection = disk.open_database(PATH)
    assert connection.execute("select number from version").fetchall() == [(9,)]


def test_a_newer_file_that_still_fits_is_opened() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        store._writer.execute("update version set number = 9")
    with opened(disk) as store:
        send(store, "fits", 1)


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    steps = schema.load_steps()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.compatible <= step.number for step in steps)


@pytest.mark.parametrize("name", ["missing/device.db", "."])
def test_a_file_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoDatabase, match=r"cannot be opened or written"):
        open_store(FileDisk(), str(tmp_path / name))


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / PATH
    for letter in (b"my diary", b"this is a letter\n" * 100):
        path.write_bytes(letter)
        with pytest.raises(BrokenDatabase, match=r"name another, .* put a backup in its place"):
            open_store(FileDisk(), str(path))
        assert path.read_bytes() == letter


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / PATH
    connection = apsw.Connection(str(path))
    connection.execute("create table letter (text)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BrokenDatabase, match=r"is a database of another program"):
        open_store(FileDisk(), str(path))
    assert path.read_bytes() == before


def test_a_database_that_lost_its_end_is_refused_when_that_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / PATH
    with opened(FileDisk(), str(path)) as store:
        for number in range(1, 40):
            send(store, "x" * 4_000, number)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(BrokenDatabase, match=r"is not a whole database .* put a backup"):
        with opened(FileDisk(), str(path)) as store:
            store.batch(100, 2**30)


def test_a_full_disk_is_named_and_nothing_is_written_until_there_is_room(tmp_path: Path) -> None:
    with crash_disk(tmp_path / "disk") as disk:
        with opened(disk) as store:
            send(store, "before", 1)
            before = dump(store)
            disk.has_room = False
            with pytest.raises(Full, match=r"make room on its disk; nothing was written"):
                send(store, "x" * 50_000, 2)
            assert dump(store) == before
            disk.has_room = True
            assert send(store, "now", 200).local == uuid(200)


def test_a_file_that_another_program_writes_to_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_MS", 1)
    path = str(tmp_path / PATH)
    with opened(FileDisk(), path) as store:
        other = apsw.Connection(path)
        other.execute("begin immediate")
        with pytest.raises(Unavailable, match=r"is locked by another program"):
            send(store, "soon", 1)
        other.close()
        send(store, "soon", 1)
