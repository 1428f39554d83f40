"""What the mesh keeps beside its events: the peers it knows of, what is held against them, and
where this node is among them."""

from __future__ import annotations

from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.standing_rules import Record
from postbox.store.contract import Column, Query, Row, Table
from postbox.store.schema import Migrations

MIGRATIONS = Migrations("mesh", "postbox.mesh.migrations")

PEERS_STREAM = b"peers"
"""The stream, in the node's lane, of every change of what is held against a peer."""

KIND_RECORD = 1
"""The kind of entry that carries a name and its whole record."""

PEER = Table(
    "peer",
    (
        Column("name", "text"),
        Column("url", "text"),
        Column("origin", "text"),
        Column("kind", "text"),
        Column("version", "text"),
        Column("memory_mode", "text"),
        Column("uptime_s", "integer"),
        Column("rtt_ms", "real"),
        Column("last_contact_ns", "integer"),
        Column("cursor_ns", "integer"),
        Column("told_ns", "integer"),
    ),
    key=1,
)

PEER_RECORD = Table(
    "peer_record",
    (
        Column("name", "text"),
        Column("points", "real"),
        Column("at_ns", "integer"),
        Column("offences", "integer"),
        Column("why", "text"),
        Column("by_operator", "integer"),
    ),
    key=1,
)

PLACE = Table(
    "coordinate",
    (
        Column("name", "text"),
        Column("x", "real"),
        Column("y", "real"),
        Column("height", "real"),
        Column("error", "real"),
    ),
    key=1,
)

ALL_PEERS = Query(
    "all_peers",
    "select name, url, origin, kind, version, memory_mode, uptime_s, rtt_ms, last_contact_ns,"
    " cursor_ns, told_ns from peer order by name",
)

ALL_RECORDS = Query(
    "all_records",
    "select name, points, at_ns, offences, why, by_operator from peer_record order by name",
)

OWN_PLACE = Query("own_place", "select name, x, y, height, error from coordinate")


def peer_row(peer: Known) -> Row:
    return (
        peer.name,
        peer.url,
        str(peer.origin),
        peer.kind,
        peer.version,
        peer.memory_mode,
        peer.uptime_s,
        peer.rtt_ms,
        peer.last_contact_ns,
        peer.cursor_ns,
        peer.told_ns,
    )


def peer_of(row: Row) -> Known:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (
            str(name),
            str(url),
            str(origin),
            str(kind),
            str(version),
            str(memory_mode),
            int(uptime_s),
            float() | None as rtt_ms,
            int(last_contact_ns),
            int(cursor_ns),
            int(told_ns),
        ):
            return Known(
                url=url,
                name=name,
                origin=Origin(origin),
                kind=kind,
                version=version,
                memory_mode=memory_mode,
                uptime_s=uptime_s,
                rtt_ms=rtt_ms,
                last_contact_ns=last_contact_ns,
                cursor_ns=cursor_ns,
                told_ns=told_ns,
            )
        case _:
            raise ValueError(f"not a row of the table {PEER.name}: {row!r}")


def record_row(name: str, record: Record) -> Row:
    points, at_ns, offences = record.points, record.at_ns, record.offences
    return (name, points, at_ns, offences, record.why, int(record.by_operator))


def record_of(row: Row) -> Record:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(), float(points), int(at_ns), int(offences), str(why), int(by_operator)):
            return Record(points, at_ns, offences, why, bool(by_operator))
        case _:
            raise ValueError(f"not a row of the table {PEER_RECORD.name}: {row!r}")


def place_row(name: str, place: Coordinate) -> Row:
    return (name, place.x, place.y, place.height, place.error)


def place_of_row(row: Row) -> Coordinate:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(), float(x), float(y), float(height), float(error)):
            return Coordinate(x, y, height, error)
        case _:
            raise ValueError(f"not a row of the table {PLACE.name}: {row!r}")
