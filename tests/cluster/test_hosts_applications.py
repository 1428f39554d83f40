"""Applications on two hosts, each with a node in its process (`postbox.open_host`): guilds, invites
and handlers, over the real server and client on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import trio

import postbox
from postbox.hosts.applications.host import GuildReason, Host
from postbox.hosts.guilds.tables import Answer
from postbox.store.application import execute
from support.town import Town, in_town

SOON_S = 30.0
A, B, C = "10.0.0.1:7433", "10.0.0.2:7433", "10.0.0.3:7433"
ANN, BOB, CARL = f"ann@{A}", f"bob@{B}", f"carl@{C}"


@dataclass
class Federation:
    """The hosts A, B and C, each on its own disk, up or down."""

    town: Town
    homes: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    @asynccontextmanager
    async def up(self, address: str, host: Host | None = None) -> AsyncIterator[Host]:
        ip = address.partition(":")[0]
        settings = {"serve.listen": address, "serve.loopback": True}
        world, home = self.town.world(ip), self.homes / ip
        async with postbox.open_host(home, host, settings, name=f"n{ip[-1]}", world=world) as it:
            yield it


def federation(town: Town) -> Federation:
    return Federation(town, town.homes)


async def dead_letters(host: Host) -> list[str]:
    """The code of each."""
    with closing(await host.connect()) as own:
        rows = execute(own, "select error from dead order by reader, pos")
    return [error.partition(":")[0] for (error,) in rows]


async def guild_names(host: Host, user: str = ANN) -> list[str]:
    return [guild.name for guild in await host.guilds_of(user)]


@in_town
async def test_a_users_guild_list_is_right_when_the_host_is_back_and_nobody_asked(
    town: Town,
) -> None:
    hosts = federation(town)
    reasons: tuple[GuildReason, ...] = ("left", "removed", "banned", "deleted")
    async with hosts.up(B) as b:
        async with hosts.up(A) as a:
            await a.deal(ANN, B)
            for guild in (*reasons, "stays"):
                await b.guild_joined(ANN, guild, guild.title())
            await trio.sleep(SOON_S)
            assert await guild_names(a) == ["Banned", "Deleted", "Left", "Removed", "Stays"]
        for reason in reasons:  # A is down
            await b.guild_left(ANN, reason, reason)
        await b.guild_joined(ANN, "new", "New")
        await trio.sleep(SOON_S)
        async with hosts.up(A) as a:
            await trio.sleep(SOON_S)
            assert await guild_names(a) == ["New", "Stays"]


@in_town
async def test_an_invite_made_while_the_other_host_is_down_arrives_and_so_does_its_answer(
    town: Town,
) -> None:
    hosts = federation(town)
    async with hosts.up(A) as a:
        await a.deal(ANN, B)
    async with hosts.up(B) as b:
        first = await b.invite(BOB, ANN, "talk", "Bob")
        second = await b.invite(BOB, ANN, "walk", "Bob")
        async with hosts.up(A) as a:
            await trio.sleep(SOON_S)
            invites = await a.invites_of(ANN)
            assert {each.invite for each in invites} == {first, second}
            assert {each.inviter for each in invites} == {BOB}
    async with hosts.up(A) as a:  # and now B is down
        for invite in invites:
            await a.answer(ANN, invite, is_accepted=invite.invite == first)
        assert await a.invites_of(ANN) == []
        async with hosts.up(B) as b:
            await trio.sleep(SOON_S)
            made = {each.invite: each.answer for each in await b.invites_by(BOB)}
            assert made == {first: Answer.ACCEPTED, second: Answer.DECLINED}


@in_town
async def test_what_another_host_may_not_say_is_refused_there_and_the_link_goes_on(
    town: Town,
) -> None:
    hosts = federation(town)
    async with hosts.up(A) as a, hosts.up(B) as b, hosts.up(C) as c:
        await a.deal(ANN, B)
        await b.guild_joined(ANN, "g", "Garden")
        await b.guild_joined(f"stranger@{A}", "g", "Garden")  # who never dealt with B
        await b.guild_joined(ANN, "h", "House")
        await c.guild_left(ANN, "g", "deleted")  # the guild is B's
        await c.post(A, postbox.Event("x/shop.Order", b"1"))
        await trio.sleep(SOON_S)
        await a.deal(ANN, B, is_over=True)
        await b.guild_joined(ANN, "i", "Island")
        await b.guild_left(ANN, "h", "left")
        await trio.sleep(SOON_S)
        assert await guild_names(a) == ["Garden"]
        assert await guild_names(a, f"stranger@{A}") == []
        assert await dead_letters(a) == []
        assert await dead_letters(b) == ["no_consent"] * 2
        assert await dead_letters(c) == ["no_consent"]


@in_town
async def test_a_handler_hears_of_what_was_posted_while_its_host_was_down(town: Town) -> None:
    hosts, heard = federation(town), list[bytes]()

    async def hear(delivery: postbox.Delivery[bytes]) -> None:
        assert delivery.host == B
        heard.append(delivery.message)

    host = Host()
    host.on("shop.Order", hear)
    async with hosts.up(B) as b:
        for number in range(5):
            await b.post(A, postbox.Event("x/shop.Order", str(number).encode()))
        async with hosts.up(A, host):
            await trio.sleep(SOON_S)
            await b.post(A, postbox.Event("x/shop.Order", b"5"))
            await trio.sleep(SOON_S)
    assert heard == [b"0", b"1", b"2", b"3", b"4", b"5"]
