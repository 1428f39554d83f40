"""Measures the clients' door: what a submit costs, and what is sent to many devices.

`make bench-clients`, a part of `make bench`; `PARTS="submits idle"` runs some of it. A node is a
process of `postbox serve`; beside it, in the same run and asked by turns, stands what connectrpc
does alone on the same server (`bare.py`). Nothing here is a promise: figures with their
circumstances are in benches/README.md.
"""
