"""Memory modes: how many events the ledger keeps (nara memory.go, `docs/protocol/mesh.md`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType

CAPACITY = MappingProxyType({"short": 20_000, "medium": 80_000, "hog": 320_000})
MAX_CAPACITY = 20_000_000
"""Some 600 bytes an event in memory: beyond this a machine of 12 GB is full of them."""

_SHORT_MB, _MEDIUM_MB = 384, 1024
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def capacity_of(mode: str) -> int:
    """Events for `auto`, `short`, `medium`, `hog` or a number. Raises ValueError."""
    if mode == "auto":
        return CAPACITY[mode_for(available_mb())]
    if mode in CAPACITY:
        return CAPACITY[mode]
    if mode.isascii() and mode.isdigit() and 1 <= int(mode) <= MAX_CAPACITY:
        return int(mode)
    raise ValueError(
        f"{mode!r} is no memory mode: use auto, {', '.join(CAPACITY)}"
        f" or a number of events from 1 to {MAX_CAPACITY}"
    )


def mode_of(capacity: int) -> str:
    """What a node of this capacity tells its peers; nara's word for a number is `custom`."""
    return next((mode for mode, events in CAPACITY.items() if events == capacity), "custom")


def mode_for(megabytes: int) -> str:
    """The mode that a machine with so much memory gets; the bounds are nara's."""
    if megabytes <= _SHORT_MB:
        return "short"
    return "medium" if megabytes <= _MEDIUM_MB else "hog"


def available_mb(limits: Iterable[Path] = CGROUP_LIMITS) -> int:
    """The machine's memory, or its control group's limit if that is less, in MiB. `limits`: the
    files that tell the limit; those that are missing or hold no number tell none."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_read(limits)]) >> 20


def _read(paths: Iterable[Path]) -> list[int]:
    limits = []
    for path in paths:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # "max" is no limit
            limits.append(int(text))
    return limits
