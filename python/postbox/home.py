"""A home: the folder that holds a node's key, its database and its lock.

One process at a time has it open. The lock goes with the process, however that ends; the number
in the file is only for whoever finds it taken.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postbox.errors import Fault, HomeInUse

DATABASE = "postbox.db"
LOCK = "lock"


class BadHome(Fault):
    """The folder cannot be made or used."""


@contextmanager
def open_home(path: Path) -> Iterator[Path]:
    """Made if it is not there (for its owner only), and locked until the end."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadHome(f"can not use {path} as a home: {error.strerror}") from error
    try:
        _take(lock, path)
        yield path
    finally:
        os.close(lock)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise HomeInUse(
            f"the home {path} is open in another process (pid {holder}):"
            " stop that one first, or use another home"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
