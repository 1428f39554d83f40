"""Runs the parts of a bench that are asked for, and prints each as a table in Markdown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from kernel_bench.disk import syncs_per_s
from kernel_bench.places import Place, places

Part: TypeAlias = Callable[[dict[str, Place]], Iterator[Sequence[str]]]
"""Given where empty databases are had, by engine; its first row has the heads."""


def report(parts: Mapping[str, Part]) -> None:
    """Those that the command line names, or all."""
    if unknown := set(sys.argv[1:]) - set(parts):
        sys.exit(f"no parts: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    begun_s = time.perf_counter()
    with places() as found:
        for name in sys.argv[1:] or parts:
            wanted, syncs = os.getloadavg()[0], syncs_per_s()
            print(f"{name}, beside {wanted:.1f} processes that wanted a core;", end=" ")
            print(f"the disk did {syncs:,.0f} fdatasync/s:\n")
            show(parts[name](found))
            print(flush=True)
    print(f"measured in {time.perf_counter() - begun_s:.0f} s")


def show(rows: Iterator[Sequence[str]]) -> None:
    """Row by row, as they come."""
    heads = next(rows)
    for row in (heads, ["---"] * len(heads)):
        print(f"| {' | '.join(row)} |", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
