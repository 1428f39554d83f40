"""A home: the folder that holds a node's key, its database and its lock.

One process at a time has it open. The lock goes with the process, however that ends; the number
in the file is only for whoever finds it taken, and is missing where the disk is full. Git leaves a
home alone, so that a key is not committed by accident.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postbox.errors import Fault, HomeInUse

DATABASE = "postbox.db"
STORE = "store"
LOCK = "lock"
RESTORING = "restoring"
IGNORED = ".gitignore"
IGNORE_ALL = b"# The key in this folder is a secret: nothing of it belongs into git.\n*\n"


class BadHome(Fault):
    """The folder cannot be made or used."""

    def __init__(self, path: Path, why: str) -> None:
        shown = str(path).encode(errors="backslashreplace").decode()
        super().__init__(f"cannot use {shown} as a home: {why}. Mend that, or name another folder")


class HalfRestored(Fault):
    """A restore was cut short; what is there is not to be used."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"a restore into the home {path} was cut short: run the same `postbox restore` again"
        )


def home_at(name: str) -> Path:
    """The folder of this name, which need not be there yet. Raises BadHome for what can be none."""
    path = Path(name)
    try:
        name.encode()
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return path
    except UnicodeEncodeError:
        raise BadHome(path, "its path is not UTF-8, which the database needs") from None
    except OSError as error:
        raise BadHome(path, str(error.strerror)) from error
    if not is_folder:
        raise BadHome(path, "it is not a folder")
    return path


@contextmanager
def open_home(path: Path, *, restores: bool = False) -> Iterator[Path]:
    """Made if it is not there (for its owner only), and locked until the end. `restores`: for who
    may find it half restored."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (path / DATABASE).exists():
            _hide_from_git(path)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadHome(path, f"{error.filename}: {error.strerror}") from error
    try:
        _take(lock, path)
        if not restores:
            require_whole(path)
        yield path
    finally:
        os.close(lock)


def require_whole(path: Path) -> None:
    """Raises HalfRestored."""
    if (path / RESTORING).exists():
        raise HalfRestored(path)


def replace_file(path: Path, content: bytes, *, durable: bool) -> None:
    """A small file of a home, whole or as it was before; `durable`: also after a power cut. For its
    owner only. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as new:
        new.write(content)
        new.flush()
        if durable:
            os.fsync(file)
    draft.replace(path)
    if durable:
        flush(path.parent)


def flush(path: Path) -> None:
    """Makes a file durable, or the names in a folder."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def database_of(home: Path, named: str) -> str:
    """Where this home's log lies: the URL that is `named`, else the one that it remembers, else its
    own file."""
    return named or _remembered(home) or str(home / DATABASE)


def remember_database(home: Path, database: str) -> None:
    """There may be a password in it, which its owner alone may read. Raises BadHome."""
    if database in (str(home / DATABASE), _remembered(home)):
        return
    try:
        replace_file(home / STORE, f"{database}\n".encode(), durable=True)
    except OSError as error:
        raise BadHome(home, f"{error.filename}: {error.strerror}") from error


def _remembered(home: Path) -> str:
    try:
        return (home / STORE).read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadHome(home, f"{home / STORE} cannot be read: {error}") from error


def _hide_from_git(path: Path) -> None:
    """While there is no node yet: whoever wants a home in git deletes the file, and has it so.
    Where no file can be made, what the node cannot do without says it."""
    with suppress(OSError):
        file = os.open(path / IGNORED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, IGNORE_ALL)
        except OSError:
            (path / IGNORED).unlink()
        finally:
            os.close(file)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise HomeInUse(
            f"the home {path} is open in another process (pid {holder}):"
            " stop that one first, or use another home"
        ) from None
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
