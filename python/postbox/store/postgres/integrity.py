"""Looks for damage in a database on a PostgreSQL server, and how much room its tables take.

What has to be there is made once more, in tables that are temporary, and compared. Rows are then
held against its checks, whatever became of those that are in force. Whether indexes fit their rows
tells amcheck, where the operator has installed it (`create extension amcheck`, as a superuser).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import psycopg

from postbox.store.contract import Query, Reader, Scalar
from postbox.store.integrity import (
    MAX_FINDINGS,
    Described,
    all_sql,
    differences,
    is_as_new,
)
from postbox.store.postgres.faults import NO_RESOURCES
from postbox.store.postgres.session import Session
from postbox.store.postgres.tables import PostgresDatabase
from postbox.store.schema import Migrations, migrate

_TABLE = re.compile(r'create table "?(\w+)"?')

_PLACES = "select current_schema()::regnamespace::oid::bigint, current_schema()::text"
_MAY_TRY = "select has_database_privilege(current_database(), 'temp')"
_TRIED_IN = "select pg_my_temp_schema()::bigint"

# What a schema consists of, each with all that was said about it when it was made.
_DESCRIBED = """
select 'index ' || c.relname,
    replace(replace(pg_get_indexdef(c.oid), quote_ident(n.nspname) || '.', ''), 'pg_temp.', '')
    || case when i.indisvalid and i.indisready then '' else ' (not valid)' end
  from pg_class c join pg_index i on i.indexrelid = c.oid
  join pg_namespace n on n.oid = c.relnamespace where n.oid = %(schema)s
union all select 'constraint ' || o.conname || ' of ' || t.relname, pg_get_constraintdef(o.oid)
  from pg_constraint o join pg_class t on t.oid = o.conrelid where o.connamespace = %(schema)s
union all select 'column ' || a.attname || ' of ' || t.relname,
    format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
    || coalesce(' collate ' || quote_ident(l.collname), '')
  from pg_attribute a join pg_class t on t.oid = a.attrelid
  left join pg_collation l on l.oid = a.attcollation
  where t.relnamespace = %(schema)s and t.relkind = 'r' and a.attnum > 0 and not a.attisdropped
union all select 'sequence ' || relname, 'sequence' from pg_class
  where relnamespace = %(schema)s and relkind = 'S'
"""

_CHECKS = """
select t.relname, string_agg('(' || pg_get_expr(o.conbin, o.conrelid) || ')', ' and ')
  from pg_constraint o join pg_class t on t.oid = o.conrelid
  where o.connamespace = %(schema)s and o.contype = 'c' group by t.relname order by t.relname
"""

_TWICE = f"""
select lane, encode(id, 'hex'), count(*) from entry where lane <> 0
  group by lane, id having count(*) > 1 order by lane, id limit {MAX_FINDINGS}
"""

_AMCHECK = """
select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
  join pg_proc p on p.pronamespace = n.oid and p.proname = 'bt_index_check' and p.pronargs = 2
  where e.extname = 'amcheck' and has_function_privilege(p.oid, 'execute')
"""

_TREES = """
select c.oid::bigint, c.relname from pg_class c join pg_index i on i.indexrelid = c.oid
  join pg_class t on t.oid = i.indrelid join pg_am a on a.oid = c.relam
  where c.relnamespace = %(schema)s and t.relname = any(%(tables)s) and a.amname = 'btree'
    and i.indisvalid and i.indisready order by c.relname
"""

_TAKEN = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c
  where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
    and c.relname in ({names})
"""


def taken_bytes(sets: Sequence[Migrations], reader: Reader) -> int:
    """Of our tables with all that belongs to them, dead rows and their indexes among it."""
    names = ", ".join(f"'{name}'" for name in _tables(sets))
    ((taken,),) = reader.query(Query("taken", "", postgres=_TAKEN.format(names=names)))
    assert isinstance(taken, int)
    return taken


def find_damage(session: Session, sets: Sequence[Migrations]) -> list[str]:
    """In words. The session is of no other use afterwards."""
    session.send("reset all; begin isolation level repeatable read")
    ((schema, name),) = session.query(_PLACES)
    looks = _Looks(session, sets, schema, name)
    found = [
        *_part(session, looks.at_the_schema),
        *_part(session, looks.at_ids),
        *looks.at_indexes(),
    ]
    session.send("rollback")
    return found


def _part(session: Session, look: Callable[[], Iterable[str]]) -> list[str]:
    """What the server finds damaged itself, it raises; the other parts go on."""
    session.send("savepoint part")
    found: list[str] = []
    try:
        found.extend(look())
    except psycopg.Error as error:
        if not session.is_open or (error.sqlstate or "").startswith(NO_RESOURCES):
            raise
        found.append(error.diag.message_primary or str(error))
    session.send("rollback to part")
    return found


def _tables(sets: Sequence[Migrations]) -> list[str]:
    return ["schema", *_TABLE.findall(all_sql(sets, "postgres"))]


class _Looks:
    def __init__(
        self, session: Session, sets: Sequence[Migrations], schema: Scalar, name: Scalar
    ) -> None:
        self._session = session
        self._sets = sets
        self._schema = schema
        self._name = str(name)

    def at_the_schema(self) -> Iterator[str]:
        ((may_try,),) = self._session.query(_MAY_TRY)
        if may_try and is_as_new(PostgresDatabase(self._session), self._sets):
            self._session.send("set local search_path to pg_temp")
            migrate(PostgresDatabase(self._session), self._sets)
            ((tried_in,),) = self._session.query(_TRIED_IN)
            yield from differences(self._described(tried_in), self._described(self._schema))
            yield from self._unchecked(tried_in)

    def _described(self, schema: Scalar) -> Described:
        rows = self._session.query(_DESCRIBED, {"schema": schema})
        return {str(name): str(definition) for name, definition in rows}

    def _unchecked(self, schema: Scalar) -> Iterator[str]:
        """`schema`: whose checks all rows have to pass."""
        for row in self._session.query(_CHECKS, {"schema": schema}):
            table, checks = map(str, row)
            wrong = f'from "{self._name}"."{table}" where not ({checks})'
            for (count,) in self._session.query(f"select count(*) {wrong}".replace("%", "%%")):
                assert isinstance(count, int)
                if count:
                    yield f"rows of the table {table} that break its rules: {count} ({checks})"

    def at_ids(self) -> Iterator[str]:
        for row in self._session.query(_TWICE):
            lane, entry_id, count = map(str, row)
            yield f"the id {entry_id} is {count} times in lane {lane}"

    def at_indexes(self) -> Iterator[str]:
        asked = {"schema": self._schema, "tables": _tables(self._sets)}
        for (place,) in self._session.query(_AMCHECK):
            for tree in self._session.query(_TREES, asked):
                index, name = int(str(tree[0])), str(tree[1])
                for text in _part(self._session, partial(self._at_index, str(place), index)):
                    yield f"the index {name}: {text}"

    def _at_index(self, place: str, index: int) -> Sequence[str]:
        """Raises what is wrong with it."""
        sql = f"select {place}.bt_index_check(%(index)s::oid::regclass, true)"
        self._session.query(sql, {"index": index})
        return ()
