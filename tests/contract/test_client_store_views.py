"""What an app sees: what the stream said, with what its user did on top, at once and until the host
has it; by whatever name it is asked for."""

from __future__ import annotations

import pytest

from postbox.client.core import acts, changes
from postbox.client.core.settle import Refused
from postbox.client.facts import UNREAD_AT_MOST, Reaction, State
from postbox.client.store import outbox
from postbox.client.store.store import Store
from support.device_file import (
    ANN,
    ATTIC,
    BOB,
    CLEO,
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
    texts,
    uuid,
)

SECOND = message_uuid(2)


def begin(store: Store) -> None:
    hear(store, *room(ROOM, BOB), *said(2), *said(3, "mine", author=ANN))
    hear(store, changes.UserMet(BOB, "bob", "Bob", b""), changes.UserMet(ANN, "ann", "", b""))


# -- messages --------------------------------------------------------------------------------------


def test_what_was_sent_is_there_at_once_and_its_state_goes_on_without_a_double() -> None:
    with opened() as store:
        begin(store)
        send(store, "hello", 1)
        states = [store.messages(ROOM)[-1]]
        store.settle([answered(1, 101)], 2)
        states.append(store.messages(ROOM)[-1])
        came = said(4, "hello", ANN, message=uuid(101), local=uuid(1))
        hear(store, changes.Settled(uuid(1), uuid(101)), *came)
        states.append(store.messages(ROOM)[-1])
        hear(store, changes.DeliveredUpTo(ROOM, BOB, 4))
        states.append(store.messages(ROOM)[-1])
        assert texts(store.messages(ROOM)) == ["message 2", "mine", "hello"]
    assert [each.state for each in states] == [
        State.SENDING,
        State.SENT,
        State.SENT,
        State.DELIVERED,
    ]
    assert {(each.key, each.text, each.author_name, each.conversation) for each in states} == {
        (uuid(1), "hello", "ann", ROOM)
    }
    assert [(each.uuid, each.seq) for each in states] == [
        ("", 0),
        (uuid(101), 0),
        (uuid(101), 4),
        (uuid(101), 4),
    ]


def test_a_refused_message_stays_and_says_why_until_it_is_dismissed() -> None:
    with opened() as store:
        begin(store)
        send(store, "hello", 1)
        store.settle([Refused(uuid(1), "QUOTA", "no more")], 2)
        failed = store.messages(ROOM)[-1]
        assert (failed.text, failed.state) == ("hello", State.FAILED)
        assert (failed.code, failed.detail) == ("QUOTA", "no more")
        store.dismiss(uuid(1))
        assert texts(store.messages(ROOM)) == ["message 2", "mine"]
        assert store.message(uuid(1)) is None


def test_a_message_is_found_by_its_local_and_by_the_hosts_uuid_at_any_time() -> None:
    with opened() as store:
        begin(store)
        send(store, "hello", 1)
        assert store.message(uuid(1)) == store.messages(ROOM)[-1]
        assert store.message(uuid(101)) is None
        store.settle([answered(1, 101)], 2)
        assert store.message(uuid(1)) == store.message(uuid(101)) == store.messages(ROOM)[-1]
        came = said(4, "hello", ANN, message=uuid(101), local=uuid(1))
        hear(store, changes.Settled(uuid(1), uuid(101)), *came)
        assert store.message(uuid(1)) == store.message(uuid(101)) == store.messages(ROOM)[-1]
        assert store.message(uuid(999)) is None


@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_done_to_a_message_is_seen_at_once_whatever_it_is_called(is_there: bool) -> None:
    with opened() as store:
        begin(store)
        send(store, "hello", 1)
        if is_there:
            store.settle([answered(1, 101)], 2)
            came = said(4, "hello", ANN, message=uuid(101), local=uuid(1))
            hear(store, changes.Settled(uuid(1), uuid(101)), *came)
        do(store, acts.EditMessage(ROOM, uuid(1), "hello all"), 2)
        do(store, acts.AddReaction(ROOM, uuid(101) if is_there else uuid(1), "+"), 3)
        found = store.messages(ROOM)[-1]
        assert (found.text, found.is_edited, found.is_pending) == ("hello all", True, True)
        assert found.reactions == (Reaction("+", (ANN,)),)
        do(store, acts.DeleteMessage(ROOM, uuid(1)), 4)
        assert texts(store.messages(ROOM)) == ["message 2", "mine"]
        assert store.message(uuid(1)) is None


def test_the_last_edit_counts_whatever_each_of_them_calls_the_message() -> None:
    with opened() as store:
        begin(store)
        hear(store, *said(4, "hello", ANN, message=uuid(101), local=uuid(1)))
        for number, name in enumerate([uuid(101), uuid(1), uuid(101)], start=2):
            do(store, acts.EditMessage(ROOM, name, f"edit {number}"), number)
        assert store.messages(ROOM)[-1].text == "edit 4"


