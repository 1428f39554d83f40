"""A disk that can crash, for SQLite: it knows what of each file is safe, and what is only written.

`CrashDisk` is World's disk on real files in a folder, through a VFS of its own that notes every
call which changes something. What was not synced may be there after a crash, or not, sector by
sector, in any combination, or half a sector of it: `Platters` says what is left. Nothing is synced
for real, which would cost time and prove nothing. Of the log's shared memory nothing is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias, assert_never

import apsw
import psycopg

from support.simulate import SeededRandom

SECTOR = 512  # what a disk writes whole, or so the oldest of them promise
_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
_names = count()  # of VFSs in this process


@dataclass(frozen=True)
class Write:
    path: str
    offset: int
    data: bytes

    def sectors(self) -> Iterator[Write]:
        """Cut where the disk's sectors end."""
        at = 0
        while at < len(self.data):
            end = at + SECTOR - (self.offset + at) % SECTOR
            yield Write(self.path, self.offset + at, self.data[at:end])
            at = end


@dataclass(frozen=True)
class Truncate:
    path: str
    size: int


@dataclass(frozen=True)
class Sync:
    """SQLite syncs the folder, too, when it syncs a journal for the first time."""

    path: str
    with_folder: bool = False
    has_failed: bool = False


@dataclass(frozen=True)
class Create:
    path: str


@dataclass(frozen=True)
class Delete:
    path: str
    with_sync: bool  # of the folder


Change: TypeAlias = Write | Truncate
Op: TypeAlias = Change | Sync | Create | Delete
Fate: TypeAlias = Callable[[int], int]
"""Of how many bytes on their way to the disk as many get there, if it crashes now."""


def all_of(size: int) -> int:
    return size


def none_of(_size: int) -> int:
    return 0


def some_of(seed: int) -> Fate:
    """A seeded choice: most sectors are there or not, a few are torn."""
    random = SeededRandom(seed)

    def fate(size: int) -> int:
        drawn = random.fraction()
        if drawn < 0.1:
            return int(random.fraction() * size)
        return size if drawn < 0.55 else 0

    return fate


@dataclass
class Platter:
    """What a file holds."""

    safe: bytes = b""
    written: list[Change] = field(default_factory=list)

    def left(self, fate: Fate) -> bytes:
        content = bytearray(self.safe)
        for change in self.written:
            match change:
                case Truncate(_, size):
                    del content[size if fate(1) else len(content) :]
                case Write():
                    for sector in change.sectors():
                        _put(content, sector.offset, sector.data[: fate(len(sector.data))])
                case _ as never:
                    assert_never(never)
        return bytes(content)

    def settle(self, fate: Fate) -> None:
        self.safe, self.written = self.left(fate), []


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if data:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


class Platters:
    """A folder and its files, after the calls that were taken; `left` was there before.

    `failing` is what a failed sync leaves: the disk has forgotten the rest, and a later sync that
    succeeds brings nothing of it back.
    """

    def __init__(self, left: Mapping[str, bytes] = {}, failing: Fate = none_of) -> None:
        self._failing = failing
        self._seen = {path: Platter(content) for path, content in left.items()}  # by who looks now
        self._safe = dict(self._seen)  # what the folder is sure of
        self._named: list[tuple[str, Platter | None]] = []  # since then; None: deleted

    def take(self, op: Op) -> None:
        match op:
            case Write() | Truncate():
                self._seen[op.path].written.append(op)
            case Create(path):
                self._name(path, Platter())
            case Delete(path, with_sync):
                self._name(path, None)
                if with_sync:
                    self._sync_folder()
            case Sync(path, with_folder, has_failed):
                self._seen[path].settle(self._failing if has_failed else all_of)
                if with_folder and not has_failed:
                    self._sync_folder()
            case _ as never:
                assert_never(never)

    def _name(self, path: str, platter: Platter | None) -> None:
        self._named.append((path, platter))
        _put_name(self._seen, path, platter)

    def _sync_folder(self) -> None:
        self._safe, self._named = dict(self._seen), []

    def left(self, fate: Fate) -> dict[str, bytes]:
        """What is there after a crash now, by name."""
        names = dict(self._safe)
        for path, platter in self._named:
            if fate(1):
                _put_name(names, path, platter)
        return {path: platter.left(fate) for path, platter in names.items()}


def _put_name(names: dict[str, Platter], path: str, platter: Platter | None) -> None:
    if platter is None:
        names.pop(path, None)
    else:
        names[path] = platter


class CrashDisk:
    """`fails` is asked before each call that changes something, and may raise instead of it."""

    def __init__(self, folder: Path, vfs: str, fails: Callable[[Op], None]) -> None:
        self._folder = folder
        self.vfs = vfs
        self._fails = fails
        self.ops: list[Op] = []
        self.calls = 0  # these, and those that failed
        self.has_room = True

    def open_database(self, path: str) -> apsw.Connection:
        return apsw.Connection(str(self._folder / path), vfs=self.vfs)

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        raise AssertionError("this disk has files only")

    def note(self, op: Op, *, grows: bool = False) -> None:
        self.calls += 1
        try:
            self._fails(op)
        except apsw.Error:
            if isinstance(op, Sync):
                self.ops.append(replace(op, has_failed=True))
            raise
        if grows and not self.has_room:
            raise apsw.FullError("no room on this disk")
        self.ops.append(op)


class _File(apsw.VFSFile):
    def __init__(self, disk: CrashDisk, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = path
        self._syncs_folder = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xWrite(self, data: bytes, offset: int) -> None:
        grows = offset + len(data) > self.xFileSize()
        self._disk.note(Write(self._path, offset, bytes(data)), grows=grows)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.note(Truncate(self._path, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.note(Sync(self._path, self._syncs_folder))
        self._syncs_folder = False


class _Vfs(apsw.VFS):
    def __init__(self, disk: CrashDisk) -> None:
        self.disk = disk  # before SQLite knows of it
        super().__init__(disk.vfs, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        full_name = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = Path(full_name)
        if not path.exists():
            self.disk.note(Create(path.name))
        return _File(self.disk, path.name, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        if Path(name).exists():
            self.disk.note(Delete(Path(name).name, bool(syncdir)))
        super().xDelete(name, syncdir)


@contextmanager
def crash_disk(
    folder: Path,
    left: Mapping[str, bytes] = {},
    fails: Callable[[Op], None] = lambda _: None,
) -> Iterator[CrashDisk]:
    """In a folder that is made for it, with what an earlier one left, and removed at the end."""
    folder.mkdir()
    for path, content in left.items():
        (folder / path).write_bytes(content)
    disk = CrashDisk(folder, f"crash-{next(_names)}", fails)
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        vfs.unregister()
        shutil.rmtree(folder)
