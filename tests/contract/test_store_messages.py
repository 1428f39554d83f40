"""What the processes of a node tell each other through PostgreSQL: all who hear get it, in one
order, and nothing of it is kept."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import closing

import pytest

from postbox.errors import Unavailable
from postbox.store.contract import MAX_MESSAGE_BYTES, Hearing
from postbox.store.postgres.driver import PostgresStore, open_postgres
from postbox.world import FileDisk
from support.postgres import Server
from support.toy_chat import MIGRATIONS
from support.witness import PATIENT_S


def opened(url: str) -> PostgresStore:
    return open_postgres(FileDisk(), url, [MIGRATIONS], bytes(16), bytes(32))


@pytest.fixture
def pair(database: str) -> Iterator[tuple[PostgresStore, PostgresStore]]:
    with closing(opened(database)) as one, closing(opened(database)) as other:
        yield one, other


def heard(hearing: Hearing, count: int) -> list[bytes]:
    messages: list[bytes] = []
    while len(messages) < count:
        assert select.select([hearing.fileno()], [], [], PATIENT_S)[0], "nothing came"
        messages += hearing.take()
    return messages


def test_all_who_hear_are_told_the_same_in_one_order(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    told = [b"a", bytes(range(256)), b"", b"z" * MAX_MESSAGE_BYTES, b"'; drop table entry; --"]
    with closing(one.hear()) as first, closing(other.hear()) as second:
        one.tell(told)
        other.tell([b"last"])
        assert heard(first, 6) == [*told, b"last"]
        assert heard(second, 6) == [*told, b"last"]


def test_what_was_told_before_somebody_heard_is_gone(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    one.tell([b"early"])
    with closing(other.hear()) as hearing:
        one.tell([b"late"])
        assert heard(hearing, 1) == [b"late"]
        assert hearing.take() == []


def test_a_message_is_no_commit_and_a_commit_is_no_message(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = pair
    with closing(other.listen()) as listening, closing(other.hear()) as hearing:
        one.tell([b"one"])
        assert heard(hearing, 1) == [b"one"]
        assert not listening.drain()
        assert one.read(lambda reader: (reader.head, reader.turn)) == (0, 0)


def test_what_others_notify_on_the_channel_is_no_message(
    pair: tuple[PostgresStore, PostgresStore], postgres: Server, database: str
) -> None:
    one, other = pair
    name = database.split("@/")[1].split("?")[0]
    with closing(other.hear()) as hearing:
        ((channel,),) = postgres.run(
            "select 'postbox_' || current_schema()::regnamespace::oid || '_messages'", name
        )
        postgres.run(f"notify {channel}, 'not/base64='", name)
        one.tell([b"ours"])
        assert heard(hearing, 1) == [b"ours"]


def test_a_connection_that_has_ended_says_so_to_who_hears_and_is_replaced_for_who_tells(
    pair: tuple[PostgresStore, PostgresStore], postgres: Server
) -> None:
    one, other = pair
    with closing(other.hear()) as hearing:
        one.tell([b"before"])
        assert heard(hearing, 1) == [b"before"]
        postgres.run(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name in ('postbox listener', 'postbox reader')"
        )
        with pytest.raises(Unavailable):
            heard(hearing, 1)
    with closing(other.hear()) as hearing:
        one.tell([b"after"])
        assert heard(hearing, 1) == [b"after"]
