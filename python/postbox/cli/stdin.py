"""A file that a verb reads, where `-` is what comes on stdin."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from postbox.errors import Fault

STDIN = Path("-")


class NoRoom(Fault):
    """What comes on stdin cannot be kept while it is read."""


@contextmanager
def readable(file: Path) -> Iterator[Path]:
    """What comes on stdin is put into a file first: how much it is shows, and what it is, too."""
    if file != STDIN:
        yield file
        return
    with _copy_of_stdin() as copy:
        yield Path(copy.name)


def _copy_of_stdin() -> AbstractContextManager[Any]:
    try:
        copy = tempfile.NamedTemporaryFile(prefix="postbox-stdin-")  # noqa: SIM115  (it is given on)
        try:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
        except BaseException:
            copy.close()
            raise
    except OSError as error:
        raise NoRoom(
            f"cannot keep what comes on stdin: {error.strerror or error}. Set TMPDIR to a folder"
            " with room for it, or name a file"
        ) from error
    return copy
