"""The SQL of the PostgreSQL driver. Sets of keys are arrays, one statement a set.

Planner: a statement is prepared once and planned once, perhaps while its table is empty. So no plan
may depend on statistics. A set is unnested, and each of its items is looked up in a subquery that
is not merged with the rest (`lateral`, `offset 0`); a lookup names all columns of the index that
serves it, and asks for its order where another might do; and the session has scans and joins of
whole tables switched off (`session.PLANNER`). test_postgres_plans.py looks at the plans.
"""

from __future__ import annotations

import re
from functools import cache

from postbox.store.change import NO_LANE
from postbox.store.contract import MAX_POS, Lane, Query, Table

# All but the position and the lane.
_CONTENT = "stream, seq, id, kind, flags, author, at_ms, body"

ENTRY_TYPES = (
    *("integer", "integer", "blob", "integer", "blob"),
    *("integer", "integer", "blob", "integer", "blob"),
)

_HEAD = "select coalesce((select pos from entry order by pos desc limit 1), 0)"


def take_turn(lock: int) -> str:
    """Two statements in one message: what is read after the lock was taken, by a statement of its
    own with a snapshot of its own, is what the last holder of the lock committed."""
    return f"begin isolation level read committed; select pg_advisory_xact_lock({lock})"


BEGIN_READING = "begin isolation level repeatable read, read only"

# In a transaction: for what is as long as the log is.
NO_TIME_LIMIT = "set local statement_timeout = 0"

# What a transaction asks first, prepared as `first` in each connection.
FIRST_WRITING = (
    f"select nextval('turn'), ({_HEAD}), exists (select from entry where lane = {NO_LANE})"
)
FIRST_READING = f"select ({_HEAD}), coalesce((select turn from news order by turn desc limit 1), 0)"

ID_AT = "select id from entry where pos = %s and lane <> 0"

NEWS = "select turn, head, data from news where turn >= %s order by turn limit %s"

STRETCH = f"""select pos, lane, {_CONTENT} from entry where pos > %s and pos <= %s and lane <> 0
  order by pos"""

TELL = "insert into news values (%s, %s, %s)"

# A commit waits until what it wrote itself is safe, on the disk and, where the operator wants that,
# on a standby; and with it all that was committed before. So this makes sure of what an earlier
# connection, which was cut, may have committed without such a wait.
SETTLE = "select pg_logical_emit_message(true, 'postbox', '')"


def notify(channel: str, head: int) -> str:
    return f"notify {channel}, '{head}'"


# By the commit of a turn. The one before it stays, however long ago that was: it is what everybody
# goes on from who has heard of everything so far.
SWEEP_NEWS = """delete from news where turn <= %s
  and turn < (select turn from news where turn < %s order by turn desc limit 1)"""


def _newest_number(stream: str) -> str:
    """The greatest number in a stream. Rows are compared, so that one index alone serves it."""
    return f"""select n.seq from entry n
      where (n.stream, n.seq) >= ({stream}, 1) and (n.stream, n.seq) <= ({stream}, {MAX_POS})
        and n.seq is not null
      order by n.stream desc, n.seq desc limit 1"""


LAST_SEQS = f"""select k.stream, ({_newest_number("k.stream")}) from unnest(%s) k (stream)"""

