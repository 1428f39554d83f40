"""Keeps events in sync: between peers of a mesh, hosts of a federation, and a host and its clients.

What an application imports from here is loaded when it is first asked for; `__init__.pyi` says the
same to type checkers.
"""

from __future__ import annotations

from importlib import import_module

_EVENTS = "postbox.rpc.postbox.v1.hosts_pb"

_WHERE = {
    "Delivery": "postbox.hosts.applications.handlers",
    "DirectInvite": _EVENTS,
    "Event": "postbox.hosts.applications.events",
    "GuildJoined": _EVENTS,
    "GuildLeft": _EVENTS,
    "Host": "postbox.hosts.applications.host",
    "InviteAnswered": _EVENTS,
    "Loss": "postbox.hosts.applications.handlers",
    "Refused": "postbox.hosts.applications.host",
    "open_host": "postbox.library",
    "post_in": "postbox.hosts.applications.own_connection",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
