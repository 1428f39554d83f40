"""`python -m kernel_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence

from kernel_bench import catching_up, processes, ready, waiting, writing
from kernel_bench.places import places

PARTS = {
    "writing": writing.rows,
    "processes": processes.rows,
    "catching_up": catching_up.rows,
    "waiting": waiting.rows,
    "ready": ready.rows,
}


def main() -> None:
    begun_s = time.perf_counter()
    with places() as found:
        for name in sys.argv[1:] or PARTS:
            print(f"{name}, beside {os.getloadavg()[0]:.1f} processes that wanted a core:\n")
            show(PARTS[name](found))
            print(flush=True)
    print(f"measured in {time.perf_counter() - begun_s:.0f} s")


def show(rows: Iterator[Sequence[str]]) -> None:
    """Row by row, as they come; the first has the heads."""
    heads = next(rows)
    for row in (heads, ["---"] * len(heads)):
        print(f"| {' | '.join(row)} |", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
