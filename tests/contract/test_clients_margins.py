"""Where what a member sees and what a member may do differ, on either engine: messages from before
its time, and conversations that pass the size up to which all are told what each has read."""

from __future__ import annotations

from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Register
from postbox.clients.rules.watermarks import MAX_MEMBERS_TOLD
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World
from support.client_device import differences
from support.client_town import Phone, Town, open_town
from support.simulated import simulated

NEWS = "caughtUp"


async def are_as_anew(*phones: Phone) -> None:
    for phone in phones:
        anew = phone.anew()
        await anew.sync()
        assert differences(phone.model, anew.model) == []


@simulated
async def test_a_newcomer_may_react_to_a_message_that_it_does_not_see_and_others_see_that(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob, cat = [await town.phone(name) for name in ("ann", "bob", "cat")]
        club = await ann.create("club", bob)
        (old,) = await ann.say(club, "before cat's time")
        await ann.send(ann.adding(club, cat, history=False))
        for phone in (ann, bob, cat):
            await phone.sync()
        await cat.send(cat.reacting(old), cat.reading(old))
        for phone in (ann, bob):
            assert await phone.sync() == ["reactionAdded", "readNewMessage", NEWS]
            seen = phone.model.state.conversations[club]
            assert seen.messages[old].reactions == {(cat.user_uuid, "+")}
            assert seen.watermarks[cat.user_uuid, "read"] == 2
        assert await cat.sync() == ["reactionAdded", "readNewMessage", NEWS]
        assert cat.model.texts(club) == []
        await are_as_anew(ann, bob, cat)
        await ann.send(ann.deleting(old))
        for phone in (ann, bob, cat):
            assert await phone.sync() == ["messageDeleted", NEWS]
        await are_as_anew(ann, bob, cat)


async def crowd(town: Town, count: int) -> list[str]:
    users = [f"guest{number}" for number in range(count)]
    new_id = town.kernel.world.new_id
    drafts = [DeviceDraft(new_id(), user, "phone", Register(0)) for user in users]
    await town.kernel.admission.submit(DeviceRules(), drafts)
    return users


@simulated
async def test_in_a_conversation_that_grows_too_large_only_own_devices_are_told_what_was_read(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, tablet = await town.phone("ann"), await town.phone("ann", "tablet")
        bob, one_more = await town.phone("bob"), await town.phone("one more")
        users = [pb.User(name=name) for name in ("bob", *await crowd(town, MAX_MEMBERS_TOLD - 2))]
        members = pb.ConversationCreated(name="crowd", members=users)
        (room,) = await ann.send(ann.draft("conversationCreated", members))
        for phone in (ann, tablet, bob):
            await phone.sync()

        async def read_by_ann(text: str) -> tuple[int, int]:
            """What her tablet and bob then know of it."""
            (said,) = await bob.say(room, text)
            await ann.send(ann.reading(said))
            for phone in (ann, tablet, bob):
                await phone.sync()
            of_ann = ann.user_uuid, "read"
            known = [
                phone.model.state.conversations[room].watermarks.get(of_ann, 0)
                for phone in (tablet, bob)
            ]
            return known[0], known[1]

        assert await read_by_ann("a hundred members") == (2, 2)
        await ann.send(ann.adding(room, one_more, history=False))
        assert await read_by_ann("one more") == (4, 2)
        await are_as_anew(ann, tablet, bob)
        await ann.send(ann.removing(room, one_more))
        assert await read_by_ann("a hundred again") == (6, 6)
        await are_as_anew(ann, tablet, bob)
