"""Posts by an application's own connection to the node's database: a row of `draft`.

Needs no node in this process: whatever transaction the connection is in, when it is committed the
event is durable, and the node that works on this database sends it, as soon as it runs. In another
language: `insert into draft (id, host, type_url, value) values (16 random bytes, ...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protobuf import Message

from postbox.hosts.applications.events import Event, event_of
from postbox.store.application import execute
from postbox.trust.host_names import canonical_host
from postbox.world import system_world

if TYPE_CHECKING:
    from postbox.store.application import Connection

_INSERT = "insert into draft (id, host, type_url, value) values (?, ?, ?, ?)"


def post_in(
    connection: Connection, to: str, event: Message | Event, *, is_local: bool = False
) -> bytes:
    """The event's id. `is_local`: whether an address may stand for a host, as under `--loopback`.
    Raises BadEvent, BadHostName, TypeError for another library's connection, and as that does."""
    event_id = system_world().new_id()
    insert(connection, event_id, canonical_host(to, is_local=is_local), event_of(event))
    return event_id


def insert(connection: Connection, event_id: bytes, host: str, event: Event) -> None:
    execute(connection, _INSERT, (event_id, host, event.type_url, event.value))
