"""A snapshot is filled beside what is shown, and takes its place at once, or not at all."""

from __future__ import annotations

from postbox.client.core import acts, changes
from postbox.client.core.changes import Place
from postbox.client.facts import Standing
from postbox.client.store.open import open_store
from postbox.client.store.store import Hole, Store
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    CLEO,
    NOW_MS,
    PATH,
    ROOM,
    answered,
    do,
    dump,
    hear,
    message_uuid,
    opened,
    room,
    said,
    send,
    texts,
    uuid,
)
from support.simulate import MemoryDisk

BEGAN = changes.SnapshotBegan("e2", "CURSOR_TOO_OLD")
ENDED = changes.SnapshotEnded()
EVERYTHING = [
    *room(ATTIC, BOB, name="attic"),
    *said(4, "in the attic", conversation=ATTIC, is_backfill=True),
    changes.MessageEdited(ATTIC, message_uuid(4, ATTIC), "up here", 5, uuid(5), NOW_MS),
    changes.UserMet(BOB, "bob", "Bob", b""),
    changes.GuildEntered("host", "g", "guild"),
]


def halfway(store: Store) -> None:
    hear(store, *room(ROOM, BOB), *said(2))
    place = store.place()
    store.take([([BEGAN, *EVERYTHING], place)], NOW_MS)


def schema(store: Store) -> list[tuple[object, ...]]:
    sql = "select type, name, tbl_name from sqlite_schema order by 1, 2"
    return store._writer.execute(sql).fetchall()


def test_nothing_of_a_snapshot_is_shown_before_its_end_and_then_all_and_nothing_else() -> None:
    with opened() as store:
        halfway(store)
        assert texts(store.messages(ROOM)) == ["message 2"]
        assert store.heads() == {ROOM: 2}
        assert store.guilds() == []
        store.take([([ENDED], Place("t", "u", "e2"))], NOW_MS)
        assert store.heads() == {ATTIC: 4}
        assert store.conversation(ROOM) is None
        assert texts(store.messages(ATTIC)) == ["up here"]
        assert store.place() == Place("t", "u", "e2")


def test_after_a_snapshot_the_file_is_as_before_and_takes_in_the_next() -> None:
    with opened() as store:
        before = schema(store)
        for _ in range(3):
            hear(store, BEGAN, *EVERYTHING, ENDED)
            assert schema(store) == before
        hear(store, *said(5, conversation=ATTIC))
        assert texts(store.messages(ATTIC)) == ["up here", "message 5"]


def test_a_snapshot_that_was_cut_off_leaves_what_there_was() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        before_schema = schema(store)
        halfway(store)
        before = dump(store)
        store.stream_opened()
        assert schema(store) == before_schema
        assert dump(store) == before
        hear(store, BEGAN, *EVERYTHING)
        hear(store, changes.SnapshotDropped(), *said(3))
        assert texts(store.messages(ROOM)) == ["message 2", "message 3"]
        hear(store, BEGAN, *EVERYTHING)
    with opened(disk) as store:
        assert schema(store) == before_schema
        assert texts(store.messages(ROOM)) == ["message 2", "message 3"]


def test_a_snapshot_that_begins_again_has_nothing_of_its_first_beginning() -> None:
    with opened() as store:
        halfway(store)
        hear(store, BEGAN, *room(ROOM), ENDED)
        assert store.heads() == {ROOM: 1}
        assert store.guilds() == []


def test_the_queue_stays_over_a_snapshot_and_lies_on_top_of_it() -> None:
    with opened() as store:
        halfway(store)
        send(store, "waits", 1, ATTIC)
        do(store, acts.EditMessage(ATTIC, message_uuid(4, ATTIC), "not here"), 2)
        send(store, "was sent", 3, ATTIC)
        store.settle([answered(3, 103)], 4)
        settled = changes.Settled(uuid(3), uuid(103))
        own = said(6, "was sent", ANN, ATTIC, message=uuid(103), local=uuid(3), is_backfill=True)
        hear(store, *own, ENDED, settled)
        assert texts(store.messages(ATTIC)) == ["not here", "was sent", "waits"]
        assert [each.standing for each in store.queue()] == [Standing.QUEUED] * 2


