"""Guilds and invites from one host to the devices of another's users: the whole way, on virtual
time, with a host that is down meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from postbox.config import Config, HostsConfig, NodeConfig, ServeConfig
from postbox.hosts.applications.host import Host
from postbox.hosts.guilds.tables import Answer
from postbox.metrics import Metrics
from postbox.node import open_node
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_device import Device as Model
from support.client_device import differences
from support.client_door import Device, Door, kind_of
from support.town import Town, in_town

SOON_S = 30.0
A, B = "10.0.0.1:7433", "10.0.0.2:7433"
ANN, BOB = f"ann@{A}", f"bob@{B}"


@dataclass(frozen=True)
class House:
    """A host that answers others, and its users' devices."""

    host: Host
    door: Door


@asynccontextmanager
async def up(town: Town, address: str) -> AsyncIterator[House]:
    ip, host, metrics = address.partition(":")[0], Host(), Metrics()
    world = town.world(ip)
    config = Config(
        node=NodeConfig(memory="1000"),
        serve=ServeConfig(loopback=True),
        hosts=HostsConfig(name=address),
    )
    async with (
        open_node(world, town.homes / ip, config, f"n{ip[-1]}") as node,
        node.open_hosts(metrics, host) as hosts,
        node.open_clients(metrics) as clients,
        town.serving(ip, hosts.make_app(), world=world),
        trio.open_nursery() as loops,
    ):
        loops.start_soon(hosts.run)
        yield House(host, Door(node, clients, metrics, clients.make_app()))
        loops.cancel_scope.cancel()


async def sync(device: Device, model: Model) -> list[str]:
    """What came since the device was there last."""
    came: list[str] = []
    model.opened()
    for frame in await device.caught_up(resumeToken=model.token):
        came += model.take(frame.to_binary())
    return came[:-1]


async def has_all(device: Device, model: Model) -> bool:
    anew = Model(model.user)
    await sync(device, anew)
    return differences(model, anew) == []


@in_town
async def test_an_invite_of_another_host_comes_to_a_device_which_answers_it(town: Town) -> None:
    async with up(town, A) as a, up(town, B) as b:
        phone, tablet = a.door.device("ann"), a.door.device("ann", "tablet")
        on_phone, on_tablet = Model("ann"), Model("ann")
        await sync(phone, on_phone)
        await sync(tablet, on_tablet)
        await a.host.deal(ANN, B)
        async with phone.listening(resumeToken=on_phone.token) as stream:
            invite = await b.host.invite(BOB, ANN, "talk", "Bob")
            (received,) = [
                frame
                for frame in await stream.until("inviteReceived")
                if kind_of(frame) != "caughtUp"
            ]
            assert received.content is not None
            assert received.content.value == pb.InviteReceived(
                host=B, invite=invite, inviter=BOB, conversation="talk", name="Bob"
            )
        answer = await phone.one(pb.InviteDecided(host=B, invite=invite, accepted=True))
        assert kind_of(answer) == ""
        assert await sync(tablet, on_tablet) == ["inviteReceived", "inviteDecided"]
        assert await has_all(tablet, on_tablet)
        await trio.sleep(SOON_S)
        assert [each.answer for each in await b.host.invites_by(BOB)] == [Answer.ACCEPTED]
        assert await a.host.invites_of(ANN) == []


@in_town
async def test_a_guild_that_was_left_while_the_users_host_was_down_leaves_the_device(
    town: Town,
) -> None:
    model = Model("ann")
    async with up(town, B) as b:
        async with up(town, A) as a:
            await a.host.deal(ANN, B)
            for guild in ("garden", "house"):
                await b.host.guild_joined(ANN, guild, guild.title())
            await trio.sleep(SOON_S)
            phone = a.door.device("ann")
            await sync(phone, model)
            assert model.state.guilds == {(B, "garden"), (B, "house")}
        await b.host.guild_left(ANN, "garden", "deleted")
        async with up(town, A) as a:
            await trio.sleep(SOON_S)
            phone = a.door.device("ann")
            assert await sync(phone, model) == ["guildExited"]
            assert model.state.guilds == {(B, "house")}
            assert await has_all(phone, model)


@in_town
async def test_an_answer_that_a_device_gave_while_the_inviters_host_was_down_arrives(
    town: Town,
) -> None:
    model = Model("ann")
    async with up(town, A) as a:
        await a.host.deal(ANN, B)
        async with up(town, B) as b:
            invite = await b.host.invite(BOB, ANN, "talk", "Bob")
            await trio.sleep(SOON_S)
        phone = a.door.device("ann")
        await sync(phone, model)
        assert model.state.invites == {(B, invite)}
        await phone.one(pb.InviteDecided(host=B, invite=invite))
    async with up(town, A), up(town, B) as b:
        await trio.sleep(SOON_S)
        assert [each.answer for each in await b.host.invites_by(BOB)] == [Answer.DECLINED]
