"""`python -m client_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

from client_bench import first_screen, making, taking_in, with_host
from kernel_bench.report import report

if __name__ == "__main__":
    report(
        {
            "making": making.rows,
            "first_screen": first_screen.rows,
            "taking_in": taking_in.rows,
            "with_host": with_host.rows,
        }
    )