def test_a_handlers_marks_stay_over_a_snapshot() -> None:
    with opened() as store:
        store.begin_handling("bot")
        hear(store, *room(ROOM, BOB), *said(2), *said(3))
        store.set_handled("bot", ROOM, 3)
        hear(store, BEGAN, *room(ROOM, BOB), *said(2), *said(3), *said(4), ENDED)
        assert [message.seq for message in store.unhandled("bot")] == [4]


def test_what_a_host_says_anew_under_numbers_that_were_handled_is_handled() -> None:
    """It was put back to number 2, and then others said something else."""
    with opened() as store:
        store.begin_handling("bot")
        hear(store, *room(ROOM, BOB), *(each for seq in range(2, 6) for each in said(seq)))
        store.set_handled("bot", ROOM, 5)
        other = said(3, "another", message=uuid(333))
        hear(store, BEGAN, *room(ROOM, BOB), *said(2), *other, ENDED)
        assert texts(store.unhandled("bot")) == ["another"]
        store.set_handled("bot", ROOM, 3)
        hear(store, *said(4, "and one more", message=uuid(444)))
        assert texts(store.unhandled("bot")) == ["and one more"]


def test_what_comes_behind_a_host_that_was_put_back_is_handled() -> None:
    with opened() as store:
        store.begin_handling("bot")
        hear(store, *room(ROOM, BOB), *(each for seq in range(2, 6) for each in said(seq)))
        store.set_handled("bot", ROOM, 5)
        hear(store, BEGAN, *room(ROOM, BOB), *said(2), ENDED)
        assert store.unhandled("bot") == []
        hear(store, *said(3, "anew", message=uuid(333)))
        assert texts(store.unhandled("bot")) == ["anew"]


def test_what_a_device_never_had_below_the_mark_is_not_handled_by_a_snapshot() -> None:
    with opened() as store:
        store.begin_handling("bot", at_the_end=True)
        hear(store, *room(ROOM, BOB)[:-1], *said(50, is_backfill=True))
        store.set_handled("bot", ROOM, 50)
        told = [*said(40, is_backfill=True), *said(50, is_backfill=True)]
        hear(store, BEGAN, *room(ROOM, BOB)[:-1], *told, ENDED)
        assert store.unhandled("bot") == []


def test_a_page_of_history_that_comes_amid_a_snapshot_is_not_mixed_into_it() -> None:
    with opened() as store:
        halfway(store)
        page = said(9, conversation=ATTIC, is_backfill=True)
        store.take_history(ATTIC, page, 10, 9, True, NOW_MS)
        hear(store, ENDED)
        assert texts(store.messages(ATTIC)) == ["up here"]


def test_a_crash_amid_a_snapshot_is_not_seen_by_whoever_opens_the_file_next() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        halfway(store)
        before = dump(store)
    store = open_store(disk, PATH)
    assert dump(store) == before
    store.close()


def test_what_a_snapshot_leaves_out_is_handled_before_what_it_brings() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB), *room(ATTIC, CLEO), *said(2), *said(3), *said(4))
        store.begin_handling("bot")
        store.set_handled("bot", ROOM, 2)
        last = [each for seq in (8, 9) for each in said(seq, is_backfill=True)]
        hear(store, BEGAN, *room(ROOM, BOB)[:-1], *last, *room(ATTIC, CLEO), ENDED)
        assert store.holes() == [Hole(ROOM, 2, 8)]
        assert store.unhandled("bot") == []
        store.take_history(ROOM, said(6, is_backfill=True), 8, 6, True, NOW_MS)
        assert list(store.unhandled("bot")) == []
        rest = [each for seq in (1, 3, 4) for each in said(seq, is_backfill=True)]
        store.take_history(ROOM, rest, 6, 1, False, NOW_MS)
        assert [message.seq for message in store.unhandled("bot")] == [3, 4, 6, 8, 9]


def test_what_a_snapshot_leaves_out_is_not_asked_for_where_nobody_handles_messages() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB), *said(2))
        hear(store, BEGAN, *room(ROOM, BOB)[:-1], *said(9, is_backfill=True), ENDED)
        assert store.holes() == []
