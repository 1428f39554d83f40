"""What a device is sent of conversations that its user enters and leaves, on either engine: nothing
from outside of the user's time in them, and all that is needed to begin."""

from __future__ import annotations

import hashlib
from contextlib import aclosing

import pytest
import trio

from postbox.clients.ids import user_stream, uuid_of
from postbox.clients.reading.compile import is_picture
from postbox.clients.reading.history import MAX_BYTES
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Lane, Window
from postbox.world import World
from support.client_device import differences
from support.client_town import PNG, Leaving, Phone, Town, open_town
from support.simulated import simulated

NEWS = "caughtUp"


async def people(town: Town, *names: str) -> list[Phone]:
    phones = [await town.phone(name) for name in names]
    for phone in phones:
        await phone.sync()
    return phones


def is_as_anew(phone: Phone, anew: Phone) -> None:
    assert differences(phone.model, anew.model) == []


@simulated
async def test_who_joins_is_told_what_the_conversation_is_like_and_was(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob, cat = await people(town, "ann", "bob", "cat")
        conversation = await ann.create("club", bob)
        said = await ann.say(conversation, *[f"{number}" for number in range(55)])
        await ann.send(ann.editing(said[-1], "edited"), ann.deleting(said[-2]))
        await bob.send(bob.reacting(said[-3]), bob.reading(said[-1]))
        await ann.send(ann.renaming(conversation, "pub"), ann.showing(b"ann's"))
        await ann.send(ann.adding(conversation, cat))
        await ann.say(conversation, "hello")
        came = await cat.sync()
        assert came[0] == "memberJoined"
        state = cat.model.state.conversations[conversation]
        assert (state.name, len(state.members)) == ("pub", 3)
        assert cat.model.texts(conversation)[-3:] == ["52", "edited", "hello"]
        assert len(cat.model.texts(conversation)) == 51
        assert state.watermarks == {(bob.user_uuid, "read"): 56}
        assert cat.model.state.images[ann.user_uuid].endswith(b"ann's")
        await bob.sync()
        assert differences(bob.model, cat.model) == []


@simulated
async def test_who_joins_without_history_sees_who_is_there_and_no_word_from_before(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, cat = await people(town, "ann", "cat")
        conversation = await ann.create("club")
        (before,) = await ann.say(conversation, "before")
        await ann.send(ann.adding(conversation, cat, history=False))
        await ann.say(conversation, "after")
        await cat.sync()
        assert cat.model.texts(conversation) == ["after"]
        assert len(cat.model.state.conversations[conversation].members) == 2
        await ann.send(ann.deleting(before))
        await cat.sync()
        anew = cat.anew()
        await anew.sync()
        is_as_anew(cat, anew)
        assert anew.model.texts(conversation) == ["after"]


@simulated
async def test_after_leaving_nothing_comes_any_more_live_or_later(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club", bob)
        await bob.sync()
        leaving, later = Leaving(), await town.phone("bob", "later")
        await later.sync()
        async with trio.open_nursery() as nursery:
            await nursery.start(bob.live, leaving)
            await ann.say(conversation, "before")
            await ann.send(
                ann.saying(conversation, "just before"),
                ann.removing(conversation, bob),
                ann.saying(conversation, "just after"),
            )
            await ann.say(conversation, "after")
            await ann.send(ann.showing(b"new"), ann.renaming(conversation, "secret"))
            await trio.sleep(1)
            leaving.end()
        for device in (bob, later):
            came = await device.sync()
            assert came[-1] == NEWS
            assert conversation not in device.model.state.conversations
            assert ann.user_uuid not in device.model.state.images
        whole = await ann.sync()
        assert whole.count("newMessage") == 4
        assert len([u for u in bob.model.uuids if u in ann.model.uuids]) == len(bob.model.uuids)
        assert len(bob.model.uuids) == 4  # created, two messages, left


@pytest.mark.parametrize("per_frame", [1, 100])
def test_a_joining_a_leaving_and_messages_in_one_commit_are_told_apart(
    per_frame: int, place: str
) -> None:
    @simulated
    async def run(world: World) -> None:
        async with open_town(world, place) as town:
            ann, bob, cat = await people(town, "ann", "bob", "cat")
            conversation = await ann.create("club", bob)
            leaving = Leaving()
            for device in (bob, cat):
                await device.sync()
            gone = cat.model.copied()
            async with trio.open_nursery() as nursery:
                await nursery.start(
                    lambda task_status: cat.live(
                        leaving, per_frame=per_frame, task_status=task_status
                    )
                )
                await ann.send(
                    ann.saying(conversation, "0"),
                    ann.adding(conversation, cat, history=False),
                    ann.saying(conversation, "1"),
                    ann.removing(conversation, cat),
                    ann.saying(conversation, "2"),
                    ann.adding(conversation, cat, history=False),
                    ann.saying(conversation, "3"),
                    ann.removing(conversation, bob),
                    ann.saying(conversation, "4"),
                )
                await trio.sleep(1)
                leaving.end()
            assert cat.model.texts(conversation) == ["3", "4"]
            assert _numbers(cat) == [3, 4, 5, 7, 8, 9, 10]
            live, cat.model = cat.model, gone
            await cat.sync(per_frame=per_frame)
            assert differences(live, cat.model) == []
            assert live.uuids == cat.model.uuids
            await bob.sync(per_frame=per_frame)
            assert _numbers(bob) == [1, 2, 3, 4, 5, 6, 7, 8, 9]

    run()


def _numbers(phone: Phone) -> list[int]:
    return phone.model.numbers


@simulated
async def test_who_comes_back_sees_both_times_and_nothing_between(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club", bob)
        for number in range(3):
            await ann.say(conversation, f"in {number}")
            await ann.send(ann.removing(conversation, bob))
            await ann.say(conversation, f"out {number}")
            await ann.send(ann.adding(conversation, bob, history=False))
        came = await bob.sync()
        assert came.count("newMessage") == 3
        assert bob.model.texts(conversation) == []
        await ann.say(conversation, "now")
        await bob.sync()
        assert bob.model.texts(conversation) == ["now"]
        anew = bob.anew()
        await anew.sync()
        is_as_anew(bob, anew)


@simulated
async def test_what_is_told_of_a_joining_is_told_again_if_the_connection_broke_in_it(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, cat = await people(town, "ann", "cat")
        conversation = await ann.create("club")
        await ann.say(conversation, *[f"{number}" for number in range(5)])
        await ann.send(ann.adding(conversation, cat))
        begun = cat.model.copied()
        for by_uuid in (False, True):
            for frames in range(1, 10):
                cat.model = begun.copied()
                cat.model.last_uuid = cat.model.last_uuid or begun.last_uuid
                await cat.sync(frames=frames)
                if by_uuid and not cat.model.uuids:
                    continue
                await cat.sync(by_uuid=by_uuid)
                assert len(cat.model.texts(conversation)) == 5
                assert len(cat.model.state.conversations[conversation].members) == 2
                assert cat.model.codes == ["CURSOR_NONE"]


@simulated
async def test_a_new_role_is_no_joining(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club")
        await ann.send(ann.adding(conversation, bob))
        await bob.sync()
        await ann.say(conversation, "one")
        await ann.send(ann.adding(conversation, bob, role=1))
        assert await bob.sync() == ["newMessage", "memberJoined", NEWS]
        assert bob.model.state.conversations[conversation].members[bob.user_uuid] == 1


@simulated
async def test_a_joining_that_is_over_is_not_told_as_it_is_now(world: World, place: str) -> None:
    """What the conversation is like has become no business of the user's."""
    async with open_town(world, place) as town:
        ann, cat = await people(town, "ann", "cat")
        conversation = await ann.create("club")
        await ann.say(conversation, "before")
        await ann.send(ann.adding(conversation, cat), ann.removing(conversation, cat))
        await ann.send(ann.renaming(conversation, "secret"))
        assert await cat.sync() == ["memberJoined", "memberLeft", NEWS]


@simulated
async def test_who_is_removed_while_it_is_told_of_its_joining_is_told_no_more(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, cat = await people(town, "ann", "cat")
        conversation = await ann.create("club")
        await ann.say(conversation, "before")
        await ann.send(ann.adding(conversation, cat))
        asked = cat.request(until_caught_up=True)
        came = []
        async with aclosing(town.reading.stream(cat.viewer, asked, Leaving())) as made:
            async for frame in made:
                came.append(pb.Event.from_binary(frame))
                if len(came) == 1:
                    await ann.send(ann.removing(conversation, cat))
                    await ann.send(ann.renaming(conversation, "secret"))
        kinds = [event.content.field for event in came if event.content]
        assert kinds == ["memberJoined", NEWS]
        cat.model.token = came[-1].resumeToken
        assert await cat.sync() == ["memberLeft", NEWS]


@simulated
async def test_what_was_erased_is_not_sent_from_memory_either(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club", bob)
        await bob.sync()
        before = bob.model.copied()
        (said,) = await ann.say(conversation, "regretted")
        assert await bob.sync() == ["newMessage", NEWS]
        await ann.send(ann.deleting(said))
        bob.model = before
        assert await bob.sync() == ["erased", "messageDeleted", NEWS]


@simulated
async def test_a_change_of_profile_is_told_once_to_each_who_shares_conversations(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob, cat = await people(town, "ann", "bob", "cat")
        for name in ("a", "b", "c"):
            await ann.create(name, bob)
        for device in (ann, bob, cat):
            await device.sync()
        await ann.send(ann.calling_itself("Ann"), ann.showing(b"face"))
        told = ["displayNameChanged", "profilePictureChanged", NEWS]
        assert await ann.sync() == told
        assert await bob.sync() == told
        assert await cat.sync() == [NEWS]
        assert bob.model.state.profiles[ann.user_uuid].display == "Ann"
        assert bob.model.state.images[ann.user_uuid].endswith(b"face")
        assert await bob.sync(by_uuid=True) in ([NEWS], ["profilePictureChanged", NEWS])


@simulated
async def test_a_picture_that_was_replaced_is_sent_without_its_bytes(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        await ann.create("club", bob)
        await bob.sync()
        before = bob.model.copied()
        await ann.send(ann.showing(b"first"))
        await bob.sync()
        assert bob.model.state.images[ann.user_uuid].endswith(b"first")
        await ann.send(ann.showing(b"second"))
        bob.model = before
        await bob.sync(frames=1)
        assert ann.user_uuid not in bob.model.state.images
        await bob.sync()
        assert bob.model.state.images[ann.user_uuid].endswith(b"second")
        await ann.send(ann.showing(b""))
        await bob.sync()
        assert bob.model.state.images[ann.user_uuid] == b""


@simulated
async def test_a_picture_is_sent_for_as_long_as_it_is_its_users(world: World) -> None:
    async with open_town(world) as town:
        ann, bob = await people(town, "ann", "bob")
        await ann.send(ann.showing(b"same"), bob.showing(b"same"))
        windows = [Window(user_stream(ann.viewer.user))]
        page = await town.kernel.tail.page(Lane.CLIENTS, windows, 0)
        (changed,) = [entry for entry in page.entries if is_picture(entry)]
        compiler = town.reading.compiler
        for _ in range(2):
            assert PNG in (await compiler.pictured([changed]))[changed.pos].event
        await ann.send(ann.showing(b"other"))
        assert await compiler.pictured([changed]) == {}
        shown = await compiler.event(changed.id)
        assert shown is not None
        assert PNG not in shown
        assert hashlib.sha256(PNG + b"same").digest() in shown


# -- looking back ----------------------------------------------------------------------------------


async def history(
    phone: Phone, conversation: str, before: int = 0, limit: int = 0
) -> pb.HistoryPage | None:
    its = uuid_of(conversation)
    assert its is not None
    page = await phone.town.reading.history(phone.viewer, its, before, limit)
    return None if page is None else pb.HistoryPage.from_binary(page)


def seqs(page: pb.HistoryPage | None) -> list[int]:
    assert page is not None
    return [event.conversationSeq for event in page.events]


@simulated
async def test_older_events_are_given_page_by_page_down_to_the_first(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        (ann,) = await people(town, "ann")
        conversation = await ann.create("club")
        await ann.say(conversation, *[f"{number}" for number in range(9)])
        newest = await history(ann, conversation, limit=4)
        assert seqs(newest) == [7, 8, 9, 10]
        assert newest is not None
        assert newest.more
        assert seqs(await history(ann, conversation, before=7, limit=4)) == [3, 4, 5, 6]
        last = await history(ann, conversation, before=3, limit=4)
        assert (seqs(last), last is not None and last.more) == ([1, 2], False)
        assert seqs(await history(ann, conversation, before=1)) == []
        assert all(event.backfill for event in newest.events)


@simulated
async def test_older_messages_come_as_they_are_now_and_erased_ones_keep_their_numbers(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club", bob)
        said = await ann.say(conversation, "zero", "one", "two")
        await ann.send(ann.editing(said[1], "uno"), ann.deleting(said[2]))
        await bob.send(bob.reacting(said[0]))
        page = await history(bob, conversation, before=5)
        assert page is not None
        kinds = [event.content.field for event in page.events if event.content]
        assert kinds == [
            *("conversationCreated", "newMessage", "newMessage", "erased"),
            *("messageEdited", "reactionAdded"),
        ]
        assert [event.conversationSeq for event in page.events[:4]] == [1, 2, 3, 4]


@simulated
async def test_a_page_is_bounded_with_what_became_of_its_messages(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        (ann,) = await people(town, "ann")
        conversation = await ann.create("club")
        said = await ann.say(conversation, *[f"{number}" for number in range(30)])
        for each in said:
            await ann.send(ann.editing(each, "x" * 60_000))
        found: set[str] = set()
        before, has_more = 32, True
        while has_more:
            page = await history(ann, conversation, before=before, limit=200)
            assert page is not None
            assert len(page.to_binary()) < MAX_BYTES + 70_000
            numbered = [event for event in page.events if event.conversationSeq < before]
            seqs_found = [event.conversationSeq for event in numbered]
            assert seqs_found == list(range(seqs_found[0], before))
            edits = {value.uuid for event in page.events if (value := edit_in(event))}
            assert edits == {event.uuid for event in numbered if event.conversationSeq > 1}
            found |= edits
            before, has_more = seqs_found[0], page.more
        assert found == set(said)


def edit_in(event: pb.Event) -> pb.MessageEdited | None:
    value = event.content.value if event.content else None
    return value if isinstance(value, pb.MessageEdited) else None


@simulated
async def test_nobody_looks_back_beyond_what_a_member_may_see(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        ann, bob, cat = await people(town, "ann", "bob", "cat")
        conversation = await ann.create("club")
        await ann.say(conversation, "2", "3")
        await ann.send(ann.adding(conversation, bob, history=False))
        await ann.say(conversation, "5")
        await ann.send(ann.removing(conversation, bob))
        await ann.say(conversation, "7")
        assert await history(bob, conversation) is None
        assert await history(cat, conversation) is None
        assert await history(cat, "0197f4f0-0000-7000-8000-000000000001") is None
        await ann.send(ann.adding(conversation, bob, history=False))
        assert seqs(await history(bob, conversation)) == [4, 5, 6, 8]
        await ann.send(ann.adding(conversation, cat, history=True))
        assert seqs(await history(cat, conversation)) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        await ann.send(ann.removing(conversation, bob))
        await ann.send(ann.adding(conversation, bob, history=True))
        assert seqs(await history(bob, conversation)) == list(range(1, 12))


@simulated
async def test_nobody_looks_back_at_what_became_of_a_message_while_it_was_out(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob = await people(town, "ann", "bob")
        conversation = await ann.create("club", bob)
        first, second = await ann.say(conversation, "first", "second")
        await ann.send(ann.removing(conversation, bob))
        await ann.send(ann.editing(first, "without bob"), ann.reacting(second, "secret"))
        await ann.send(ann.adding(conversation, bob, history=False))
        await ann.send(ann.reacting(first, "welcome"))
        page = await history(bob, conversation, before=4)
        assert seqs(page) == [1, 2, 3, 8]
        assert page is not None
        assert b"without bob" not in page.to_binary()
        await ann.send(ann.removing(conversation, bob), ann.adding(conversation, bob))
        page = await history(bob, conversation, before=4)
        assert seqs(page) == [1, 2, 3, 5, 6, 8]
