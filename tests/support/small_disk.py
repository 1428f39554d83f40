"""A disk of a few megabytes, which is soon full: in memory, mounted where that may be done."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CHUNK = bytes(2**16)


@dataclass(frozen=True)
class SmallDisk:
    path: Path

    def resize(self, mebibytes: int) -> None:
        _mount("-o", f"remount,size={mebibytes}m", self.path)

    def fill(self) -> Path:
        """To the last byte; returns the file that takes all the room."""
        filler = self.path / "filler"
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(CHUNK)
                except OSError as error:
                    if error.errno == errno.ENOSPC:
                        return filler
                    raise


@contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    with tempfile.TemporaryDirectory(prefix="postbox-disk-", dir="/tmp") as name:
        path = Path(name)  # short, since a server's socket may be in it
        try:
            _mount("-t", "tmpfs", "-o", f"size={mebibytes}m,mode=755", "postbox", path)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a disk of its own cannot be mounted here: {error}")
        try:
            yield SmallDisk(path)
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, stderr=subprocess.PIPE)