APPEND = """insert into entry
  (pos, lane, stream, seq, id, kind, flags, author, at_ms, body)
  select * from unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""

# Rows are found by key, then changed where they lie: nobody moves them meanwhile.
_AT = """select e.ctid from unnest(%s) k (pos)
  cross join lateral (select ctid, lane, stream, seq from entry where pos = k.pos offset 0) e"""

BLANK = f"update entry set body = null where ctid = any(array({_AT}))"

REMOVE = f"delete from entry where ctid = any(array({_AT} where e.lane <> 0))"

# What is left of a removed entry while its position or number is still needed: nothing of its
# content, and in no lane, so that no reader finds it.
KEEP = f"""update entry set lane = 0, id = decode(repeat('00', 16), 'hex'), kind = 0, flags = 0,
  author = '', at_ms = 0, body = null
  where ctid = any(array({_AT} where k.pos = %s or e.seq = ({_newest_number("e.stream")})))"""

SWEEP = f"""delete from entry where ctid = any(array(select k.ctid from (
    select ctid, stream, seq from entry where lane = 0 and pos < %s offset 0) k
  where k.seq is null or k.seq < ({_newest_number("k.stream")})))"""

# Asked for in the order of ids, and not by equality, so that no other index of the lane will do.
FIND = {
    lane: f"""select k.id, e.* from unnest(%s) k (id)
      cross join lateral (select pos, stream, seq, kind, flags, author from entry
        where lane = {lane:d} and id >= k.id and id <= k.id order by id limit 1) e"""
    for lane in Lane
}


def _page(entries: str) -> str:
    """As many of the entries as have room, and one more if there is one, which says so. Bodies that
    have none are not read at all."""
    return f"""select pos, {_CONTENT} from (
        select *, sum(octet_length(body)) over (order by pos rows unbounded preceding) as sum_bytes
        from ({entries}) e) e
      where coalesce(sum_bytes, 0) - coalesce(octet_length(body), 0) <= %s order by pos"""


# A lane as a whole is a walk through the table by position; the node lane has so few entries in
# so long a log that it has an index instead.
LANE_PAGE = {
    lane: _page(
        f"""select pos, {_CONTENT} from entry where lane = {lane:d} and pos > %s
          order by pos limit %s"""
    )
    for lane in Lane
}

_STRETCH = {
    lane: f"""select e.pos from entry e where e.lane = {lane:d}
      and (e.stream, e.pos) > (w.stream, w.low) and (e.stream, e.pos) <= (w.stream, w.upto)
      order by e.stream, e.pos limit %s"""
    for lane in Lane
    if lane is not Lane.MESH
} | {
    # The mesh is one stream: its windows are stretches of the walk.
    Lane.MESH: f"""select e.pos from entry e where e.lane = {Lane.MESH:d}
      and e.stream = w.stream and e.pos > w.low and e.pos <= w.upto order by e.pos limit %s"""
}

# The first positions in any of the windows, which may overlap; then the entries there.
WINDOWS_PAGE = {
    lane: _page(
        f"""select p.pos, e.* from (
            select distinct s.pos from unnest(%s, %s, %s) w (stream, low, upto)
              cross join lateral ({_STRETCH[lane]}) s order by s.pos limit %s) p
          cross join lateral (select {_CONTENT} from entry where pos = p.pos offset 0) e"""
    )
    for lane in Lane
}


@cache
def put(table: Table) -> str:
    """The row of a key that is there is replaced."""
    names = [_quoted(column.name) for column in table.columns]
    key, rest = names[: table.key], names[table.key :]
    replace = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return (
        f"insert into {_quoted(table.name)} ({', '.join(names)})"
        f" select * from unnest({_marks(len(names))}) on conflict ({', '.join(key)})"
        f" do {f'update set {replace}' if rest else 'nothing'}"
    )


@cache
def drop(table: Table) -> str:
    return f"delete from {_quoted(table.name)} where ctid = any(array({_by_key(table, 'ctid')}))"


@cache
def rows(table: Table) -> str:
    return _by_key(table, ", ".join(_quoted(column.name) for column in table.columns))


def _by_key(table: Table, wanted: str) -> str:
    key = [_quoted(column.name) for column in table.columns[: table.key]]
    aliases = [f"k{at}" for at in range(len(key))]
    same = " and ".join(f"t.{name} = k.{alias}" for name, alias in zip(key, aliases, strict=True))
    return (
        f"select e.* from unnest({_marks(len(key))}) k ({', '.join(aliases)}) cross join lateral"
        f" (select {wanted} from {_quoted(table.name)} t where {same} offset 0) e"
    )


@cache
def types(table: Table) -> tuple[str, ...]:
    return tuple(column.type for column in table.columns)


@cache
def key_types(table: Table) -> tuple[str, ...]:
    return types(table)[: table.key]


_NAMED = re.compile(r"(?<![:\w]):([a-z_]\w*)")


@cache
def named(query: Query) -> str:
    """With parameters as psycopg writes them."""
    if query.postgres:
        return query.postgres
    return _NAMED.sub(r"%(\1)s", query.sqlite.replace("%", "%%"))


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def _quoted(name: str) -> str:
    return f'"{name}"'
