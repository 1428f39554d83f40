"""What an application asks of its host, and what it is told when that cannot be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from postbox.hosts.applications.events import BadEvent, Event
from postbox.hosts.applications.host import Host, Refused
from postbox.hosts.guilds.tables import Answer, Invite
from postbox.hosts.guilds.users import BadUser
from postbox.trust.host_names import BadHostName
from postbox.world import World
from support.host_kernel import A, B, open_host_kernel
from support.simulated import simulated

DB = "node.db"
ANN, ZOE, BOB = f"ann@{A}", f"zoe@{A}", f"bob@{B}"


@simulated
async def test_guilds_and_invites_between_users_of_one_host_need_no_other(world: World) -> None:
    async with open_host_kernel(world, DB) as it:
        host = it.host
        await host.guild_joined("ann@a.example", "g", "Garden")
        await host.guild_joined(ANN, "h")
        await host.guild_left(ANN, "h", "banned")
        assert [(each.host, each.name) for each in await host.guilds_of(ANN)] == [(A, "Garden")]

        name = await host.invite(ANN, ZOE, "talk", "Ann")
        [invite] = await host.invites_of("zoe@a.example")
        assert (invite.invite, invite.inviter, invite.conversation) == (name, ANN, "talk")
        await host.answer(ZOE, invite, is_accepted=True)
        assert await host.invites_of(ZOE) == []
        assert [each.answer for each in await host.invites_by(ANN)] == [Answer.ACCEPTED]


@simulated
async def test_an_answer_takes_the_invite_and_not_its_name(world: World) -> None:
    async with open_host_kernel(world, DB) as it:
        name = await it.host.invite(ANN, ZOE, "talk")
        with pytest.raises(TypeError, match=r"await host\.invites_of\(user\)`: str"):
            await it.host.answer(ZOE, name, is_accepted=True)  # type: ignore[arg-type]
        assert len(await it.host.invites_of(ZOE)) == 1


@simulated
async def test_an_invite_under_a_name_of_the_applications_own_is_made_once(world: World) -> None:
    async with open_host_kernel(world, DB) as it:
        for _ in range(2):
            assert await it.host.invite(ANN, BOB, "talk", invite="mine") == "mine"
        assert len(await it.sent(B)) == 1
        with pytest.raises(Refused, match="is one between others"):
            await it.host.invite(ZOE, BOB, "talk", invite="mine")


Asked = Callable[[Host, Invite], Awaitable[object]]


@pytest.mark.parametrize(
    ("ask", "fault", "text"),
    [
        (lambda host, _: host.guilds_of(BOB), Refused, "not a user of this node"),
        (lambda host, _: host.invites_of("ann"), BadUser, "name@host"),
        (lambda host, _: host.deal(BOB, A), Refused, "not a user of this node"),
        (lambda host, _: host.deal(ANN, "http://b"), BadHostName, "names no host|no name"),
        (lambda host, _: host.guild_joined(BOB, ""), BadEvent, "a guild has 1 to 256"),
        (lambda host, _: host.guild_left(BOB, "g", "bored"), BadEvent, "left, removed"),
        (lambda host, _: host.invite(BOB, ANN, "talk"), Refused, "not a user of this node"),
        (lambda host, _: host.invite(ANN, "@b", "talk"), BadUser, "name@host"),
        (lambda host, invite: host.answer(ANN, invite, is_accepted=True), Refused, "has no invite"),
        (
            lambda host, invite: host.answer(ZOE, invite, is_accepted=False),
            Refused,
            "answered this .* before",
        ),
    ],
)
@simulated
async def test_what_cannot_be_is_refused_in_words_and_changes_nothing(
    world: World, ask: Asked, fault: type[Exception], text: str
) -> None:
    async with open_host_kernel(world, DB) as it:
        await it.host.invite(ANN, ZOE, "talk")
        [invite] = await it.host.invites_of(ZOE)
        await it.host.answer(ZOE, invite, is_accepted=True)
        head = it.kernel.tail.head
        with pytest.raises(fault, match=text):
            await ask(it.host, invite)
        assert (it.kernel.tail.head, await it.sent(B)) == (head, [])


def test_a_posting_by_hand_without_a_node_says_how_it_is_done() -> None:
    with pytest.raises(RuntimeError, match=r"postbox\.post_in"):
        Host().post_in(object(), B, Event("x/y", b""))  # type: ignore[arg-type]
