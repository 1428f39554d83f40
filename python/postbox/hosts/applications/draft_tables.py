"""What the log keeps for applications. Two tables are theirs to write, in transactions of their
own on the node's database.

A row of `draft` is an event to be posted: the node takes what was committed, gives it its number
and drops the row in one commit. A row of `handled` says that a handler's effect on an event is
committed; it lies there until the event is acknowledged. A row of `handler` is a type that some
process of the node has a handler for, or had.
"""

from __future__ import annotations

from msgspec import Struct

from postbox.store.contract import Column, Query, Row, Table

DRAFT = Table(
    "draft",
    (
        Column("n", "integer"),
        Column("id", "blob"),
        Column("host", "text"),
        Column("type_url", "text"),
        Column("value", "blob"),
        Column("at_ms", "integer"),
        Column("problem", "text"),
    ),
    key=1,
)

HANDLED = Table("handled", (Column("reader", "text"), Column("pos", "integer")), key=2)

HANDLER = Table("handler", (Column("type", "text"),), key=1)

ALL_HANDLERS = Query("all_handlers", "select type from handler")

_COLUMNS = "n, id, host, type_url, value, at_ms, problem"

OPEN_DRAFTS = Query(
    "open_drafts",
    f"select {_COLUMNS} from draft where problem = '' and n > 0 order by n limit :limit",
)
"""To be posted, in the order in which they were written."""


class DraftRow(Struct, frozen=True, array_like=True):
    """A row of `draft`."""

    n: int  # given by the database
    id: bytes  # 16 bytes, the event's
    host: str
    type_url: str
    value: bytes
    at_ms: int  # when it was posted; 0: when the node takes it
    problem: str  # why it cannot be posted; empty: nobody has tried, or it will be tried again


def draft_row(row: Row) -> DraftRow:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (
            int(n),
            bytes(event_id),
            str(host),
            str(type_url),
            bytes(value),
            int(at_ms),
            str(problem),
        ):
            return DraftRow(n, event_id, host, type_url, value, at_ms, problem)
        case _:
            raise ValueError(f"not a row of the table {DRAFT.name}: {row!r}")
