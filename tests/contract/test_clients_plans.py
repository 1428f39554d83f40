"""Every statement of the clients' door goes by its index on PostgreSQL, whatever the planner knows:
see `test_postgres_plans`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from postbox.clients.reading.conversation import NEWEST, RECENT, WATERMARKS
from postbox.clients.reading.history import CHANGES, NUMBERED
from postbox.clients.reading.windows import (
    NEWEST_SEEN,
    OWN_BEHIND,
    PERIODS,
    PERIODS_IN,
    VISIBLE_BEHIND,
)
from postbox.clients.tables import MEMBERS_OF, MIGRATIONS, TABLES
from postbox.store.postgres import statements
from postbox.store.postgres.driver import open_postgres
from postbox.store.postgres.session import Patience, Role, Session, open_session
from postbox.world import FileDisk
from support.plans import SQL_TYPES, Asked, asked, asked_by_name, unfit

ROWS = 50_000
TYPES = dict.fromkeys(
    ["user", "stream", "own", "conversation", "message"], "bytea"
) | dict.fromkeys(["after", "upto", "limit", "before"], "bigint")


def asked_by_reading() -> Iterator[tuple[str, Asked]]:
    ids, in_stream, numbers = "entry_id_4", "entry_stream_4", "entry_number"
    indexes = {
        PERIODS: f"period_open period_pkey {ids} {in_stream}",
        PERIODS_IN: f"period_pkey {ids}",
        NEWEST_SEEN: f"period_open {in_stream}",
        OWN_BEHIND: in_stream,
        VISIBLE_BEHIND: f"period_open period_pkey {ids} {in_stream}",
        RECENT: f"{in_stream} entry_pkey changed_message_pkey reaction_pkey {ids}",
        WATERMARKS: f"watermark_pkey {ids}",
        NEWEST: numbers,
        NUMBERED: numbers,
        CHANGES: f"changed_message_pkey reaction_pkey {ids}",
        MEMBERS_OF: "member_in",
    }
    for query, by in indexes.items():
        yield query.name, asked_by_name(query, TYPES, by)


def asked_of_tables() -> Iterator[tuple[str, Asked]]:
    for table in TABLES:
        types = [f"{SQL_TYPES[kind]}[]" for kind in statements.key_types(table)]
        by = f"{table.name}_pkey"
        yield f"rows of {table.name}", asked(statements.rows(table), *types, by=by)
        yield f"drop of {table.name}", asked(statements.drop(table), *types, by=by)


ALL = dict([*asked_by_reading(), *asked_of_tables()])


def fill(session: Session) -> None:
    """Conversations of all sizes, and a user who is in many."""
    session.send(
        f"""insert into entry select n, 4, '\\x632f'::bytea || decode(md5((n % 999)::text), 'hex'),
          n, decode(md5(n::text), 'hex'), 7, 0, 'a', 1, 'body' from generate_series(1, {ROWS}) n;
        insert into period select decode(md5((n % 9)::text), 'hex'), decode(md5(n::text), 'hex'), 1,
          decode(md5(n::text), 'hex'), '', 0 from generate_series(1, {ROWS}) n;
        insert into reaction select decode(md5((n % 999)::text), 'hex'),
          decode(md5(n::text), 'hex'), '+', decode(md5(n::text), 'hex')
        from generate_series(1, {ROWS}) n"""
    )


def nothing(_session: Session) -> None: ...


def fill_and_analyze(session: Session) -> None:
    fill(session)
    session.send("analyze")


@pytest.mark.parametrize("prepare", [nothing, fill, fill_and_analyze])
def test_every_statement_of_the_clients_door_goes_by_its_index(
    database: str, prepare: Callable[[Session], None]
) -> None:
    open_postgres(FileDisk(), database, [MIGRATIONS], bytes(16), bytes(32)).close()
    session = open_session(FileDisk(), database, Role.WRITER, Patience(statement_ms=0))
    try:
        prepare(session)
        wrong = {name: plan for name, each in ALL.items() if (plan := unfit(session, each))}
    finally:
        session.close()
    assert wrong == {}
