"""What becomes of a device's queue, and of what it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from postbox.clients import wire
from postbox.clients.events.incoming import SendMessage
from postbox.clients.identity import callers
from postbox.clients.ids import text_of, user_id
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.rules.rules import ClientRules
from postbox.errors import leaves
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Decision, Reason, State
from postbox.world import World
from support.client_door import (
    Door,
    Refused,
    conversation,
    door_at,
    event_of,
    kind_of,
    message,
    value_of,
)
from support.serving import logged
from support.simulated import simulated

PNG = b"\x89PNG\r\n\x1a\n"
NOWHERE = "00000000-0000-4000-8000-0000000000ff"


async def test_a_message_that_is_sent_again_is_stored_once(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        event = ann.event(message(room, "hi"))
        (sent,) = (await ann.sync(event)).events
        assert kind_of(sent) == "sentNewMessage"
        assert (value_of(sent).uuid, sent.clientUuid) == (sent.uuid, event.uuid)
        assert not sent.duplicate
        (again,) = (await ann.sync(event)).events
        assert again.duplicate
        assert again.uuid == sent.uuid
        assert [one.uuid for one in (await bob.history(room)).events][-1] == sent.uuid


async def test_each_event_of_a_batch_is_answered_in_its_place(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        await ann.sync()
        created = ann.event(pb.ConversationCreated(name="tea"))
        batch = [
            created,
            ann.event(message(created.uuid, "by the local uuid")),
            ann.event(message(NOWHERE, "into nowhere")),
            ann.event(pb.DisplayNameChanged(newName="Ann")),
        ]
        answers = (await ann.sync(*batch)).events
        assert [answer.clientUuid for answer in answers] == [event.uuid for event in batch]
        kinds = ["", "sentNewMessage", "eventRefused", ""]
        assert [kind_of(answer) for answer in answers] == kinds
        assert value_of(answers[2]).code == "NOT_A_MEMBER"
        assert [bool(answer.uuid) for answer in answers] == [True, True, False, True]


async def test_members_who_never_signed_in_are_named_as_the_device_called_them(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        await bob.sync()
        users = [pb.User(name="zoe"), pb.User(name="bob"), pb.User(name="ann"), pb.User(name="yan")]
        refused = await ann.one(pb.ConversationCreated(members=users))
        assert value_of(refused).detail == "no user of this host has signed in as zoe, yan"


async def test_a_name_that_was_changed_meanwhile_is_told_with_the_refusal(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        phone, tablet = door.device("ann", "phone"), door.device("ann", "tablet")
        room = await conversation(phone, tablet.door.device("bob"))
        first = await phone.one(pb.ConversationNameChanged(conversationUuid=room, newName="a"))
        second = await phone.one(pb.ConversationNameChanged(conversationUuid=room, newName="b"))
        late = pb.ConversationNameChanged(conversationUuid=room, newName="c")
        refused = await tablet.one(late, basedOnUuid=first.uuid)
        assert value_of(refused).code == "SUPERSEDED"
        current = value_of(refused).current
        assert current.uuid == second.uuid
        assert value_of(current).newName == "b"
        named = await phone.one(pb.DisplayNameChanged(newName="Ann"))
        refused = await tablet.one(
            pb.DisplayNameChanged(newName="Anna"), basedOnUuid="0" * 8 + first.uuid[8:]
        )
        assert value_of(refused).current.uuid == named.uuid


async def test_an_edit_that_came_too_late_is_told_the_newest_one(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        phone, tablet = door.device("ann", "phone"), door.device("ann", "tablet")
        room = await conversation(phone, door.device("bob"))
        (sent,) = (await phone.sync(phone.event(message(room, "one")))).events
        newest = await phone.one(pb.MessageEdited(uuid=sent.uuid, message=pb.Message(text="two")))
        late = pb.MessageEdited(uuid=sent.uuid, message=pb.Message(text="late"))
        refused = await tablet.one(late, basedOnUuid=sent.uuid)
        assert value_of(refused).code == "SUPERSEDED"
        assert value_of(refused).current.uuid == newest.uuid


async def test_who_has_left_since_is_refused_alike_and_told_nothing_new(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        late = bob.event(
            pb.ConversationNameChanged(conversationUuid=room, newName="late"),
            basedOnUuid=bob.event(pb.DisplayNameChanged()).uuid,
        )
        (refused,) = (await bob.sync(late)).events
        assert value_of(refused).current is not None
        await bob.one(pb.MemberLeft(conversationUuid=room))
        await ann.one(pb.ConversationNameChanged(conversationUuid=room, newName="a secret"))
        (again,) = (await bob.sync(late)).events
        assert (value_of(again).code, value_of(again).current) == ("SUPERSEDED", None)


# -- how much at once ---------------------------------------------------------------------------


@simulated
async def test_changes_of_the_own_profile_hold_up_a_queue_by_what_they_cost_and_no_more(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world, events_per_second=10, burst=100) as door:
        ann = door.device("ann")
        for _ in range(4):
            room = await conversation(ann)
        await trio.sleep(10)
        names = [ann.event(pb.DisplayNameChanged(newName=str(number))) for number in range(40)]
        await ann.sync(*names)  # each is told to four conversations: so 200 events are spent
        with pytest.raises(Refused) as refused:
            await ann.one(message(room, "behind them"))
        assert (refused.value.code, refused.value.metadata["retry-after"]) == ("RATE_LIMITED", "11")
        await trio.sleep(11)
        assert kind_of(await ann.one(message(room, "behind them"))) == "sentNewMessage"


async def test_an_answer_is_no_larger_than_a_stock_client_takes(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        await ann.sync()
        first = await ann.one(pb.ProfilePictureChanged(pngImage=PNG))
        large = PNG + bytes(65_000)
        await ann.one(pb.ProfilePictureChanged(pngImage=large))
        late = pb.ProfilePictureChanged(pngImage=PNG)
        batch = [ann.event(late, basedOnUuid=first.uuid) for _ in range(100)]
        answer = await ann.sync(*batch)
        told = [value_of(event) for event in answer.events]
        assert {each.code for each in told} == {"SUPERSEDED"}
        assert value_of(told[0].current).pngImage == large
        assert told[-1].current is None
        assert 2**20 < len(answer.to_binary()) < 3 * 2**20


@simulated
async def test_who_lets_users_in_and_out_pays_for_what_that_writes(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world, events_per_second=10, burst=100) as door:
        ann = door.device("ann")
        others = [door.device(f"user{number}") for number in range(30)]
        room = await conversation(ann, *others)
        for other in others[:20]:
            await ann.one(
                pb.MemberLeft(userUuid=text_of(user_id(other.user))), conversationUuid=room
            )
        await trio.sleep(10)
        members = [pb.User(name=other.user) for other in others]
        made = [ann.event(pb.ConversationCreated(members=members)) for _ in range(5)]
        back = [ann.event(pb.MemberJoined(user=user), conversationUuid=room) for user in members]
        await ann.sync(*made, *back[:20])  # 5 * 31 + 20 * 2
        with pytest.raises(Refused) as refused:
            await ann.one(message(room, "behind them"))
        assert (refused.value.code, refused.value.metadata["retry-after"]) == ("RATE_LIMITED", "10")


@simulated
async def test_what_brings_no_event_has_a_rate_of_its_own(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "ASKED", 20)
    monkeypatch.setattr(callers, "ASKED_PER_MINUTE", 6)
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        asks: list[Callable[[], Awaitable[object]]]
        asks = [ann.sync, ann.caught_up, partial(ann.history, room)]
        for ask in asks:
            await trio.sleep(200)
            codes = [await code_of(ask) for _ in range(22)]
            assert codes == [""] * 20 + ["RATE_LIMITED"] * 2
            assert [await code_of(other) for other in asks] == ["RATE_LIMITED"] * 3
            assert kind_of(await ann.one(message(room, "sent all the same"))) == "sentNewMessage"
        await bob.sync()


async def code_of(ask: Callable[[], Awaitable[object]]) -> str:
    try:
        await ask()
    except (Refused, ExceptionGroup) as error:
        (refused,) = leaves(error)
        assert isinstance(refused, Refused)
        return refused.code
    return ""


# -- queue numbers ------------------------------------------------------------------------------


async def test_a_hole_in_the_queue_is_told_with_the_number_that_is_next(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        answer = await ann.sync(ann.event(message(room)), ann.event(message(room)), first=1)
        assert answer.nextQueueNumber == 3
        with pytest.raises(Refused) as refused:
            await ann.sync(ann.event(message(room)), first=5)
        assert (refused.value.code, refused.value.status) == ("QUEUE_HOLE", 9)
        assert refused.value.metadata["postbox-next-queue-number"] == "3"
        assert "next=3" in refused.value.text
        assert len((await ann.history(room)).events) == 3  # the conversation, and two messages
        assert (await ann.sync(ann.event(message(room)), first=3)).nextQueueNumber == 4


async def test_a_device_that_sends_nothing_is_told_its_next_number(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        assert (await ann.sync()).nextQueueNumber == 1
        await ann.sync(ann.event(pb.DisplayNameChanged(newName="Ann")), first=1)
        assert (await ann.sync()).nextQueueNumber == 2


async def test_behind_an_old_batch_the_number_that_is_awaited_is_told(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        queue = [ann.event(message(room, str(number))) for number in range(9)]
        queue[1] = ann.event(message(NOWHERE))
        assert (await ann.sync(*queue, first=1)).nextQueueNumber == 10
        for old in (queue[:1], queue[1:2], queue[:5], queue):
            assert (await ann.sync(*old, first=queue.index(old[0]) + 1)).nextQueueNumber == 10
        new = ann.event(message(room, "new"))
        assert (await ann.sync(queue[8], new, first=9)).nextQueueNumber == 11


async def test_who_does_not_count_is_told_no_number(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        answer = await ann.sync(ann.event(pb.DisplayNameChanged(newName="Ann")))
        assert answer.nextQueueNumber == 0


async def test_an_event_that_cannot_be_read_is_refused_in_its_place_and_blocks_nothing(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        good = [ann.event(message(room, text)).to_binary() for text in "ab"]
        garbage = b"\xff\xff\xff"
        asked = b"".join(raw.bytes_field(1, body) for body in (good[0], garbage, good[1]))
        answer = pb.SubmitEventOutput.from_binary(
            await ann.ask(wire.SYNC, asked + raw.varint_field(2, 1))
        )
        kinds = [kind_of(one) for one in answer.events]
        assert kinds == ["sentNewMessage", "eventRefused", "sentNewMessage"]
        assert value_of(answer.events[1]).code == "INVALID"
        assert answer.nextQueueNumber == 4
        assert (await ann.sync(ann.event(message(room)), first=4)).nextQueueNumber == 5


async def test_what_is_transitory_is_answered_and_has_no_number(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        typing = event_of(pb.UserIsTyping(conversationUuid=room))
        answer = await ann.sync(
            typing, ann.event(message(room, "a")), typing, ann.event(message(room, "b")), first=1
        )
        kinds = [kind_of(one) for one in answer.events]
        assert kinds == ["", "sentNewMessage", "", "sentNewMessage"]
        assert answer.nextQueueNumber == 3


class Clumsy(ClientRules, frozen=True):
    """Fails at one message."""

    def decide(self, draft: ClientDraft, state: State, at_ms: int) -> Decision:
        content = draft.incoming.content
        if isinstance(content, SendMessage) and content.text == "boom":
            raise ZeroDivisionError
        return ClientRules.decide(self, draft, state, at_ms)


async def test_an_event_that_our_own_rules_fail_at_is_refused_and_blocks_nothing(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        clumsy = replace(door.clients, rules=Clumsy())
        ann.door = Door(door.node, clumsy, door.metrics, clumsy.make_app())
        batch = [ann.event(message(room, text)) for text in ("a", "boom", "b", "boom", "c")]
        with logged() as log:
            answer = await ann.sync(*batch, first=1)
        assert "ZeroDivisionError" in log.getvalue()
        codes = [kind_of(one) for one in answer.events]
        assert codes == ["sentNewMessage", "eventRefused"] * 2 + ["sentNewMessage"]
        assert value_of(answer.events[1]).code == "FAULT"
        assert answer.nextQueueNumber == 6
        # and it stays refused when the rules are mended
        ann.door = door
        again = await ann.sync(*batch, first=1)
        assert [kind_of(one) for one in again.events] == codes


class Clumsier(Clumsy, frozen=True):
    """And at refusing what it failed at."""

    def decide(self, draft: ClientDraft, state: State, at_ms: int) -> Decision:
        if isinstance(draft.incoming.content, Reason):
            raise LookupError
        return Clumsy.decide(self, draft, state, at_ms)


async def test_a_batch_at_which_our_own_rules_fail_for_good_is_a_fault_and_no_endless_loop(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        clumsy = replace(door.clients, rules=Clumsier())
        ann.door = Door(door.node, clumsy, door.metrics, clumsy.make_app())
        batch = [ann.event(message(room, text)) for text in ("a", "boom")]
        with logged() as log, trio.fail_after(30), pytest.raises(Refused) as refused:
            await ann.sync(*batch, first=1)
        assert refused.value.code == "INTERNAL"
        assert "LookupError" in log.getvalue()
        ann.door = door
        assert (await ann.sync(*batch, first=1)).nextQueueNumber == 3


# -- bounds -------------------------------------------------------------------------------------


async def test_too_many_events_are_refused_as_one_request_and_taken_in_two(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        events = [ann.event(message(room, str(number))) for number in range(101)]
        with pytest.raises(Refused) as refused:
            await ann.sync(*events)
        assert (refused.value.code, refused.value.status) == ("TOO_LARGE", 3)
        assert len((await ann.sync(*events[:100])).events) == 100
        assert len((await ann.sync(*events[100:])).events) == 1


async def test_a_single_event_that_is_too_large_is_refused_by_itself(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        (refused,) = (await ann.sync(ann.event(message(room, "x" * 1_500_000)), first=1)).events
        assert value_of(refused).code == "TOO_LARGE"
        large = [ann.event(message(room, "x" * 60_000)) for _ in range(20)]
        with pytest.raises(Refused) as told:
            await ann.sync(*large, first=2)
        assert told.value.code == "TOO_LARGE"
        assert (await ann.sync(*large[:10], first=2)).nextQueueNumber == 12


async def test_a_device_that_sends_too_much_is_told_when_to_go_on(tmp_path: Path) -> None:
    async with door_at(tmp_path, events_per_second=1, burst=100) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        await ann.sync(*[ann.event(message(room)) for _ in range(99)])
        with pytest.raises(Refused) as refused:
            await ann.sync(*[ann.event(message(room)) for _ in range(50)])
        assert (refused.value.code, refused.value.status) == ("RATE_LIMITED", 8)
        assert 40 <= int(refused.value.metadata["retry-after"]) <= 50


# -- who asks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rpc", wire.RPCS)
async def test_nothing_is_answered_without_a_good_token(tmp_path: Path, rpc: str) -> None:
    async with door_at(tmp_path) as door:
        for token in (None, "", "x", door.token("ann", "phone", days=-1, made_days_ago=2)):
            answer = await door.call(rpc, b"", token)
            refused = Refused(answer)
            assert refused.status == 16
            assert refused.code == ("TOKEN_EXPIRED" if token and len(token) > 1 else "NO_SESSION")


async def test_a_conversation_that_one_is_not_in_has_no_history(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann, bob, eve = (door.device(name) for name in ("ann", "bob", "eve"))
        room = await conversation(ann, bob)
        await ann.one(message(room, "secret"))
        texts = set()
        for uuid in (room, "00000000-0000-4000-8000-0000000000ff"):
            with pytest.raises(Refused) as refused:
                await eve.history(uuid)
            assert (refused.value.code, refused.value.status) == ("NOT_A_MEMBER", 7)
            texts.add(refused.value.text)
        assert len(texts) == 1, "it is not told whether there is one"


async def test_history_is_read_backwards_page_by_page(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        created = ann.event(pb.ConversationCreated())
        await ann.sync(created)
        await ann.sync(*[ann.event(message(created.uuid, str(at))) for at in range(5)])
        page = await ann.history(created.uuid, limit=3)  # by its local uuid
        assert [one.conversationSeq for one in page.events] == [4, 5, 6]
        assert page.more
        page = await ann.history(page.events[0].conversationUuid, before=4, limit=3)
        assert [one.conversationSeq for one in page.events] == [1, 2, 3]
        assert not page.more
        assert len((await ann.history(created.uuid, limit=2**32 - 1)).events) == 6
        assert (await ann.history(created.uuid, before=2**64 - 1)).events


async def test_requests_and_events_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        await ann.sync(*[ann.event(message(room))] * 2, ann.event(message("no uuid")))
        with pytest.raises(Refused):
            await ann.history("no uuid")
        told = door.metrics.render().decode()
        for line in (
            'postbox_client_requests_total{code="OK",rpc="Sync"} 3.0',
            'postbox_client_requests_total{code="INVALID",rpc="History"} 1.0',
            'postbox_client_events_total{outcome="stored"} 2.0',
            'postbox_client_events_total{outcome="duplicate"} 1.0',
            'postbox_client_events_total{outcome="refused"} 1.0',
        ):
            assert line in told
