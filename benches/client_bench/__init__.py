"""Measures the client library: what an app waits for on a device.

`make bench-client`, a part of `make bench`; `PARTS="making"` runs some of it. Nothing here is a
promise: figures with their circumstances are in benches/README.md.
"""
