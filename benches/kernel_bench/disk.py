"""The yardstick of every durable rate: how often the disk syncs a page."""

from __future__ import annotations

import os
import tempfile
import time

SECONDS = 1.0
PAGES = 1_000  # written over again and again, as a database's log is


def syncs_per_s() -> float:
    """Where `TMPDIR` says, as the databases of the bench."""
    page, count = bytes(4096), 0
    with tempfile.TemporaryFile(prefix="postbox-bench-", buffering=0) as file:
        file.write(page * PAGES)
        os.fsync(file.fileno())
        begun_s = time.perf_counter()
        while (elapsed_s := time.perf_counter() - begun_s) < SECONDS:
            os.pwrite(file.fileno(), page, count % PAGES * len(page))
            os.fdatasync(file.fileno())
            count += 1
    return count / elapsed_s
