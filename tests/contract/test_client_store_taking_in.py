"""What the stream says becomes what a device shows: in whatever order it comes, once, together with
the place behind it."""

from __future__ import annotations

from itertools import permutations
from typing import get_args

import msgspec
import pytest

from postbox.client.core import changes
from postbox.client.core.changes import Change, Place
from postbox.client.facts import Guild, Invite, Message, Reaction, State
from postbox.client.store.store import Hole, Store
from postbox.client.store.taking_in import STATEMENTS
from postbox.errors import Fatal
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    CLEO,
    NOW_MS,
    ROOM,
    dump,
    hear,
    message_uuid,
    opened,
    room,
    said,
    texts,
    uuid,
)

MARKS = (changes.SnapshotBegan, changes.SnapshotEnded, changes.SnapshotDropped)
MESSAGE = message_uuid(5)


def message(store: Store) -> Message | None:
    return store.message(MESSAGE)


def test_every_change_has_its_statements() -> None:
    assert {*STATEMENTS, *MARKS} == {*get_args(Change)}


def test_changes_and_their_place_are_taken_in_together_or_not_at_all() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB))
        before = dump(store)
        broken = changes.Reached(ROOM, "no number")  # type: ignore[arg-type]
        frames = [(said(2), Place("a", "b", "c")), ([*said(3), broken], Place("d", "e", "f"))]
        with pytest.raises(Fatal):
            store.take(frames, NOW_MS)
        assert dump(store) == before
        store.take([(said(2), Place("a", "b", "c")), (said(3), Place("d", "e", "f"))], NOW_MS)
        assert store.place() == Place("d", "e", "f")
        assert texts(store.messages(ROOM)) == ["message 2", "message 3"]
        assert store.heads() == {ROOM: 3}


def test_a_message_that_comes_twice_is_there_once() -> None:
    with opened() as store:
        hear(store, *room(), *said(2), *said(2, "another text"))
        assert texts(store.messages(ROOM)) == ["message 2"]


EDITED = changes.MessageEdited(ROOM, MESSAGE, "edited", 7, uuid(7), NOW_MS, b"")
EDITED_AGAIN = changes.MessageEdited(ROOM, MESSAGE, "edited again", 9, uuid(9), NOW_MS, b"x")
LIKED = changes.ReactionAdded(ROOM, MESSAGE, CLEO, "+", 6)
UNLIKED = changes.ReactionRemoved(ROOM, MESSAGE, CLEO, "+", 8)
LIKED_BY_BOB = changes.ReactionAdded(ROOM, MESSAGE, BOB, "+", 10)


FATE = [said(5)[1], EDITED, EDITED_AGAIN, LIKED, UNLIKED, LIKED_BY_BOB]


def test_of_what_becomes_of_a_message_the_greatest_number_counts() -> None:
    with opened() as store:
        for order in permutations(FATE):
            hear(store, changes.ConversationBegun(ROOM), *room(), *order)
            found = message(store)
            assert found is not None
            assert (found.text, found.change, found.extra) == ("edited again", uuid(9), b"x")
            assert found.is_edited
            assert found.reactions == [Reaction("+", (BOB,))]


@pytest.mark.parametrize(
    "end",
    [
        changes.MessageDeleted(ROOM, MESSAGE, 11),
        changes.NumberErased(ROOM, MESSAGE, 5, "deleted"),
        changes.NumberErased(ROOM, MESSAGE, 5, "erased"),
    ],
)
def test_a_deleted_message_does_not_come_back_and_nothing_of_it_stays(end: Change) -> None:
    with opened() as store:
        for order in permutations([said(5)[1], EDITED, LIKED, end]):
            hear(store, changes.ConversationBegun(ROOM), *room(), *order)
            assert message(store) is None
            found = dump(store)
            assert [found[table] for table in ("message", "edit", "reaction")] == [[], [], []]


def test_of_an_erased_edit_nothing_stays_and_the_later_one_counts() -> None:
    with opened() as store:
        hear(store, *room(), *said(5), EDITED, changes.NumberErased(ROOM, uuid(7), 7, "edited"))
        assert (dump(store)["edit"], dump(store)["deleted"]) == ([], [])
        hear(store, EDITED_AGAIN)
        found = message(store)
        assert found is not None
        assert found.text == "edited again"


