"""Every statement of the PostgreSQL driver goes by its index, whatever the planner knows.

A statement is planned once a connection, perhaps on the day the tables are made. So the plans are
looked at on empty tables and on full ones, before and after `analyze`, as the sessions get them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from postbox.hosts.applications.draft_tables import DRAFT, HANDLED, HANDLER, OPEN_DRAFTS
from postbox.hosts.guilds.tables import (
    GUILD,
    GUILD_CHANGES,
    GUILDS_OF,
    INVITE,
    INVITES_BY,
    INVITES_TO,
    QUOTA,
)
from postbox.hosts.links.numbered import LETTERS_BETWEEN, POSITION
from postbox.hosts.links.retention import FIRST_LETTER, MARKS_OF, OLDEST_DONE
from postbox.hosts.links.room import BYTES_KEPT
from postbox.hosts.links.summary import FIRST_OPEN
from postbox.hosts.tables import CONSENT, CONTACT, HOST, HOST_KEY, LINK_IN, LINK_OUT, PEER_KEY
from postbox.hosts.tables import MIGRATIONS as HOSTS
from postbox.log.outbox_tables import BACKLOG, DEAD, DEAD_LETTERS, FIRST_REVIVED, OUTBOX, READERS
from postbox.store.contract import IDENTITY, Lane
from postbox.store.postgres import statements
from postbox.store.postgres.driver import open_postgres
from postbox.store.postgres.session import Patience, Role, Session, open_session
from postbox.trust.tables import KEY, PLACE, TALLY, VOTER, WAITING
from postbox.trust.tables import MIGRATIONS as TRUST
from postbox.world import FileDisk
from support.plans import SQL_TYPES, Asked, asked, unfit, unnamed
from support.toy_chat import CHAT, MEMBER, MIGRATIONS, VERDICT

ROWS = 100_000
TABLES = [IDENTITY, OUTBOX, DEAD, KEY, VOTER, WAITING, TALLY, PLACE, CHAT, MEMBER, VERDICT]
TABLES += [GUILD, GUILD_CHANGES, INVITE, QUOTA, DRAFT, HANDLED, HANDLER]
TABLES += [HOST, CONTACT, CONSENT, LINK_IN, LINK_OUT, PEER_KEY, HOST_KEY]


def asked_of_the_log() -> Iterator[tuple[str, Asked]]:
    number, numbers, blobs = "bigint", "bigint[]", "bytea[]"
    for lane in Lane:
        yield f"find {lane.name}", asked(statements.FIND[lane], blobs, by=f"entry_id_{lane:d}")
        whole, some = statements.LANE_PAGE[lane], statements.WINDOWS_PAGE[lane]
        by = "entry_node" if lane is Lane.NODE else "entry_pkey"
        yield f"lane {lane.name}", asked(whole, number, number, number, by=by)
        by = "entry_pkey" if lane is Lane.MESH else f"entry_stream_{lane:d} entry_pkey"
        types = (blobs, numbers, numbers, number, number, number)
        yield f"windows {lane.name}", asked(some, *types, by=by)
    yield "last numbers", asked(statements.LAST_SEQS, blobs, by="entry_number")
    yield "blank", asked(statements.BLANK, numbers, by="entry_pkey")
    yield "remove", asked(statements.REMOVE, numbers, by="entry_pkey")
    yield "keep", asked(statements.KEEP, numbers, number, by="entry_pkey entry_number")
    yield "sweep", asked(statements.SWEEP, number, by="entry_keeper entry_number")
    yield "first, writing", asked(statements.FIRST_WRITING, by="entry_pkey entry_keeper")
    yield "first, reading", asked(statements.FIRST_READING, by="entry_pkey news_pkey")
    yield "news", asked(statements.NEWS, number, number, by="news_pkey")
    yield "stretch", asked(statements.STRETCH, number, number, by="entry_pkey")
    yield "sweep of news", asked(statements.SWEEP_NEWS, number, number, by="news_pkey")
    yield "id at", asked(statements.ID_AT, number, by="entry_pkey")


def asked_of_tables() -> Iterator[tuple[str, Asked]]:
    for table in TABLES:
        types = [f"{SQL_TYPES[kind]}[]" for kind in statements.key_types(table)]
        by = f"{table.name}_pkey"
        yield f"rows of {table.name}", asked(statements.rows(table), *types, by=by)
        yield f"drop of {table.name}", asked(statements.drop(table), *types, by=by)


def asked_by_readers() -> Iterator[tuple[str, Asked]]:
    number, text, blob = "bigint", "text", "bytea"
    yield "readers", asked(unnamed(READERS), by="outbox_pkey")
    yield "dead letters", asked(unnamed(DEAD_LETTERS), text, number, number, by="dead_pkey")
    yield "revived", asked(unnamed(FIRST_REVIVED), text, by="dead_revived entry_pkey")
    for lane, query in BACKLOG.items():
        types = (blob, number, blob, number)
        yield f"backlog {lane.name}", asked(unnamed(query), *types, by=f"entry_stream_{lane:d}")


def asked_about_guilds() -> Iterator[tuple[str, Asked]]:
    text, number = "text", "bigint"
    yield "guilds of", asked(unnamed(GUILDS_OF), text, by="guild_pkey")
    yield "invites to", asked(unnamed(INVITES_TO), text, by="invite_open")
    yield "invites by", asked(unnamed(INVITES_BY), text, by="invite_made")
    yield "drafts", asked(unnamed(OPEN_DRAFTS), number, by="draft_open")


def asked_about_links() -> Iterator[tuple[str, Asked]]:
    number, text, blob = "bigint", "text", "bytea"
    stretch = (blob, blob, number)
    stream = "entry_stream_3"
    yield "position", asked(unnamed(POSITION), *stretch, by="entry_number")
    yield "letters", asked(unnamed(LETTERS_BETWEEN), *(text, number) * 2, by="dead_pkey")
    yield "first open", asked(unnamed(FIRST_OPEN), blob, number, blob, by=stream)
    yield "oldest done", asked(unnamed(OLDEST_DONE), *stretch, number, by=stream)
    yield "bytes kept", asked(unnamed(BYTES_KEPT), *stretch, by=stream)
    yield "marks", asked(unnamed(MARKS_OF), text, by="done_pkey")
    yield "first letter", asked(unnamed(FIRST_LETTER), text, by="dead_pkey")


ALL = dict(
    [
        *asked_of_the_log(),
        *asked_of_tables(),
        *asked_by_readers(),
        *asked_about_guilds(),
        *asked_about_links(),
    ]
)


def fill(session: Session) -> None:
    """A mesh with a little of everything else, in streams of all sizes."""
    session.send(
        f"""insert into entry select n, case when n % 10 < 7 then 2 when n % 10 = 7 then 1
          when n % 10 = 8 then 3 else 4 end, ('s' || n % 50)::bytea,
          case when n % 10 >= 8 then n end, decode(md5(n::text), 'hex'), 1, 1, 'a', 1, 'body'
        from generate_series(1, {ROWS}) n;
        insert into chat select ('c' || n)::bytea, 'name', 1 from generate_series(1, {ROWS}) n;
        insert into toy_member select ('c' || n % 9)::bytea, 'u' || n
        from generate_series(1, {ROWS}) n;
        insert into verdict select ('v' || n)::bytea, 'code' from generate_series(1, {ROWS}) n;
        insert into dead select 'r' || n % 9, n, 3, 's', decode(md5(n::text), 'hex'), 1, 1, '',
          case when n % 1000 = 0 then 1 else 0 end from generate_series(1, {ROWS}) n;
        insert into voter select 'i' || n, 'name' from generate_series(1, {ROWS}) n;
        insert into guild select 'u@' || n % 99, 'h', 'g' || n, '', 1
        from generate_series(1, {ROWS}) n;
        insert into invite select case when n % 2 = 0 then 'in' else 'out' end, 'h', 'i' || n,
          'u@' || n % 9, 'u@' || n % 99, '', '', case when n % 4 = 0 then '' else 'accepted' end, n
        from generate_series(1, {ROWS}) n"""
    )


def nothing(_session: Session) -> None: ...


def analyze(session: Session) -> None:
    session.send("analyze")


def fill_and_analyze(session: Session) -> None:
    fill(session)
    analyze(session)


@pytest.mark.parametrize("prepare", [nothing, analyze, fill, fill_and_analyze])
def test_every_statement_goes_by_its_index(
    database: str, prepare: Callable[[Session], None]
) -> None:
    sets_of_tables = [MIGRATIONS, TRUST, HOSTS]
    open_postgres(FileDisk(), database, sets_of_tables, bytes(16), bytes(32)).close()
    session = open_session(FileDisk(), database, Role.WRITER, Patience(statement_ms=0))
    try:
        prepare(session)
        wrong = {name: plan for name, each in ALL.items() if (plan := unfit(session, each))}
    finally:
        session.close()
    assert wrong == {}
