"""A sync that fails in a real process: `failing_sync.c`, compiled and preloaded into it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class FailingSync:
    """One order at a time, of one process of those that have `environment`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.folder / "library.so"), "FAILING_SYNC": str(self._order)}

    @property
    def _order(self) -> Path:
        return self.folder / "order"

    def strike(self, pattern: str) -> None:
        """The next sync of a file with such a path fails, and only that."""
        draft = self.folder / "draft"
        draft.write_text(pattern)
        draft.chmod(0o644)
        draft.rename(self._order)

    @property
    def has_struck(self) -> bool:
        return not self._order.exists()


@pytest.fixture(scope="session")
def failing_sync() -> Iterator[FailingSync]:
    """In a folder that every account may use, since a server of root's tests is not root's."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (Debian: apt-get install gcc libc6-dev)")
    with tempfile.TemporaryDirectory(prefix="postbox-sync-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        command = [compiler, "-shared", "-fPIC", "-o", f"{folder}/library.so", str(SOURCE)]
        subprocess.run(command, check=True)
        yield FailingSync(folder)
