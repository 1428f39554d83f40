"""The SQL of the SQLite driver. Sets of keys are bound as arrays (carray), one statement a set."""

from __future__ import annotations

from functools import cache

from postbox.store.contract import Lane, Table

# All but the lane, which whoever asks knows.
ENTRY = "e.pos, e.stream, e.seq, e.id, e.kind, e.flags, e.author, e.at_ms, e.body"

HEAD = "select max(pos) from entry"

ID_AT = "select id from entry where pos = ? and lane <> 0"

APPEND = "insert into entry values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

BLANK = "update entry set body = null where pos in carray(?)"

REMOVE = "delete from entry where pos in carray(?) and lane <> 0"

# What is left of a removed entry while its position or number is still needed: nothing of its
# content, and in no lane, so that no reader finds it.
KEEP = """update entry set lane = 0, id = zeroblob(16), kind = 0, flags = 0, author = x'',
  at_ms = 0, body = null where pos in carray(?) and (pos = ? or (seq is not null and seq = (
    select max(n.seq) from entry n where n.stream = entry.stream and n.seq is not null)))"""

SWEEP = """delete from entry indexed by entry_keeper where lane = 0 and pos < ? and (
  seq is null or seq < (
    select max(n.seq) from entry n where n.stream = entry.stream and n.seq is not null))"""

LAST_SEQS = """select k.value, (
    select max(e.seq) from entry e where e.stream = k.value and e.seq is not null)
  from carray(?) k"""

# Planner: the lane is a literal, or the partial indexes could not be used; `cross join` keeps the
# array outside, so that no plan depends on statistics.
FIND = {
    lane: f"""select e.id, e.pos, e.stream, e.seq, e.kind, e.flags, e.author
      from carray(?) k cross join entry e indexed by entry_id_{lane:d}
      on e.id = k.value where e.lane = {lane:d}"""
    for lane in Lane
}

# A lane as a whole is a walk through the table by position; the node lane has so few entries in
# so long a log that it has an index instead.
LANE_PAGE = {
    lane: f"""select {ENTRY} from entry e {"indexed by entry_node" if lane is Lane.NODE else ""}
      where e.lane = {lane:d} and e.pos > ? order by e.pos limit ?"""
    for lane in Lane
}

# Only positions first: bodies are read for those that make it into the page.
WINDOW = {
    lane: f"""select e.pos from entry e indexed by entry_stream_{lane:d}
      where e.lane = {lane:d} and e.stream = ? and e.pos > ? and e.pos <= ?
      order by e.pos limit ?"""
    for lane in Lane
    if lane is not Lane.MESH
} | {
    # The mesh is one stream: its windows are stretches of the walk.
    Lane.MESH: f"""select e.pos from entry e where e.lane = {Lane.MESH:d}
      and e.stream = ? and e.pos > ? and e.pos <= ? order by e.pos limit ?"""
}

# In the order of the array.
ENTRIES_AT = f"""select {ENTRY} from carray(?) k cross join entry e on e.pos = k.value"""


@cache
def put(table: Table) -> str:
    marks = ", ".join("?" * len(table.columns))
    return f"insert or replace into {_quoted(table.name)} values ({marks})"


@cache
def drop(table: Table) -> str:
    return f"delete from {_quoted(table.name)} where {_same_key(table)}"


@cache
def row(table: Table) -> str:
    return f"select {_columns(table)} from {_quoted(table.name)} t where {_same_key(table)}"


@cache
def rows(table: Table) -> str:
    """For a key of one column: all keys as one array."""
    key = _quoted(table.columns[0].name)
    return (
        f"select {_columns(table)} from carray(?) k"
        f" cross join {_quoted(table.name)} t on t.{key} = k.value"
    )


def _columns(table: Table) -> str:
    return ", ".join(f"t.{_quoted(column.name)}" for column in table.columns)


def _same_key(table: Table) -> str:
    return " and ".join(f"{_quoted(column.name)} = ?" for column in table.columns[: table.key])


def _quoted(name: str) -> str:
    return f'"{name}"'