def test_watermarks_only_grow_and_what_was_read_was_delivered() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB, CLEO), *said(2, author=ANN), *said(3, author=ANN))
        states = [[each.state for each in store.messages(ROOM)]]
        for change in (
            changes.DeliveredUpTo(ROOM, BOB, 3),
            changes.ReadUpTo(ROOM, CLEO, 2),
            changes.DeliveredUpTo(ROOM, BOB, 2),
            changes.ReadUpTo(ROOM, BOB, 3),
            changes.ReadUpTo(ROOM, BOB, 1),
        ):
            hear(store, change)
            states.append([each.state for each in store.messages(ROOM)])
        [first, second] = store.messages(ROOM)
    sent, delivered, read = State.SENT, State.DELIVERED, State.READ
    assert states == [
        [sent, sent],
        [sent, sent],
        [delivered, sent],
        [delivered, sent],
        [read, sent],
        [read, sent],
    ]
    assert (first.read_by, first.delivered_to, first.others) == (2, 2, 2)
    assert (second.read_by, second.delivered_to, second.others) == (1, 1, 2)


def test_who_is_let_in_again_under_another_role_has_that() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB), changes.MemberCame(ROOM, BOB, True))
        assert [each.is_owner for each in store.members(ROOM)] == [True, True]
        hear(store, changes.MemberCame(ROOM, ANN, False))
        assert [each.is_owner for each in store.members(ROOM)] == [False, True]


def test_who_has_left_is_not_waited_for() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB, CLEO), *said(2, author=ANN), changes.ReadUpTo(ROOM, BOB, 2))
        hear(store, changes.MemberWent(ROOM, CLEO))
        assert [each.state for each in store.messages(ROOM)] == [State.READ]
        hear(store, changes.MemberWent(ROOM, BOB))
        assert [each.state for each in store.messages(ROOM)] == [State.SENT]


def test_nothing_of_a_conversation_stays_when_the_user_is_out() -> None:
    with opened() as store:
        everything: list[Change] = [
            *room(ROOM, BOB),
            *said(5),
            EDITED,
            LIKED,
            changes.ReadUpTo(ROOM, BOB, 5),
        ]
        more: list[Change] = [
            changes.HoleFound(ROOM, 1, 5),
            changes.MessageDeleted(ROOM, uuid(77), 6),
        ]
        foreign = changes.ForeignCame(ROOM, uuid(8), 8, BOB, b"body", NOW_MS, "", False)
        hear(store, *room(ATTIC, CLEO))
        before = dump(store)
        hear(store, *everything, *more, foreign)
        assert store.heads() == {ROOM: 5, ATTIC: 1}
        hear(store, changes.ConversationForgotten(ROOM, BOB))
        assert dump(store) | {"place": before["place"]} == before
        assert store.conversation(ROOM) is None
        assert store.messages(ROOM) == []
        assert store.members(ROOM) == []


def test_a_conversation_begins_anew_when_the_user_is_let_in_again() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB), *said(2))
        hear(store, changes.ConversationBegun(ROOM), changes.Reached(ROOM, 9))
        assert texts(store.messages(ROOM)) == []
        hear(store, changes.MemberCame(ROOM, CLEO, False), *said(8, is_backfill=True))
        hear(store, changes.ConversationMade(ROOM, "garden", "", NOW_MS))
        found = store.conversation(ROOM)
        assert found is not None
        assert (found.name, found.newest_seq, found.oldest_seq) == ("garden", 9, 8)
        assert found.newest_ms == NOW_MS + 8
        hear(store, *said(5, is_backfill=True))
        assert store.conversation(ROOM) == msgspec.structs.replace(found, oldest_seq=5, unread=2)
        assert [member.user for member in store.members(ROOM)] == [CLEO]


def test_what_is_told_again_of_a_conversation_leaves_its_newest_name() -> None:
    with opened() as store:
        hear(store, *room(), changes.ConversationRenamed(ROOM, "garden", uuid(5)))
        hear(store, changes.ConversationMade(ROOM, "room", "", NOW_MS))
        found = store.conversation(ROOM)
        assert found is not None
        assert (found.name, found.change) == ("garden", uuid(5))


def test_people_are_known_by_their_newest_names_and_pictures() -> None:
    with opened() as store:
        hear(store, changes.UserMet(BOB, "bob", "Bob", b"old"))
        hear(store, changes.DisplayNameChanged(BOB, "Bobby", uuid(5)))
        hear(store, changes.PictureChanged(BOB, b"new", b"png", uuid(6)))
        found = store.user(BOB)
        assert found is not None
        assert (found.name, found.display, found.name_change) == ("bob", "Bobby", uuid(5))
        assert (found.picture_sha256, found.picture) == (b"new", b"png")
        hear(store, changes.UserMet(BOB, "bob", "Bobby", b"new"))
        assert store.user(BOB) == found
        hear(store, changes.PictureChanged(BOB, b"newer", b"", uuid(7)))
        found = store.user(BOB)
        assert found is not None
        assert (found.picture_sha256, found.picture) == (b"newer", b"")
        hear(store, changes.PictureChanged(BOB, b"", b"", uuid(8)))
        assert b"png" not in str(dump(store)).encode()
        assert [each.user for each in store.users()] == [BOB]


