"""How many files the process may have open: a connection is one."""

from __future__ import annotations

import resource

from postbox.config import Config

FILES_BESIDE = 100
"""Databases, peers that are asked, verbs on the socket, the log."""


def needed(config: Config) -> int:
    return config.serve.max_connections + FILES_BESIDE


def most() -> int:
    """As many as whoever runs it may have without asking the system's administrator."""
    return _as_int(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def take(config: Config) -> None:
    """Asks the system for as many as are needed. What it gives a process at first is often
    1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(_as_int(soft), min(needed(config), _as_int(hard)))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def room(config: Config) -> int:
    """For so many connections there is room now, `serve.max_connections` at most."""
    allowed = _as_int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return min(config.serve.max_connections, max(1, allowed - FILES_BESIDE))


def _as_int(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit
