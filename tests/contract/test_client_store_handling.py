"""A handler of messages gets each message of others once, in order, whatever it died of."""

from __future__ import annotations

from postbox.client.core import acts, changes
from postbox.client.store.store import Store
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    CLEO,
    NOW_MS,
    ROOM,
    do,
    hear,
    message_uuid,
    opened,
    room,
    said,
    texts,
)
from support.simulate import MemoryDisk


def handle(store: Store, name: str, limit: int = 50) -> list[str]:
    """What was there for it, all of it handled."""
    found = store.unhandled(name, limit)
    for message in found:
        store.set_handled(name, message.conversation, message.seq)
    return texts(found)


def begin(store: Store) -> None:
    hear(store, *room(ROOM, BOB), *room(ATTIC, CLEO, name="attic"))
    hear(store, *said(2, "one", at_ms=NOW_MS + 10), *said(3, "mine", author=ANN))
    hear(store, *said(2, "two", CLEO, ATTIC, at_ms=NOW_MS + 20))
    hear(store, *said(4, "three", at_ms=NOW_MS + 30))


def test_each_message_of_others_is_given_in_order_until_it_is_handled() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        begin(store)
        store.begin_handling("bot")
        assert texts(store.unhandled("bot")) == ["one", "two", "three"]
        assert texts(store.unhandled("bot", 2)) == ["one", "two"]
        store.set_handled("bot", ROOM, 2)
    with opened(disk) as store:
        store.begin_handling("bot")
        assert handle(store, "bot") == ["two", "three"]
        assert handle(store, "bot") == []
        hear(store, *said(5, "four"))
        assert handle(store, "bot") == ["four"]


def test_handlers_do_not_know_of_each_other() -> None:
    with opened() as store:
        begin(store)
        for name in ("bot", "archive"):
            store.begin_handling(name)
            assert handle(store, name) == ["one", "two", "three"]


def test_a_handler_may_begin_with_what_comes_from_now_on() -> None:
    with opened() as store:
        begin(store)
        for _ in range(2):  # it is started again
            store.begin_handling("bot", at_the_end=True)
            hear(store, *said(5, "four"))
        assert handle(store, "bot") == ["four"]


def test_a_mark_never_goes_back() -> None:
    with opened() as store:
        begin(store)
        store.begin_handling("bot")
        handle(store, "bot")
        store.set_handled("bot", ROOM, 2)
        assert handle(store, "bot") == []


def test_behind_a_hole_nothing_is_given_before_it_is_filled() -> None:
    with opened() as store:
        begin(store)
        store.begin_handling("bot")
        hear(store, changes.HoleFound(ROOM, 4, 6), *said(6, "six", at_ms=NOW_MS + 60))
        hear(store, *said(3, "elsewhere", CLEO, ATTIC, at_ms=NOW_MS + 70))
        assert handle(store, "bot") == ["one", "two", "three", "elsewhere"]
        store.take_history(ROOM, said(5, "five", is_backfill=True), 6, 5, True, NOW_MS)
        assert handle(store, "bot") == ["five", "six"]


def test_what_was_said_before_and_is_looked_back_at_is_not_given() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB)[:-1], *said(50, is_backfill=True))
        store.begin_handling("bot")
        assert handle(store, "bot") == ["message 50"]
        store.take_history(ROOM, said(40, is_backfill=True), 50, 40, True, NOW_MS)
        assert handle(store, "bot") == []


def test_what_was_deleted_is_not_given() -> None:
    with opened() as store:
        begin(store)
        store.begin_handling("bot")
        hear(store, changes.MessageDeleted(ROOM, message_uuid(2), 5))
        assert handle(store, "bot") == ["two", "three"]


def test_a_conversation_that_the_user_is_leaving_holds_up_no_other() -> None:
    with opened() as store:
        begin(store)
        store.begin_handling("bot")
        do(store, acts.RemoveMember(ROOM), 1)
        assert texts(store.unhandled("bot", 1)) == ["two"]
        assert handle(store, "bot") == ["two"]
