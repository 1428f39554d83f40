"""What the log does on this machine, on both engines with everything that makes commits durable.

`make bench-kernel`, or `PYTHONPATH=tests:benches python -m kernel_bench [PART]...`; the parts are
the modules `writing`, `processes`, `catching_up`, `waiting` and `ready`. PostgreSQL is a server of
the bench's own, on a socket. The machine may be shared, so each figure is the best of a few runs,
the engines by turns, and beside it stands a yardstick of the same minute: what the driver does
alone. "CPU" is what this process had of the processors, in all its threads: of all figures the one
that depends least on what else runs.
"""