def test_guilds_and_invites_come_and_go() -> None:
    with opened() as store:
        for name in ("old", "new"):
            hear(store, changes.GuildEntered("host", "g", name))
        hear(store, changes.GuildEntered("host", "h", "other"))
        hear(store, changes.GuildExited("host", "h", "left"))
        hear(store, changes.InviteCame("host", "i", "bob@host", "c", "party"))
        hear(store, changes.InviteCame("host", "j", "bob@host", "c", "party"))
        hear(store, changes.InviteDecided("host", "j", True))
        assert store.guilds() == [Guild("host", "g", "new")]
        assert store.invites() == [Invite("host", "i", "bob@host", "c", "party")]


def test_what_is_missing_is_known_until_history_brings_it() -> None:
    with opened() as store:
        hear(store, *room(), changes.HoleFound(ROOM, 1, 200), *said(200))
        hear(store, changes.HoleFound(ROOM, 200, 203), *said(203))
        assert store.holes() == [Hole(ROOM, 1, 200), Hole(ROOM, 200, 203)]

        def page(before: int, lowest: int, has_more: bool = True) -> None:
            found = [each for seq in range(lowest, before) for each in said(seq, is_backfill=True)]
            store.take_history(ROOM, found, before, lowest, has_more, NOW_MS)

        page(200, 100)
        assert store.holes() == [Hole(ROOM, 1, 100), Hole(ROOM, 200, 203)]
        page(203, 150)
        assert store.holes() == [Hole(ROOM, 1, 100)]
        page(100, 1)
        assert store.holes() == []
        assert [each.seq for each in store.messages(ROOM, limit=1_000)] == list(range(1, 204))


def test_a_hole_that_the_host_knows_nothing_of_is_none() -> None:
    with opened() as store:
        hear(store, *room(), changes.HoleFound(ROOM, 1, 5), *said(5))
        store.take_history(ROOM, [], 5, 0, False, NOW_MS)
        assert store.holes() == []
        hear(store, changes.HoleFound(ROOM, 5, 9), *said(9))
        store.take_history(ROOM, said(8), 9, 8, False, NOW_MS)  # it was let in with number 8
        assert store.holes() == []


def test_a_page_of_a_conversation_that_was_left_meanwhile_is_not_kept() -> None:
    with opened() as store:
        hear(store, *room(), *said(5), changes.ConversationForgotten(ROOM, BOB))
        store.take_history(ROOM, said(3), 5, 3, True, NOW_MS)
        assert dump(store)["message"] == []


def test_a_device_knows_whether_there_is_more_to_look_back_at() -> None:
    def older(store: Store) -> tuple[int, bool]:
        found = store.conversation(ROOM)
        assert found is not None
        return found.oldest_seq, found.has_older

    with opened() as store:
        hear(store, changes.ConversationMade(ROOM, "room", "", NOW_MS))
        hear(store, *said(50, is_backfill=True), *said(52, is_backfill=True))
        hear(store, changes.Reached(ROOM, 60))
        assert older(store) == (50, True)
        store.take_history(ROOM, said(30, is_backfill=True), 50, 20, True, NOW_MS)
        assert older(store) == (20, True)
        store.take_history(ROOM, [], 20, 0, False, NOW_MS)
        assert older(store) == (20, False)
        hear(store, *room(ATTIC))
        attic = store.conversation(ATTIC)
        assert attic is not None
        assert not attic.has_older


def test_events_of_applications_are_kept_as_they_came() -> None:
    with opened() as store:
        came = changes.ForeignCame(ROOM, uuid(8), 8, BOB, b"body", NOW_MS, "", False)
        hear(store, *room(), came, came)
        assert [row[-1] for row in dump(store)["foreign_event"]] == [b"body"]
        hear(store, changes.NumberErased(ROOM, uuid(8), 8, "erased"))
        assert dump(store)["foreign_event"] == []


def test_a_number_beyond_what_a_file_holds_is_a_fault_that_changes_nothing() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB))
        was = dump(store)
        with pytest.raises(Fatal, match="2\\*\\*63"):
            hear(store, *said(2**64 - 1))
        with pytest.raises(Fatal):
            store.settle([], 2**64 - 1)
        assert dump(store) == was
