"""How a server is set up, looked at as `postbox doctor` does: what would lose commits, or stop a
node one day, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import psycopg
from msgspec import Struct
from psycopg.conninfo import make_conninfo

from postbox.errors import Unavailable
from postbox.store.postgres.faults import renamed
from postbox.store.postgres.session import Patience, Role, open_session, shown
from postbox.world import Disk

CONNECTIONS = 7  # of a process at most: one writes, four read, one listens, one holds leases

_DURABLE = {
    "fsync": "a crash of the machine may destroy the log",
    "full_page_writes": "a crash of the machine may destroy the log",
    "synchronous_commit": "what was acknowledged would be lost in a crash; postbox sets it for its"
    " own commits, others in this database do without",
}


class Doubt(Struct, frozen=True):
    text: str
    cure: str


class Examined(Struct, frozen=True):
    text: str  # which server it is
    doubts: tuple[Doubt, ...]


def examine(disk: Disk, url: str) -> Examined:
    """By a connection of its own. Raises as a store does that is opened."""
    where, patience = shown(url), Patience()
    try:
        session = open_session(disk, url, Role.READER, patience)
    except psycopg.Error as error:
        if _is_standby(disk, url, patience):
            raise Unavailable(
                f"{where} is a standby, where nothing can be written: name the primary, too"
                " (host=one,two: the one that takes writes is used), or promote the standby"
            ) from error
        raise renamed(error, where) from error
    try:
        found = session.query("select name, setting from pg_settings")
        settings = {str(name): str(setting) for name, setting in found}
        [(taken,)] = session.query(
            "select count(*) from pg_stat_activity where backend_type = 'client backend'"
        )
        assert isinstance(taken, int)
        text = f"{where}, PostgreSQL {settings['server_version']}"
        return Examined(text, tuple(_doubts(settings, taken - 1)))
    except psycopg.Error as error:
        raise renamed(error, where) from error
    finally:
        session.close()


def _is_standby(disk: Disk, url: str, patience: Patience) -> bool:
    """Of whichever server of the URL answers first."""
    with suppress(psycopg.Error):
        anywhere = make_conninfo(url, connect_timeout=patience.connect_s)
        with disk.connect_database(anywhere) as connection:
            return connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
    return False


def _doubts(settings: Mapping[str, str], taken: int) -> Iterator[Doubt]:
    for name, harm in _DURABLE.items():
        if settings[name] == "off":
            yield Doubt(
                f"{name} is off: {harm}",
                f"alter system set {name} = on; select pg_reload_conf()",
            )
    if settings["autovacuum"] == "off":
        yield Doubt(
            "autovacuum is off: the tables grow without end",
            "alter system set autovacuum = on; select pg_reload_conf()",
        )
    most = int(settings["max_connections"]) - int(settings["superuser_reserved_connections"])
    if most - taken < CONNECTIONS:
        yield Doubt(
            f"{taken} of {most} connections are taken, and a process needs {CONNECTIONS}",
            "raise max_connections and start the server again, or end what has them",
        )
