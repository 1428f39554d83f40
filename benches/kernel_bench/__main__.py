"""`python -m kernel_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

from kernel_bench import catching_up, processes, ready, waiting, writing
from kernel_bench.report import report

if __name__ == "__main__":
    report(
        {
            "writing": writing.rows,
            "processes": processes.rows,
            "catching_up": catching_up.rows,
            "waiting": waiting.rows,
            "ready": ready.rows,
        }
    )
