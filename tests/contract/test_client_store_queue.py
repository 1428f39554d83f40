"""The queue of a device: what the user did is there at once and for good, is answered once, and is
never lost to what the stream, an answer or a restore says in whatever order."""

from __future__ import annotations

import pytest

from postbox.client.core import acts, changes
from postbox.client.core.changes import Settled, SnapshotBegan, SnapshotEnded
from postbox.client.core.outgoing import act_of
from postbox.client.core.settle import Refused, Stored
from postbox.client.errors import NotByItself, Unknown
from postbox.client.facts import Standing, Waits
from postbox.client.store import outbox
from postbox.client.store.outbox import KEEP_MS
from postbox.client.store.store import Left, Store
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.device_file import (
    ANN,
    NOW_MS,
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

MANY = 1_000_000


def standing(store: Store, local: int) -> Standing | None:
    row = store.row(uuid(local))
    return None if row is None else row.queued.standing


def locals_of(store: Store) -> list[str]:
    return [row.queued.local for row in store.batch(100, MANY).rows]


def test_what_was_made_waits_in_order_and_is_there_again_after_a_restart() -> None:
    disk = MemoryDisk()
    with opened(disk) as store:
        for number in (3, 1, 2):
            send(store, f"text {number}", number)
        before = store.batch(100, MANY)
    with opened(disk) as store:
        assert store.batch(100, MANY) == before
        assert [act_of(row.body) for row in before.rows] == [
            acts.SendMessage(ROOM, f"text {number}") for number in (3, 1, 2)
        ]
        assert store.queued() == 3


def test_making_the_same_again_gives_what_is_there_whatever_became_of_it() -> None:
    with opened() as store:
        first = send(store, "once", 1)
        assert send(store, "twice", 1) == first
        store.settle([Refused(uuid(1), "QUOTA", "no more")], 2)
        assert send(store, "thrice", 1).standing is Standing.REFUSED
        assert store.queue() == [send(store, "again", 1)]


def test_a_batch_has_the_oldest_up_to_its_bounds_and_one_event_at_least() -> None:
    with opened() as store:
        for number in range(1, 6):
            send(store, "x" * 1_000, number)
        assert locals_of(store) == [uuid(number) for number in range(1, 6)]
        assert len(store.batch(2, MANY).rows) == 2
        size = len(store.batch(1, MANY).rows[0].body)
        assert len(store.batch(100, 3 * (size + 8)).rows) == 3
        assert len(store.batch(100, 3 * (size + 8) - 1).rows) == 2
        assert len(store.batch(100, 1).rows) == 1


def test_an_answer_settles_each_row_and_says_which_number_is_awaited() -> None:
    with opened() as store:
        for number in (1, 2, 3):
            send(store, "text", number)
        assert store.awaited() == 0
        store.settle([answered(1, 101), Refused(uuid(2), "NOT_A_MEMBER", "you are not")], 3)
        assert [each.standing for each in store.queue()] == [
            Standing.SENT,
            Standing.REFUSED,
            Standing.QUEUED,
        ]
        assert store.batch(100, MANY).awaited == store.awaited() == 3
        assert locals_of(store) == [uuid(3)]
        store.settle([], 0)
        assert store.awaited() == 3
        store.settle([], 7)
        assert store.awaited() == 7


@pytest.mark.parametrize("stream_first", [False, True])
def test_the_answer_and_the_stream_may_come_in_either_order(stream_first: bool) -> None:
    with opened() as store:
        send(store, "text", 1)
        if stream_first:
            hear(store, changes.Settled(uuid(1), uuid(101)))
        store.settle([answered(1, 101)], 2)
        hear(store, changes.Settled(uuid(1), uuid(101)))
        row = store.row(uuid(1))
        assert row is not None
        assert (row.queued.standing, row.queued.uuid) == (Standing.KEPT, uuid(101))
        assert store.queue() == []
        assert store.queued() == 0


def test_an_answer_that_comes_behind_the_stream_or_twice_undoes_nothing() -> None:
    with opened() as store:
        for number in (1, 2):
            send(store, "text", number)
        hear(store, changes.Settled(uuid(1), uuid(101)))
        store.settle([Refused(uuid(2), "QUOTA", "no more")], 3)
        before = dump(store)
        for answer in (Refused(uuid(1), "INVALID", ""), answered(1, 101), answered(2, 102)):
            store.settle([answer], 3)
            assert dump(store) == before


def test_what_leaves_no_entry_is_done_at_the_second_caught_up_behind_its_answer() -> None:
    with opened() as store:
        send(store, "text", 1)
        do(store, acts.AddReaction(ROOM, uuid(5), "+"), 2)
        hear(store, changes.CaughtUp())
        store.settle([answered(1, 101), answered(2, 102, is_duplicate=True)], 3)
        hear(store, changes.CaughtUp())
        assert [each.standing for each in store.queue()] == [Standing.SENT, Standing.SENT]
        hear(store, changes.CaughtUp())
        assert store.queue() == []
        assert [standing(store, number) for number in (1, 2)] == [Standing.KEPT] * 2


def test_what_left_no_entry_is_not_offered_again_but_what_always_leaves_one_is() -> None:
    with opened() as store:
        do(store, acts.CreateConversation("garden"), 1)
        send(store, "text", 2)
        for number in (3, 4):
            do(store, acts.AddReaction(ROOM, uuid(5), str(number)), number)
        store.settle([answered(each, 100 + each, is_duplicate=True) for each in range(1, 5)], 5)
        hear(store, changes.CaughtUp(), changes.CaughtUp(), changes.Settled(uuid(4), uuid(104)))
        hear(store, changes.KeptAgain())
        assert locals_of(store) == [uuid(1), uuid(2), uuid(4)]


def test_what_had_an_entry_is_offered_behind_each_restore_though_the_first_one_had_it_still() -> (
    None
):
    with opened() as store:
        do(store, acts.AddReaction(ROOM, uuid(5), "+"), 1)
        hear(store, changes.Settled(uuid(1), uuid(101)))
        for _ in range(2):
            hear(store, changes.KeptAgain())
            assert locals_of(store) == [uuid(1)]
            store.settle([answered(1, 101, is_duplicate=True)], 2)
            hear(store, changes.CaughtUp(), changes.CaughtUp())


def test_a_conversation_that_was_made_keeps_its_local_name_even_as_a_duplicate() -> None:
    with opened() as store:
        do(store, acts.CreateConversation("garden"), 1)
        store.settle([answered(1, 101, is_duplicate=True)], 2)
        hear(store, changes.ConversationMade(uuid(101), "garden", "", NOW_MS))
        hear(store, changes.CaughtUp(), changes.CaughtUp())
        store.prune(NOW_MS + 10 * outbox.KEEP_MS)
        found = store.conversation(uuid(1))
        assert found is not None
        assert (found.uuid, found.local) == (uuid(101), uuid(1))


def test_a_host_that_was_put_back_is_offered_all_that_it_had_in_the_order_of_making() -> None:
    with opened() as store:
        for number in range(1, 7):
            send(store, "text", number)
        store.settle([answered(1, 101), answered(2, 102), Refused(uuid(3), "QUOTA", "")], 5)
        store.settle([answered(4, 104)], 5)
        hear(store, changes.Settled(uuid(1), uuid(101)))
        hear(store, changes.KeptAgain(), changes.Settled(uuid(2), uuid(102)))
        assert locals_of(store) == [uuid(1), uuid(4), uuid(5), uuid(6)]
        assert standing(store, 2) is Standing.KEPT
        assert standing(store, 3) is Standing.REFUSED


def test_a_refused_row_is_dismissed_or_made_again_under_another_name() -> None:
    with opened() as store:
        for number in (1, 2):
            send(store, f"text {number}", number)
        store.settle([Refused(uuid(number), "QUOTA", "no more") for number in (1, 2)], 3)
        store.dismiss(uuid(1))
        [again] = store.again(uuid(2))
        assert store.queue() == [again]
        assert (again.local, again.standing, again.code) == (uuid(2), Standing.QUEUED, "")
        [row] = store.batch(100, MANY).rows
        assert act_of(row.body) == acts.SendMessage(ROOM, "text 2")
        assert row.sent_as.encode() in row.body
        assert uuid(2).encode() not in row.body, "the host would refuse it for ever"


def test_what_was_made_of_something_refused_is_tried_again_with_it_and_under_its_old_name() -> None:
    with opened() as store:
        do(store, acts.CreateConversation("lunch", ("nobody",)), 1)
        room = uuid(1)
        said = do(store, acts.SendMessage(room, "noodles?"), 2)
        do(store, acts.SendMessage(room, "or rice?", reply_to=said.local), 3)
        do(store, acts.EditMessage(room, said.local, "Noodles?", based_on=said.local), 4)
        do(store, acts.SetDisplayName("Ann"), 5)
        refused = [Refused(uuid(number), "DEPENDENCY_REFUSED", "") for number in (2, 3)]
        store.settle([Refused(uuid(1), "UNKNOWN_TARGET", "nobody"), *refused], 4)
        for _ in range(2):  # however often
            with pytest.raises(NotByItself, match=f"conversation.*refused.*again.'{room}'"):
                store.again(uuid(2))
            with pytest.raises(NotByItself, match="2 messages"):
                store.dismiss(room)
            assert [each.local for each in store.again(room)] == [uuid(at) for at in range(1, 5)]
            rows = store.batch(100, MANY).rows
            names = {row.queued.local: row.sent_as for row in rows}
            assert list(names) == [uuid(number) for number in range(1, 6)]
            assert names.pop(uuid(5)) == uuid(5)
            one, two, three, _ = names.values()
            assert [act_of(row.body) for row in rows[1:4]] == [
                acts.SendMessage(one, "noodles?"),
                acts.SendMessage(one, "or rice?", reply_to=two),
                acts.EditMessage(one, two, "Noodles?", based_on=two),
            ]
            assert [pb.Event.from_binary(row.body).uuid for row in rows[:4]] == [*names.values()]
            assert texts(store.messages(room)) == ["Noodles?", "or rice?"]
            store.settle([Refused(name, "UNKNOWN_TARGET", "") for name in (one, two, three)], 9)
        assert len(store.dismiss(room, whole=True)) == 4
        assert locals_of(store) == [uuid(5)]
        assert store.conversations() == []


def test_an_answer_to_what_is_gone_from_this_device_is_tried_again_as_no_answer() -> None:
    """What is here, or the host may have, it goes on to answer."""
    extra = b"\x82\x04\x01x"
    with opened() as store:
        hear(store, *room(), *said(2))
        gone = send(store, "dismissed", 1).local
        for number, reply_to in [(2, gone), (3, message_uuid(2)), (4, uuid(99))]:
            do(store, acts.SendMessage(ROOM, f"text {number}", reply_to, extra), number)
        codes = ["QUOTA", "DEPENDENCY_REFUSED", "UNKNOWN_TARGET", "NOT_A_MEMBER"]
        store.settle([Refused(uuid(at), code, "") for at, code in enumerate(codes, 1)], 5)
        store.again(uuid(2))
        [row] = store.batch(100, MANY).rows
        assert act_of(row.body) == acts.SendMessage(ROOM, "text 2", gone, extra)
        store.settle([Refused(row.sent_as, "DEPENDENCY_REFUSED", "")], 6)
        store.dismiss(gone)
        for number in (2, 3, 4):
            store.again(uuid(number))
        answers = ["", message_uuid(2), uuid(99)]
        assert [act_of(row.body) for row in store.batch(100, MANY).rows] == [
            acts.SendMessage(ROOM, f"text {number}", reply_to, extra)
            for number, reply_to in zip((2, 3, 4), answers, strict=True)
        ]
        assert [each.reply_to for each in store.messages(ROOM)] == ["", *answers]


def test_what_was_tried_again_keeps_its_key_when_the_host_has_it() -> None:
    with opened() as store:
        send(store, "text", 1)
        hear(store, *room())
        store.settle([Refused(uuid(1), "QUOTA", "no more")], 2)
        store.again(uuid(1))
        [row] = store.batch(100, MANY).rows
        late = Refused(uuid(1), "QUOTA", "an answer to what was sent before")
        store.settle([late, Stored(row.sent_as, uuid(50), False)], 3)
        hear(store, Settled(row.sent_as, uuid(50)))
        hear(store, *said(5, "text", ANN, message=uuid(50), local=row.sent_as))
        for _ in range(2):
            [message] = store.messages(ROOM)
            assert (message.key, message.uuid) == (uuid(1), uuid(50))
            assert store.message(uuid(1)) == message
            assert store.queue() == []
            store.prune(NOW_MS + 2 * KEEP_MS)
            hear(store, SnapshotBegan("e1", ""), *room())
            hear(store, *said(5, "text", ANN, message=uuid(50), local=row.sent_as))
            hear(store, SnapshotEnded())


def test_only_what_was_refused_can_be_dismissed() -> None:
    with opened() as store:
        send(store, "text", 1)
        before = dump(store)
        for local, why in [(1, "it is QUEUED"), (2, "there is none here")]:
            with pytest.raises(Unknown, match=why):
                store.dismiss(uuid(local))
            with pytest.raises(Unknown, match=why):
                store.again(uuid(local))
        assert dump(store) == before


def test_one_can_be_refused_here_so_that_it_does_not_block_the_rest() -> None:
    with opened() as store:
        for number in (1, 2):
            send(store, "text", number)
        store.refuse(uuid(1), "INVALID", "the host cannot read it")
        assert locals_of(store) == [uuid(2)]
        [refused, _] = store.queue()
        assert (refused.code, refused.detail) == ("INVALID", "the host cannot read it")


def test_nothing_is_refused_here_that_was_answered_meanwhile() -> None:
    with opened() as store:
        for number in (1, 2):
            send(store, "text", number)
        hear(store, changes.Settled(uuid(1), uuid(101)))
        before = dump(store)
        store.refuse(uuid(1), "INVALID", "the host cannot read it")
        assert dump(store) == before


def test_who_settles_or_takes_in_is_told_what_is_left_at_that_moment() -> None:
    with opened() as store:
        for number in (1, 2, 3):
            send(store, "text", number)
        assert store.settle([answered(1, 101)], 2) == 2
        left = store.take(
            [([changes.Settled(uuid(2), uuid(102))], changes.Place("t", "u", "e"))], NOW_MS
        )
        assert left == Left(queued=1, holes=0)


def test_a_row_says_what_it_waits_for_and_what_was_tried() -> None:
    with opened() as store:
        for number in range(1, 6):
            send(store, "text", number)
        store.settle([answered(1, 101), Refused(uuid(2), "QUOTA", "")], 3)
        hear(store, changes.Settled(uuid(5), uuid(105)))
        store.tried([uuid(3), uuid(4)], "UNREACHABLE: no route", NOW_MS + 1)
        store.tried([uuid(3), uuid(1)], "STOPPING: come back", NOW_MS + 2)
        found = {number: store.why(uuid(number)) for number in range(1, 7)}
    waits = {number: why and (why.waits_for, why.ahead) for number, why in found.items()}
    assert waits == {
        1: (Waits.THE_STREAM, 0),
        2: (Waits.THE_APP, 0),
        3: (Waits.THE_HOST, 0),
        4: (Waits.ITS_TURN, 1),
        5: (Waits.NOTHING, 0),
        6: None,
    }
    assert found[3] is not None
    third = found[3].queued
    assert (third.tries, third.tried_ms, third.last_error) == (2, NOW_MS + 2, "STOPPING: come back")
    assert found[1] is not None
    assert found[1].queued.tries == 0


def test_what_is_kept_goes_after_a_month_or_when_there_is_too_much_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened() as store:
        for number in range(1, 7):
            send(store, "text", number)
        store.take([([changes.Settled(uuid(1), uuid(101))], changes.Place())], NOW_MS)
        rest = [changes.Settled(uuid(number), uuid(100 + number)) for number in range(2, 6)]
        store.take([(rest, changes.Place())], NOW_MS + 10)
        store.prune(NOW_MS + outbox.KEEP_MS)
        assert [standing(store, number) for number in (1, 2)] == [Standing.KEPT] * 2
        store.prune(NOW_MS + outbox.KEEP_MS + 1)
        assert [standing(store, number) for number in (1, 2)] == [None, Standing.KEPT]
        monkeypatch.setattr(outbox, "KEEP_ROWS", 2)
        store.prune(NOW_MS)
        left = [number for number in range(1, 7) if standing(store, number)]
        assert left == [4, 5, 6]


def test_the_queue_is_read_in_pages() -> None:
    with opened() as store:
        made = [send(store, "text", number) for number in range(1, 6)]
        assert store.queue(limit=2) == made[:2]
        assert store.queue(limit=2, after=made[1].number) == made[2:4]
