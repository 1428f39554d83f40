"""`python -m mesh_bench [PART]...`: the tables, in Markdown."""

from __future__ import annotations

from kernel_bench.report import report
from mesh_bench import choosing, gossip, recovering

if __name__ == "__main__":
    report({"recovering": recovering.rows, "gossip": gossip.rows, "choosing": choosing.rows})
