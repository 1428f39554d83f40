"""What devices ask, from bytes to values."""

from __future__ import annotations

import pytest

from postbox.clients.ids import uuid_of
from postbox.clients.wire import MAX_NUMBER, Malformed, TooLarge, read_batch, read_history
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import clients_pb as pb

ROOM = "00000000-0000-4000-8000-0000000000aa"


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (1, 1), (200, 200), (201, 200), (2**32 - 1, 200)]
)
def test_a_page_of_history_has_a_bounded_number_of_events(asked: int, given: int) -> None:
    older = read_history(pb.HistoryRequest(conversationUuid=ROOM, limit=asked).to_binary())
    assert (older.conversation, older.before_seq, older.limit) == (uuid_of(ROOM), 0, given)


@pytest.mark.parametrize("name", ["", "aa", ROOM[:-1], ROOM + "0", ROOM.replace("-", "")])
def test_history_is_that_of_a_conversation(name: str) -> None:
    with pytest.raises(Malformed, match="no uuid"):
        read_history(pb.HistoryRequest(conversationUuid=name).to_binary())


def test_a_batch_is_cut_where_its_events_stand_whatever_is_between_them() -> None:
    parts = [
        raw.bytes_field(1, b"\xff"),
        raw.varint_field(2, 7),
        raw.bytes_field(1, b""),
        raw.bytes_field(99, b"unheard of"),
        raw.bytes_field(3, b"token"),
        raw.bytes_field(1, b"x" * 300),
    ]
    batch = read_batch(b"".join(parts))
    assert (batch.events, batch.first_number) == ((b"\xff", b"", b"x" * 300), 7)
    assert batch.token == "token"


def test_numbers_beyond_what_a_database_holds_are_refused() -> None:
    assert read_batch(raw.varint_field(2, MAX_NUMBER)).first_number == MAX_NUMBER
    with pytest.raises(Malformed, match="firstQueueNumber"):
        read_batch(raw.varint_field(2, MAX_NUMBER + 1))


def test_many_events_are_too_large_together_and_one_is_not() -> None:
    half = raw.bytes_field(1, b"x" * 2**19)
    assert len(read_batch(raw.bytes_field(1, b"x" * 2**21)).events) == 1
    with pytest.raises(TooLarge, match="1048576"):
        read_batch(half + half)
    with pytest.raises(TooLarge, match="more events at once than 100"):
        read_batch(raw.bytes_field(1, b"") * 101)
