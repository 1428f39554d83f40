"""A file that is written under another name beside it, and takes its own when it is complete."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postbox.errors import Fault
from postbox.home import flush


class CannotWrite(Fault):
    """The file cannot be written."""


@contextmanager
def part_file(file: Path, *, replaces: bool) -> Iterator[Path]:
    """Where to write it: there, empty, and for its owner alone. At the end it is made durable, and
    then `file`; if that failed, nothing is left. One that a killed process left there is taken
    over, one that is being written is not."""
    _require_free(file, replaces=replaces)
    part = file.with_name(f"{file.name}.part")
    try:
        handle = _claim(part)
        try:
            yield part
            os.fsync(handle)
            _require_free(file, replaces=replaces)
            part.replace(file)
            flush(file.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
    except OSError as error:
        raise CannotWrite(f"cannot write {file}: {error.strerror or error}") from error


def _require_free(file: Path, *, replaces: bool) -> None:
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise CannotWrite(
            f"will not write {file}: it is a link, a pipe, a device or a folder; name a plain file"
        )
    if file.exists() and not replaces:
        raise CannotWrite(f"{file} is there already: name another file, or say --replace")


def _claim(part: Path) -> int:
    """Open as long as it is ours."""
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), part.stat()):
            raise BlockingIOError  # whoever wrote it has just given it its name
        os.fchmod(handle, 0o600)
        os.ftruncate(handle, 0)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError | FileNotFoundError):
            raise CannotWrite(f"{part} is being written by another process: wait for it") from None
        raise
    return handle
