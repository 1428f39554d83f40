"""Guilds and invites of other hosts on a user's devices, on either engine: as they change, in a
snapshot, and answered by a device."""

from __future__ import annotations

from functools import partial

import pytest
from protobuf import Message

from postbox.clients.neighbours import tell
from postbox.hosts.applications.events import event_of, unpacked
from postbox.hosts.guilds.answering import Answering
from postbox.hosts.guilds.policy import GuildPolicy
from postbox.hosts.guilds.rules import GuildDraft, GuildRules, Leave
from postbox.hosts.guilds.users import User
from postbox.hosts.links.arrivals import Arrival
from postbox.hosts.links.host_rules import Deal
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import out_stream
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rpc.postbox.v1.hosts_pb import (
    DirectInvite,
    GuildJoined,
    GuildLeft,
    InviteAnswered,
    PostboxEvent,
)
from postbox.rules import Payer
from postbox.store.contract import Lane, Window
from postbox.world import World
from support.client_device import differences
from support.client_town import Phone, Town, open_town
from support.host_kernel import A, B, arrived
from support.simulated import Fails, over_every_store, simulated

ANN, BOB = f"ann@{A}", f"bob@{B}"
RULES = HostRules(GuildPolicy(A, tell=tell))
open_federated_town = partial(open_town, neighbour=Answering(A))


async def arrive(town: Town, *messages: Message, start: int) -> None:
    """From B, numbered from `start`."""
    events = [arrived(event_of(each), seq, B) for seq, each in enumerate(messages, start)]
    draft = Arrival(town.kernel.world.new_id(), B, tuple(events))
    await town.kernel.admission.submit(RULES, [draft])


async def deals(town: Town) -> None:
    draft = Deal(town.kernel.world.new_id(), Payer("operator", "test"), ANN, B)
    await town.kernel.admission.submit(RULES, [draft])


def invite(name: str) -> DirectInvite:
    return DirectInvite(invite=name, inviter=BOB, user=ANN, conversation="c", name="Bob")


async def is_as_anew(phone: Phone) -> None:
    anew = phone.anew()
    await anew.sync()
    assert differences(phone.model, anew.model) == []


async def posted(town: Town) -> list[object]:
    """To B."""
    page = await town.kernel.runner.read(
        lambda reader: reader.page(Lane.HOSTS, [Window(out_stream(B))], 0, 100, 2**20)
    )
    events = [PostboxEvent.from_binary(entry.body or b"").event for entry in page.entries]
    return [unpacked(event.type_url, event.value) for event in events if event is not None]


@over_every_store
@simulated
async def test_a_users_devices_learn_of_guilds_and_invites_once_and_in_order(
    world: World, place: str, fails: Fails
) -> None:
    async with open_federated_town(world, place, fails) as town:
        phone, tablet = await town.phone("ann"), await town.phone("ann", "tablet")
        for device in (phone, tablet):
            await device.sync()
        await deals(town)
        news = [GuildJoined(user=ANN, guild=guild, name=guild) for guild in "gh"]
        left = GuildLeft(user=ANN, guild="g", reason="removed")
        await arrive(town, *news, left, invite("i"), start=1)
        await arrive(town, *news, left, invite("i"), start=1)
        came = ["guildEntered", "guildEntered", "guildExited", "inviteReceived", "caughtUp"]
        for device in (phone, tablet):
            assert await device.sync() == came
            assert device.model.state.guilds == {(B, "h")}
            assert device.model.state.invites == {(B, "i")}
            await is_as_anew(device)


@simulated
async def test_who_never_signed_in_finds_its_guilds_and_invites_when_it_does(
    world: World, place: str
) -> None:
    async with open_federated_town(world, place) as town:
        await deals(town)
        await arrive(town, GuildJoined(user=ANN, guild="g", name="G"), invite("i"), start=1)
        ann, zoe = await town.phone("ann"), await town.phone("zoe")
        for device in (ann, zoe):
            await device.sync()
        assert (ann.model.state.guilds, ann.model.state.invites) == ({(B, "g")}, {(B, "i")})
        assert (zoe.model.state.guilds, zoe.model.state.invites) == (set(), set())
        await arrive(town, GuildLeft(user=ANN, guild="g", reason="left"), start=3)
        assert await ann.sync() == ["guildExited", "caughtUp"]
        await is_as_anew(ann)


@over_every_store
@simulated
async def test_an_answer_of_a_device_is_posted_once_and_known_to_the_other_devices(
    world: World, place: str, fails: Fails
) -> None:
    async with open_federated_town(world, place, fails) as town:
        phone, tablet = await town.phone("ann"), await town.phone("ann", "tablet")
        await deals(town)
        await arrive(town, invite("i"), invite("j"), start=1)
        for device in (phone, tablet):
            await device.sync()
        decided = pb.InviteDecided(host=B, invite="i", accepted=True)
        answer = phone.draft("inviteDecided", decided)
        await phone.send(answer)
        await phone.send(answer)  # the device has had no answer
        assert await posted(town) == [InviteAnswered(invite="i", accepted=True)]
        for device in (phone, tablet):
            assert await device.sync() == ["inviteDecided", "caughtUp"]
            assert device.model.state.invites == {(B, "j")}
            await is_as_anew(device)


@simulated
async def test_an_invite_is_answered_once_by_whom_it_is_for(world: World, place: str) -> None:
    async with open_federated_town(world, place) as town:
        phone, tablet = await town.phone("ann"), await town.phone("ann", "tablet")
        zoe = await town.phone("zoe")
        await deals(town)
        await arrive(town, invite("i"), invite("j"), start=1)
        yes = pb.InviteDecided(host=B, invite="i", accepted=True)
        no = pb.InviteDecided(host=B, invite="i")
        assert await zoe.refused(zoe.draft("inviteDecided", yes)) == "UNKNOWN_TARGET"
        for host, name in ((B, "k"), ("never.example:1", "i"), (A, "i"), ("?" * 99, "i")):
            unknown = phone.draft("inviteDecided", pb.InviteDecided(host=host, invite=name))
            assert await phone.refused(unknown) == "UNKNOWN_TARGET"
        await phone.send(phone.draft("inviteDecided", yes))
        assert await tablet.refused(tablet.draft("inviteDecided", no)) == "SUPERSEDED"
        await tablet.send(tablet.draft("inviteDecided", yes))
        await tablet.send(tablet.draft("inviteDecided", pb.InviteDecided(host=B, invite="j")))
        assert await posted(town) == [
            InviteAnswered(invite="i", accepted=True),
            InviteAnswered(invite="j"),
        ]


@simulated
async def test_what_the_application_changes_reaches_the_devices_too(
    world: World, place: str
) -> None:
    async with open_federated_town(world, place) as town:
        phone = await town.phone("ann")
        await deals(town)
        await arrive(town, GuildJoined(user=ANN, guild="g", name="G"), start=1)
        await phone.sync()
        rules, ann = GuildRules(A, tell), User("ann", A)
        leave = GuildDraft(world.new_id(), Leave(ann, "g", "left"))
        await town.kernel.admission.submit(rules, [leave])
        assert await phone.sync() == ["caughtUp"], "the guild is B's"
        assert phone.model.state.guilds == {(B, "g")}


@pytest.mark.parametrize("own_host", ["", A])
def test_the_tables_of_a_neighbour_are_those_of_its_rules(own_host: str) -> None:
    assert Answering(own_host).tables == GuildRules(own_host).tables
