"""Ports for those that must know theirs before they listen, or listen on it again later.

A port that a system gave away and that was let go of may be anybody's by then: each connection of
every process on this machine is given one from the same range. These are from below it.
"""

from __future__ import annotations

import os
import socket  # noqa: TID251  (to see whether somebody listens)
from itertools import count

FIRST, COUNT = 20_000, 12_000  # Linux gives away those from 32,768 on, others higher ones

_steps = count(os.getpid() * 61)  # processes begin far from each other


def free_port() -> int:
    """On loopback, and another one each time."""
    while True:
        port = FIRST + next(_steps) % COUNT
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
