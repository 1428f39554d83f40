"""`python -m hosts_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

from hosts_bench import delivery, destinations, pending, posting, restarting
from kernel_bench.report import report

if __name__ == "__main__":
    report(
        {
            "posting": posting.rows,
            "pending": pending.rows,
            "delivery": delivery.rows,
            "destinations": destinations.rows,
            "restarting": restarting.rows,
        }
    )
