"""`python -m clients_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

import os
import sys
import time

from clients_bench import catching_up, fan_out, idle, snapshots, submits
from hosts_bench.disk import syncs_per_s
from kernel_bench.__main__ import show
from kernel_bench.places import places

PARTS = {
    "submits": submits.rows,
    "catching_up": catching_up.rows,
    "fan_out": fan_out.rows,
    "idle": idle.rows,
    "snapshots": snapshots.rows,
}


def main() -> None:
    begun_s = time.perf_counter()
    with places() as found:
        for name in sys.argv[1:] or PARTS:
            wanted, syncs = os.getloadavg()[0], syncs_per_s()
            print(f"{name}, beside {wanted:.1f} processes that wanted a core;", end=" ")
            print(f"the disk did {syncs:,.0f} fdatasync/s:\n")
            show(PARTS[name](found))
            print(flush=True)
    print(f"measured in {time.perf_counter() - begun_s:.0f} s")


if __name__ == "__main__":
    main()
