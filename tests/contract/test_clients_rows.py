"""Rows of clients in a real database: what was put comes back, and what breaks a check does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbox.clients import tables
from postbox.clients.ids import (
    Author,
    conversation_stream,
    device_id,
    event_id,
    user_id,
)
from postbox.clients.reading.windows import PERIODS_IN
from postbox.clients.tables import (
    ALL_DEVICES,
    DEVICES_OF,
    MIGRATIONS,
    OLD_TOMBS,
    TABLES,
    Account,
    ChangedMessage,
    Conversation,
    Device,
    Member,
    Period,
    Reaction,
    Refusal,
    Role,
    Tomb,
    Value,
    Watermark,
    account_of,
    account_row,
    read_row,
    refusals_in,
    refused_row,
    row_of,
)
from postbox.errors import Violation
from postbox.store.contract import Change, Entry, Lane, Reader, Row, Store, Table, Tx
from postbox.store.open import is_url, open_database
from postbox.world import FileDisk

ANN = user_id("ann")
PHONE = device_id(ANN, "phone")
E1, E2 = event_id(PHONE, b"1" * 16), event_id(PHONE, b"2" * 16)
SHA256 = bytes(range(32))

ACCOUNT = Account(ANN, "ann", 5, "Ann 👩‍🚀", SHA256, E1, E2, (E1, E2))
VALUES: list[tuple[Table, Value]] = [
    (tables.DEVICE, Device(ANN, "phone", PHONE, 1, 2, 3)),
    (tables.CONVERSATION, Conversation(E1, "", E1, 1_000, 1, 7)),
    (tables.MEMBER, Member(E1, ANN, True, Role.OWNER, 2, E2, ANN)),
    (tables.PERIOD, Period(ANN, E1, 1, E1, E2, False)),
    (tables.PERIOD, Period(ANN, E1, 2, E2, b"", True)),
    (tables.CHANGED_MESSAGE, ChangedMessage(E1, b"", E2, 7)),
    (tables.REACTION, Reaction(E1, ANN, "👍", E2)),
    (tables.WATERMARK, Watermark(E1, ANN, 6, 3, E2)),
    (tables.TOMB, Tomb(E1, 9, 10)),
]
ROWS: list[tuple[Table, Row]] = [
    *((table, row_of(value)) for table, value in VALUES),
    (tables.ACCOUNT, account_row(ACCOUNT)),
    (tables.ADDED, (ANN, E1, 1)),
    (tables.DEVICE_PLACE, (PHONE, 12)),
    (tables.QUEUE, (PHONE, 1)),
    (tables.REFUSED, refused_row(PHONE, None, Refusal(E1, "INVALID", "why"))),
    (tables.PICTURE, (SHA256, b"\x89PNG\r\n\x1a\n")),
    (tables.PICTURE_USE, (SHA256, 1)),
]


@pytest.fixture
def store(place: str, tmp_path: Path) -> Iterator[Store]:
    place = place if is_url(place) else str(tmp_path / place)
    store = open_database(FileDisk(), place, [MIGRATIONS], b"e" * 16, b"c" * 32)
    yield store
    store.close()


def put(store: Store, *rows: tuple[Table, Row], appends: tuple[Entry, ...] = ()) -> None:
    puts: dict[Table, list[Row]] = {}
    for table, row in rows:
        puts.setdefault(table, []).append(row)

    def work(tx: Tx) -> None:
        tx.apply(Change(puts=puts, appends=appends))

    store.write(work)


def found(store: Store, table: Table, row: Row) -> Row | None:
    key = row[: table.key]
    return store.read(lambda reader: reader.rows(table, [key])[key])


def test_every_table_gives_back_what_was_put(store: Store) -> None:
    assert {table for table, _ in ROWS} == set(TABLES)
    put(store, *ROWS)
    for table, row in ROWS:
        assert found(store, table, row) == row


def test_every_value_is_read_from_its_row_as_it_was(store: Store) -> None:
    put(store, *ROWS)
    for table, value in VALUES:
        row = found(store, table, row_of(value))
        assert row is not None
        assert read_row(type(value), row) == value
    row = found(store, tables.ACCOUNT, account_row(ACCOUNT))
    assert row is not None
    assert account_of(row) == ACCOUNT


BAD_ROWS: list[tuple[Table, Row]] = [
    (tables.ACCOUNT, (b"short", "ann", "", b"", b"", b"", b"", 0)),
    (tables.ACCOUNT, (ANN, "", "", b"", b"", b"", b"", 0)),
    (tables.ACCOUNT, (ANN, "ann", "n" * 257, b"", b"", b"", b"", 0)),
    (tables.ACCOUNT, (ANN, "ann", "", b"31" * 15, b"", b"", b"", 0)),
    (tables.ACCOUNT, (ANN, "ann", "", b"", b"", b"", b"not whole", 0)),
    (tables.ACCOUNT, (ANN, "ann", "", b"", b"", b"", bytes(16_016), 0)),
    (tables.DEVICE, (ANN, "n" * 65, PHONE, 0, 0, 0)),
    (tables.DEVICE_PLACE, (PHONE, -1)),
    (tables.QUEUE, (PHONE, 0)),
    (tables.REFUSED, (PHONE, bytes(131_073))),
    (tables.CONVERSATION, (E1, "", E1, 1_001, 0, 0)),
    (tables.CONVERSATION, (E1, "", E1, 1, 2, 0)),
    (tables.CONVERSATION, (E1, "", b"", 1, 1, 0)),
    (tables.MEMBER, (E1, ANN, 2, 0, 1, E2, b"")),
    (tables.MEMBER, (E1, ANN, 1, 2, 1, E2, b"")),
    (tables.MEMBER, (E1, ANN, 1, 1, 1, E2, b"short")),
    (tables.ADDED, (ANN, E1, 0)),
    (tables.PERIOD, (ANN, E1, 0, E1, b"", 0)),
    (tables.PERIOD, (ANN, E1, 1, b"", b"", 0)),
    (tables.CHANGED_MESSAGE, (E1, b"short", b"", 0)),
    (tables.CHANGED_MESSAGE, (E1, b"", b"", -1)),
    (tables.REACTION, (E1, ANN, "", E2)),
    (tables.WATERMARK, (E1, ANN, 7, 1, E2)),
    (tables.WATERMARK, (E1, ANN, 6, 0, E2)),
    (tables.TOMB, (E1, 0, 0)),
    (tables.PICTURE, (SHA256, b"")),
    (tables.PICTURE, (SHA256, bytes(65_537))),
    (tables.PICTURE_USE, (SHA256, 0)),
]


def test_a_row_that_breaks_a_check_is_refused_whole(store: Store) -> None:
    for table, row in BAD_ROWS:
        with pytest.raises(Violation):
            put(store, (table, row), (tables.TOMB, (E2, 1, 1)))
    assert found(store, tables.TOMB, (E2, 1, 1)) is None


def entry(pos: int, id: bytes) -> Entry:
    author = Author(ANN).packed()
    return Entry(pos, Lane.CLIENTS, conversation_stream(E1), pos, id, 10, 0, author, 0, b"")


def test_periods_come_with_the_positions_of_joining_and_leaving(store: Store) -> None:
    periods = [row_of(value) for table, value in VALUES if table is tables.PERIOD]
    put(
        store,
        *((tables.PERIOD, row) for row in periods),
        appends=(entry(1, E1), entry(2, E2)),
    )
    rows = store.read(lambda reader: reader.query(PERIODS_IN, user=ANN, conversation=E1))
    assert sorted(rows) == [(E1, 1, 0, E1, 1, 10, 0, 2), (E1, 2, 1, E2, 2, 10, 1, None)]


def test_all_devices_come_with_the_names_of_their_users(store: Store) -> None:
    device = row_of(Device(ANN, "phone", PHONE, 1, 2, 3))
    put(store, (tables.ACCOUNT, account_row(ACCOUNT)), (tables.DEVICE, device))
    rows = store.read(lambda reader: reader.query(ALL_DEVICES))
    assert rows == [("ann", *device)]
    assert store.read(lambda reader: reader.query(DEVICES_OF, user=ANN)) == [device]


def ids_of_old_tombs(reader: Reader) -> list[Row]:
    return reader.query(OLD_TOMBS, before_ms=10, limit=2)


def test_old_tombs_are_found_the_oldest_first(store: Store) -> None:
    ages = {b"a": 9, b"b": 10, b"c": 3, b"d": 7}
    put(store, *((tables.TOMB, (name * 16, 1, at_ms)) for name, at_ms in ages.items()))
    assert store.read(ids_of_old_tombs) == [(b"c" * 16,), (b"d" * 16,)]


def test_of_refusals_the_newest_are_remembered_within_the_column(store: Store) -> None:
    many = [Refusal(bytes([i % 256]) * 16, "DEPENDENCY_REFUSED", "😀" * 999) for i in range(150)]
    row = refused_row(PHONE, None, many[0])
    for refusal in many[1:]:
        row = refused_row(PHONE, row, refusal)
    put(store, (tables.REFUSED, row))
    kept = refusals_in(found(store, tables.REFUSED, row))
    assert [refusal.event for refusal in kept] == [refusal.event for refusal in many[50:]]
    assert refusals_in(None) == ()


@pytest.mark.parametrize(
    "row",
    [(), (1, 2, 3), (ANN, "ann", "", b"", b"", b"", b"odd", 0)],
)
def test_an_account_of_other_columns_is_none_of_ours(row: Row) -> None:
    with pytest.raises(ValueError, match=r"account|ids"):
        account_of(row)


def test_a_row_of_other_columns_is_none_of_ours() -> None:
    for row in ((), (E1, ANN, 1, 9, 1, E2), (E1, 7, 1, 0, 1, E2), (E1, ANN, None, 0, 1, E2)):
        with pytest.raises(ValueError, match=r"Expected|Invalid"):
            read_row(Member, row)
    with pytest.raises(ValueError, match="refused"):
        refusals_in((1, 2))
    with pytest.raises(ValueError, match="refused"):
        refused_row(PHONE, (1, 2), Refusal(E1, "INVALID", "why"))
