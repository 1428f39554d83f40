"""Names of hosts as an operator writes them. What is posted to a name that means something under
`--loopback` alone would wait for ever on a node without it, so it is taken where the node has it.
To speak of such a name is harmless: on a node that does not serve nobody knows yet whether it will
with `--loopback`."""

from __future__ import annotations

from collections.abc import Callable

from postbox.admin.command import Desk
from postbox.errors import Fault
from postbox.trust.host_names import (
    BadHostName,
    canonical_destination,
    canonical_host,
    canonical_pattern,
)


class BadName(Fault):
    """What was written names no host that can be meant."""


def own_host(desk: Desk) -> str | None:
    """What other hosts call this one, if it has a name. Raises BadName for one that is none."""
    name = desk.node.config.hosts.name
    return _read(lambda: canonical_host(name, is_local=_is_local(desk))) if name else None


def destination(desk: Desk, text: str) -> str:
    """A host other than this one, which this node can call. Raises BadName."""
    own, is_local = own_host(desk), desk.node.config.serve.loopback
    return _read(lambda: canonical_destination(text, own=own, is_local=is_local))


def known(text: str) -> str:
    """A host that there may be something of already, whatever it was called under. Raises
    BadName."""
    return _read(lambda: canonical_host(text, is_local=True))


def pattern(desk: Desk, text: str, *, grants: bool) -> str:
    """A host, or several. `grants`: to one that may mean nothing here, nothing is granted, nor to
    this node itself. Raises BadName."""
    is_local = _is_local(desk) or not grants
    host = _read(lambda: canonical_pattern(text, is_local=is_local))
    if grants and host == own_host(desk):
        raise BadName(f"{host} is this node itself: name the other host")
    return host


def _is_local(desk: Desk) -> bool:
    return desk.serving is None or desk.node.config.serve.loopback


def _read(name: Callable[[], str]) -> str:
    try:
        return name()
    except BadHostName as error:
        raise BadName(str(error)) from error
