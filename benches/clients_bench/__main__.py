"""`python -m clients_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

from clients_bench import catching_up, fan_out, idle, snapshots, submits
from kernel_bench.report import report

if __name__ == "__main__":
    report(
        {
            "submits": submits.rows,
            "catching_up": catching_up.rows,
            "fan_out": fan_out.rows,
            "idle": idle.rows,
            "snapshots": snapshots.rows,
        }
    )