def test_what_others_do_and_what_the_user_does_come_together() -> None:
    with opened() as store:
        begin(store)
        hear(store, changes.ReactionAdded(ROOM, SECOND, BOB, "+", 4))
        do(store, acts.AddReaction(ROOM, SECOND, "+"), 1)
        [second, _] = store.messages(ROOM)
        assert second.reactions == (Reaction("+", (ANN, BOB)),)
        store.settle([Refused(uuid(1), "UNKNOWN_TARGET", "")], 2)
        [second, _] = store.messages(ROOM)
        assert second.reactions == [Reaction("+", (BOB,))]


def test_pages_go_from_what_waits_to_the_oldest_and_leave_nothing_out() -> None:
    with opened() as store:
        begin(store)
        hear(store, *(each for seq in range(4, 21) for each in said(seq)))
        for number in range(1, 6):
            send(store, f"waits {number}", number)
        do(store, acts.DeleteMessage(ROOM, uuid(3)), 10)
        do(store, acts.DeleteMessage(ROOM, message_uuid(9)), 11)
        whole = store.messages(ROOM, limit=100)
        for limit in (1, 3, 4, 7):
            pages = [store.messages(ROOM, limit=limit)]
            while page := store.messages(ROOM, pages[-1][0].key, limit):
                pages.append(page)
            assert [message for page in reversed(pages) for message in page] == whole
            assert {len(page) for page in pages[:-1]} == {limit}
    waiting = [f"waits {number}" for number in (1, 2, 4, 5)]
    assert texts(whole[-4:]) == waiting
    assert [each.seq for each in whole[:-4]] == [seq for seq in range(2, 21) if seq != 9]


def test_a_page_before_a_message_that_is_none_there_is_empty() -> None:
    with opened() as store:
        begin(store)
        hear(store, *room(ATTIC), *said(9, conversation=ATTIC))
        assert store.messages(ROOM, message_uuid(9, ATTIC)) == []
        assert store.messages(ROOM, uuid(999)) == []
        assert store.messages(uuid(999)) == []


def test_of_others_messages_the_state_says_whether_the_user_has_read_them() -> None:
    with opened() as store:
        begin(store)
        hear(store, *said(4))
        hear(store, changes.ReadUpTo(ROOM, ANN, 2))
        assert [each.state for each in store.messages(ROOM)] == [
            State.READ,
            State.SENT,
            State.DELIVERED,
        ]
        do(store, acts.Read(ROOM, message_uuid(4)), 1)
        assert store.messages(ROOM)[-1].state is State.READ


# -- conversations ---------------------------------------------------------------------------------


def test_a_conversation_that_is_made_is_there_at_once_with_all_that_is_said_in_it() -> None:
    with opened() as store:
        begin(store)
        do(store, acts.CreateConversation("garden", ("bob", CLEO)), 1, NOW_MS + 10)
        do(store, acts.SendMessage(uuid(1), "hello"), 2, NOW_MS + 20)
        found = [store.conversation(uuid(1))]
        assert store.conversations()[0] == found[0]
        members = store.members(uuid(1))
        assert {member.user for member in members} >= {ANN, CLEO}
        store.settle([answered(1, 101)], 2)
        found.append(store.conversation(uuid(1)))
        hear(store, changes.Settled(uuid(1), uuid(101)), *room(uuid(101), BOB, CLEO, name="garden"))
        found.append(store.conversation(uuid(1)))
        assert store.conversation(uuid(101)) == found[-1]
        assert texts(store.messages(uuid(1))) == texts(store.messages(uuid(101))) == ["hello"]
        assert [each.name for each in store.conversations()] == ["garden", "room"]
        [message] = store.messages(uuid(1))
        assert message.conversation == uuid(1)
    assert [each and (each.name, each.state, each.uuid, each.key) for each in found] == [
        ("garden", State.SENDING, "", uuid(1)),
        ("garden", State.SENT, uuid(101), uuid(1)),
        ("garden", State.SENT, uuid(101), uuid(1)),
    ]
    assert [each and each.newest and each.newest.text for each in found] == ["hello"] * 3


def test_a_conversation_that_was_refused_says_why() -> None:
    with opened() as store:
        do(store, acts.CreateConversation("garden"), 1)
        store.settle([Refused(uuid(1), "QUOTA", "too many")], 2)
        [found] = store.conversations()
        assert (found.state, found.code, found.detail) == (State.FAILED, "QUOTA", "too many")


def test_one_that_was_left_is_gone_at_once_and_stays_gone() -> None:
    with opened() as store:
        begin(store)
        do(store, acts.CreateConversation("garden"), 1)
        store.settle([answered(1, 101)], 2)
        hear(store, changes.Settled(uuid(1), uuid(101)), *room(uuid(101), name="garden"))
        do(store, acts.RemoveMember(uuid(101)), 2)
        assert [each.name for each in store.conversations()] == ["room"]
        hear(store, changes.ConversationForgotten(uuid(101), ""), changes.Settled(uuid(2), uuid(9)))
        assert [each.name for each in store.conversations()] == ["room"]
        assert store.conversation(uuid(1)) is None
        assert store.conversation(uuid(101)) is None


