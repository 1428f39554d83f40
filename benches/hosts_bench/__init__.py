"""Measures host to host: what posting costs, and how soon events are where they are to be.

`make bench-hosts`, a part of `make bench`; `PARTS="posting pending"` runs some of it. Nothing here
is a promise: figures with their circumstances are in benches/README.md.
"""
