"""What the hosts' door keeps beside its entries: which hosts there are, their keys, and how far
each link has come.

A link is one direction between two hosts. What goes out is numbered in the stream `out/<host>`, and
its durable reader is `to/<host>`; what came is in the stream `in/<host>`, read by `from/<host>`.
"""

from __future__ import annotations

from postbox.store.contract import MAX_BODY_BYTES, Column, Query, Table
from postbox.store.schema import Migrations

MIGRATIONS = Migrations("hosts", "postbox.hosts.migrations")

MAX_HOST_BYTES = 250  # of `domain:port`: with a prefix it names a stream, which has 255

MAX_EVENT_BYTES = MAX_BODY_BYTES - 1_024
"""Of an event as it is stored. What is added when it is sent (its number, two epochs, the message
around it) takes less than the rest, so that every event fits alone into a batch of 1 MiB."""

MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 2**20
"""Of the events that are sent at once: a batch is one commit at its receiver."""

KIND_EVENT = 1
"""The kind of entry that is an event: posted here, or come from another host. Its body is a
PostboxEvent; without one it was erased, and its number is a tombstone."""

KIND_LOST = 2
"""The kind of entry that says which numbers of a link are lost: its body is the PostboxEvent with
the tombstone."""

HOSTS_STREAM = b"hosts"
"""Of what followers are told about hosts: each change of the operator's word, each new contact."""

KIND_SET_HOST = 22
"""Its body is a row of `host`, as JSON."""

KIND_CONTACT = 23
"""A host that there was no contact with before: the first posting to it, or its first request. Its
body is JSON, with its name as `host`."""

KIND_FORGOTTEN = 24
"""Strangers of whom nothing is known any more: its body is their names, as JSON. There is one such
entry at a time."""

HOST = Table(
    "host",
    (Column("host", "text"), Column("admit", "text"), Column("tokens", "text")),
    key=1,
    followed=True,
)
"""The operator's word. `host` may be a pattern. Empty: nothing was said."""

CONTACT = Table(
    "contact",
    (
        Column("host", "text"),
        Column("first_ms", "integer"),
        Column("last_ms", "integer"),
        Column("view", "blob"),
    ),
    key=1,
    followed=True,
)
"""`view`: a View, of the link as that host saw it last; may be empty."""

PEER_KEY = Table(
    "peer_key",
    (
        Column("host", "text"),
        Column("keys", "blob"),
        Column("capabilities", "text"),
        Column("fetched_at_ms", "integer"),
    ),
    key=1,
)

HOST_KEY = Table(
    "host_key",
    (
        Column("only", "integer"),
        Column("number", "integer"),
        Column("from_ms", "integer"),
        Column("old_until_ms", "integer"),
    ),
    key=1,
)
"""One row, with `only` = 0. Key `number` is used from `from_ms` on, and only published before; key
`number` - 1 is published until `old_until_ms`. No row: key 0 from the beginning."""

LINK_OUT = Table(
    "link_out",
    (Column("host", "text"), Column("last_seq", "integer"), Column("spans", "blob")),
    key=1,
)

LINK_IN = Table(
    "link_in",
    (
        Column("host", "text"),
        Column("places", "blob"),
        Column("at_ms", "integer"),
        Column("refused_seq", "integer"),
        Column("refused_code", "text"),
        Column("refused_text", "text"),
    ),
    key=1,
)

CONSENT = Table(
    "consent",
    (Column("user", "text"), Column("host", "text"), Column("at_ms", "integer")),
    key=2,
)
"""A user of this node has dealt with that host, first at this time."""

DONE = Table(
    "done",
    (Column("reader", "text"), Column("at_ms", "integer"), Column("pos", "integer")),
    key=2,
)
"""The reader of a link was done with everything up to `pos` at this time, or earlier."""

ALL_HOSTS = Query("all_hosts", "select host, admit, tokens from host order by host")

ALL_CONTACTS = Query(
    "all_contacts",
    "select host from contact union select host from link_out order by host",
)
"""Every host that ever was in touch, or that something was posted to."""


def out_stream(host: str) -> bytes:
    return b"out/" + host.encode()


def in_stream(host: str) -> bytes:
    return b"in/" + host.encode()


def out_reader(host: str) -> str:
    return f"to/{host}"


def in_reader(host: str) -> str:
    return f"from/{host}"