def test_a_new_name_is_seen_at_once_and_undone_if_it_is_refused() -> None:
    with opened() as store:
        begin(store)
        do(store, acts.RenameConversation(ROOM, "garden"), 1)
        found = store.conversation(ROOM)
        assert found is not None
        assert (found.name, found.is_pending) == ("garden", True)
        store.settle([Refused(uuid(1), "SUPERSEDED", "")], 2)
        found = store.conversation(ROOM)
        assert found is not None
        assert (found.name, found.is_pending) == ("room", False)


def test_conversations_come_by_when_something_was_said_last_in_pages() -> None:
    with opened() as store:
        rooms = [uuid(20 + number) for number in range(10)]
        for number, each in enumerate(rooms):
            hear(store, *room(each, name=f"room {number}"))
            hear(store, *said(2, conversation=each, at_ms=NOW_MS + number * 7 % 10))
        send(store, "hello", 1, rooms[3])
        do(store, acts.CreateConversation("new"), 2, NOW_MS + 100)
        do(store, acts.SendMessage(rooms[5], "later"), 3, NOW_MS + 50)
        whole = store.conversations(limit=100)
        names = [each.name for each in whole]
        by_time = sorted(range(10), key=lambda number: -(number * 7 % 10))
        assert names == ["new", "room 5", *[f"room {each}" for each in by_time if each != 5]]
        for limit in (1, 3, 4):
            found = store.conversations(limit)
            while page := store.conversations(limit, found[-1].key):
                found += page
            assert found == whole
        assert store.conversations(5, uuid(999)) == []
        store.settle([Refused(uuid(3), "QUOTA", "")], 4)  # which moves nothing to the front
        assert [each.name for each in store.conversations(2)] == ["new", f"room {by_time[0]}"]


def test_unread_are_messages_of_others_beyond_what_the_user_has_read() -> None:
    def unread(store: Store) -> tuple[int, dict[str, int]]:
        found = store.conversation(ROOM)
        assert found is not None
        return found.unread, store.unread()

    with opened() as store:
        begin(store)
        hear(store, *said(4), *said(5, author=CLEO), *room(ATTIC))
        assert unread(store) == (3, {ROOM: 3})
        hear(store, changes.ReadUpTo(ROOM, ANN, 2))
        assert unread(store) == (2, {ROOM: 2})
        do(store, acts.Read(ROOM, message_uuid(4)), 1)
        assert unread(store) == (1, {ROOM: 1})
        hear(store, changes.MessageDeleted(ROOM, message_uuid(5), 6))
        assert unread(store) == (0, {})


def test_unread_are_counted_up_to_a_bound() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB))
        hear(store, *(each for seq in range(2, UNREAD_AT_MOST + 9) for each in said(seq)))
        found = store.conversation(ROOM)
        assert found is not None
        assert found.unread == UNREAD_AT_MOST


# -- people ----------------------------------------------------------------------------------------


def test_members_are_told_with_their_names_and_what_the_user_changes() -> None:
    with opened() as store:
        begin(store)
        hear(store, changes.UserMet(CLEO, "cleo", "Cleo", b""), changes.ReadUpTo(ROOM, BOB, 3))
        do(store, acts.AddMember(ROOM, CLEO, is_owner=True), 1)
        found = [(each.shown, each.is_owner, each.is_pending) for each in store.members(ROOM)]
        assert found == [("ann", True, False), ("Bob", False, False), ("Cleo", True, True)]
        assert [each.read_seq for each in store.members(ROOM)] == [0, 3, 0]
        do(store, acts.RemoveMember(ROOM, BOB), 2)
        assert [each.shown for each in store.members(ROOM)] == ["ann", "Cleo"]


def test_a_user_has_the_name_and_picture_that_it_gave_itself() -> None:
    with opened() as store:
        do(store, acts.SetDisplayName("Annie"), 1)
        found = store.user(ANN)
        assert found is not None
        assert found.display == "Annie"
        begin(store)
        found = store.user(ANN)
        assert found is not None
        assert (found.name, found.shown) == ("ann", "Annie")
        assert store.user(uuid(999)) is None


def test_an_invite_says_what_was_decided_until_it_is_gone() -> None:
    with opened() as store:
        hear(store, changes.InviteCame("host", "i", "bob@host", "c", "party"))
        do(store, acts.AnswerInvite("host", "i", True), 1)
        assert [each.answer for each in store.invites()] == [True]
        hear(store, changes.InviteDecided("host", "i", True), changes.Settled(uuid(1), uuid(9)))
        assert store.invites() == []


def test_what_is_said_again_under_its_name_is_there_once_however_old_it_is() -> None:
    with opened() as store:
        hear(store, *room(ROOM, BOB))
        send(store, "hello", 1)
        hear(
            store, changes.Settled(uuid(1), message_uuid(2)), *said(2, "hello", ANN, local=uuid(1))
        )
        store.prune(NOW_MS + outbox.KEEP_MS + 1)
        assert store.why(uuid(1)) is None, "forgotten, but for the message"
        send(store, "hello", 1)
        assert texts(store.messages(ROOM)) == ["hello"]
        hear(store, *said(3, "and you?"))
        store.settle([answered(1, 102, is_duplicate=True)], 0)
        assert texts(store.messages(ROOM)) == ["hello", "and you?"]
