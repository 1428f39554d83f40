"""No statement of a device's file looks through all messages or all of the queue, however long they
are: each goes by an index. The list of conversations alone goes through an index of what waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw
import pytest

from postbox.client.core import acts, changes
from postbox.client.core.settle import Refused
from postbox.client.facts import Custom, State
from postbox.client.store import shadow
from postbox.client.store.store import Store
from postbox.client.store.taking_in import STATEMENTS
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    NOW_MS,
    ROOM,
    answered,
    do,
    hear,
    message_uuid,
    opened,
    room,
    said,
    send,
    uuid,
)

A_ROW_EACH = {"conversation", "c", "hole", "guild", "invite", "place", "owner", "person", "handler"}
"""Of tables that have as many rows as there are conversations, users and the like."""

CUSTOM = Custom(uuid(70), "", ROOM, 70, BOB, 64, b"x", State.SENT, NOW_MS)
WAITING = Custom("", uuid(56), ROOM, 0, ANN, 64, b"x", State.SENDING, NOW_MS)

READS: dict[str, Callable[[Store], object]] = {
    "place": Store.place,
    "awaited": Store.awaited,
    "heads": Store.heads,
    "holes": Store.holes,
    "queued": Store.queued,
    "batch": lambda store: store.batch(100, 2**20),
    "queue": lambda store: store.queue(after=5),
    "row": lambda store: store.row(uuid(1)),
    "why": lambda store: store.why(uuid(9)),
    "conversations": lambda store: store.conversations(2),
    "the next conversations": lambda store: store.conversations(2, ROOM),
    "conversation": lambda store: store.conversation(ROOM),
    "unread": Store.unread,
    "messages": lambda store: store.messages(ROOM),
    "the messages before one that waits": lambda store: store.messages(ROOM, uuid(9)),
    "the messages before another": lambda store: store.messages(ROOM, message_uuid(20)),
    "message": lambda store: store.message(message_uuid(5)),
    "a message by its local uuid": lambda store: store.message(uuid(1)),
    "customs": lambda store: store.customs(ROOM),
    "the customs before one that waits": lambda store: store.customs(ROOM, WAITING),
    "the customs before another": lambda store: store.customs(ROOM, CUSTOM),
    "keys": lambda store: store.keys([ROOM, uuid(55)], [uuid(1), message_uuid(5)]),
    "members": lambda store: store.members(ROOM),
    "user": lambda store: store.user(ANN),
    "guilds": Store.guilds,
    "invites": Store.invites,
    "unhandled": lambda store: store.unhandled("bot"),
}

WRITES: dict[str, Callable[[Store], object]] = {
    "make": lambda store: send(store, "text", 500),
    "settle": lambda store: store.settle([answered(9, 109), Refused(uuid(10), "", "")], 5),
    "tried": lambda store: store.tried([uuid(11)], "", NOW_MS),
    "refuse": lambda store: store.refuse("", "", ""),
    "dismiss": lambda store: store.dismiss(uuid(2)),
    "dismiss_refused": lambda store: store.dismiss_refused(NOW_MS + 1),
    "again": lambda store: store.again(uuid(3)),
    "prune": lambda store: store.prune(NOW_MS),
    "take_history": lambda store: store.take_history(ROOM, said(3), 4, 3, True, NOW_MS),
    "set_handled": lambda store: store.set_handled("bot", ROOM, 3),
}


@contextmanager
def filled() -> Iterator[Store]:
    with opened() as store:
        hear(store, *room(ROOM, BOB), *room(ATTIC, BOB), changes.UserMet(ANN, "ann", "", b""))
        hear(store, *(each for seq in range(2, 100) for each in said(seq)))
        hear(store, *said(100, author=ANN, local=uuid(1)))
        for number in range(2, 40):
            send(store, "text", number)
        store.settle([Refused(uuid(number), "", "") for number in (2, 3)], 4)
        do(store, acts.EditMessage(ROOM, message_uuid(90), "edited"), 50)
        do(store, acts.Read(ROOM, message_uuid(90)), 51)
        do(store, acts.RenameConversation(ROOM, "garden"), 52)
        do(store, acts.AddMember(ROOM, "bob"), 53)
        do(store, acts.SetDisplayName("Ann"), 54)
        do(store, acts.CreateConversation("new"), 55)
        do(store, acts.Foreign(ROOM, b"\x82\x04\x01x"), 56)
        store.begin_handling("bot")
        yield store


def statements(connection: apsw.Connection, work: Callable[[], object]) -> dict[str, Any]:
    """What is asked meanwhile, with the last values."""
    found: dict[str, Any] = {}

    def note(_cursor: apsw.Cursor, sql: str, values: Any) -> bool:
        found[sql] = values
        return True

    connection.exec_trace = note
    try:
        work()
    finally:
        connection.exec_trace = None
    return {sql: values for sql, values in found.items() if not re.match("begin|commit|roll", sql)}


def scans(connection: apsw.Connection, sql: str, values: Any) -> list[str]:
    """Tables that are looked through, by the plan of a statement."""
    plan = connection.execute(f"explain query plan {sql}", values).fetchall()
    found = [re.match(r"SCAN (\w+)(.*)", str(step[3])) for step in plan]
    return [step[0] for step in found if step and not is_fine(step[1], step[2])]


def is_fine(table: str, how: str) -> bool:
    """An index of what is not done is gone through from one end, or has all that is asked for; and
    what was refused and tried again is little."""
    few = {*A_ROW_EACH, "carray", "CONSTANT", "sqlite_schema"}
    whole = ("COVERING INDEX outbox_conversation", "COVERING INDEX outbox_renamed")
    return table in few or how.endswith(("outbox_unfinished", *whole))


@pytest.mark.parametrize("name", READS)
def test_what_an_app_asks_goes_by_an_index(name: str) -> None:
    with filled() as store:
        asked = statements(store._reader, lambda: READS[name](store))
        assert asked
        assert {
            sql: found for sql in asked if (found := scans(store._reader, sql, asked[sql]))
        } == {}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_of_the_queue_goes_by_an_index(name: str) -> None:
    with filled() as store:
        asked = statements(store._writer, lambda: WRITES[name](store))
        assert asked
        assert {
            sql: found for sql in asked if (found := scans(store._writer, sql, asked[sql]))
        } == {}


@pytest.mark.parametrize("kind", STATEMENTS, ids=lambda kind: kind.__name__)
def test_what_is_taken_in_goes_by_an_index(kind: type[changes.Change]) -> None:
    names = {table: table for table in shadow.BASE}
    with filled() as store:
        for template in STATEMENTS[kind]:
            sql = template.format(**names)
            values = dict.fromkeys(re.findall(r":(\w+)", sql))
            assert scans(store._writer, sql, values) == []


def test_a_statement_that_looks_through_all_messages_is_seen() -> None:
    with filled() as store:
        sql = "select count(*) from message where text = ?"
        assert scans(store._reader, sql, ("hello",)) == ["SCAN message"]


def test_a_page_costs_as_much_whether_there_is_little_or_much() -> None:
    with filled() as store:
        steps = []
        for upto in (200, 2_000):
            hear(store, *(each for seq in range(101, upto) for each in said(seq, author=ANN)))
            steps.append(steps_of(store, lambda: [store.messages(ROOM), store.conversations()]))
    assert steps[1] < 1.1 * steps[0]


def steps_of(store: Store, work: Callable[[], object]) -> int:
    """Of SQLite's machine."""
    count = 0

    def tick() -> bool:
        nonlocal count
        count += 1
        return False

    store._reader.set_progress_handler(tick, 10)
    try:
        work()
    finally:
        store._reader.set_progress_handler(None)
    return count
