"""Hosts that post to each other: what comes when, and that nobody is in another's way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

from postbox.config import Config, ServeConfig
from postbox.hosts import wire
from postbox.hosts.applications.events import Event, event_of
from postbox.hosts.links import bodies
from postbox.hosts.sending.backoff import FIRST_DELAY_S
from postbox.hosts.sending.client import Calls, dial_hosts
from postbox.hosts.sending.receiver import ASKED_AT_ONCE
from postbox.hosts.sending.sender import PROBING
from postbox.hosts.tables import MAX_BATCH_EVENTS
from postbox.rpc.faults import Code, RpcError
from postbox.rpc.postbox.v1.hosts_pb import GuildLeft
from support.hosts_cluster import (
    NOTHING,
    PORT,
    HostsCluster,
    Member,
    Mood,
    among_hosts,
    hosts_cluster,
    until,
)
from support.simulate import MemoryDisk, Simulation, simulate

AGAIN_S = 2.0
"""In which events flow again after either side restarts."""


async def has(receiver: Member, sender: Member, values: list[bytes]) -> bool:
    return await receiver.received(sender) == values


async def two(cluster: HostsCluster, **settings: object) -> tuple[Member, Member]:
    """The settings are the second one's."""
    ann, bob = cluster.add("ann"), cluster.add("bob", **settings)
    await cluster.start(ann, bob)
    return ann, bob


@among_hosts
async def test_what_is_posted_arrives_at_once_and_is_confirmed(cluster: HostsCluster) -> None:
    ann, bob = await two(cluster)
    await ann.post(bob, [b"1", b"2"])
    assert await until(partial(has, bob, ann, [b"1", b"2"])) < 1
    assert await until(partial(_is_confirmed, ann, bob)) < 1


@among_hosts
async def test_a_batch_that_overtakes_the_one_before_it_is_sent_again_and_costs_no_wait(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster)
    await ann.post(bob, [b"first"])
    await until(partial(_is_confirmed, ann, bob))
    asked = bob.mood.asked
    bob.mood.pauses_s = [0.3, 0.0]
    values = [b"%d" % number for number in range(2 * MAX_BATCH_EVENTS)]
    await ann.post(bob, values[:MAX_BATCH_EVENTS])
    await ann.post(bob, values[MAX_BATCH_EVENTS:])
    assert await until(partial(_is_confirmed, ann, bob)) < FIRST_DELAY_S / 2
    assert await has(bob, ann, [b"first", *values])
    assert bob.mood.asked == asked + 3, "the second one came too early, and again"


async def _is_confirmed(sender: Member, receiver: Member) -> bool:
    return await sender.queued(receiver) == 0


@among_hosts
async def test_two_hosts_that_start_at_once_do_not_wait_for_each_other(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster)
    await ann.post(bob, [b"1"])
    await bob.post(ann, [b"a"])
    await until(partial(has, bob, ann, [b"1"]))
    await until(partial(has, ann, bob, [b"a"]))
    await ann.crash()
    await bob.crash()
    begun_s = trio.current_time()
    await cluster.start(ann, bob)
    await ann.post(bob, [b"2"])
    await bob.post(ann, [b"b"])
    await until(partial(has, bob, ann, [b"1", b"2"]))
    await until(partial(has, ann, bob, [b"a", b"b"]))
    assert trio.current_time() - begun_s < AGAIN_S


@pytest.mark.parametrize("down_s", [5.0, 1_000.0])
@pytest.mark.parametrize("is_sender", [True, False])
@among_hosts
async def test_events_flow_again_soon_after_either_side_restarts(
    cluster: HostsCluster, is_sender: bool, down_s: float
) -> None:
    ann, bob = await two(cluster)
    await ann.post(bob, [b"1"])
    await until(partial(has, bob, ann, [b"1"]))
    down = ann if is_sender else bob
    if is_sender:
        cluster.cut(ann, bob)
        await ann.post(bob, [b"2"])
        await trio.sleep(down_s)
    await down.crash()
    if is_sender:
        cluster.heal(ann, bob)
    else:
        await ann.post(bob, [b"2"])
        await trio.sleep(down_s)
    await cluster.start(down)
    assert await until(partial(has, bob, ann, [b"1", b"2"])) < AGAIN_S


@among_hosts
async def test_a_sign_of_life_ends_a_long_wait(cluster: HostsCluster) -> None:
    ann, bob = await two(cluster)
    await bob.post(ann, [b"a"])
    await until(partial(has, ann, bob, [b"a"]))
    bob.mood.status = 403
    await ann.post(bob, [b"1"])
    await trio.sleep(60)
    bob.mood.status = 0
    await trio.sleep(600)
    assert await bob.received(ann) == [], "it is put off for an hour"
    await bob.post(ann, [b"b"])
    assert await until(partial(has, bob, ann, [b"1"])) < AGAIN_S


@among_hosts
async def test_signs_of_life_of_a_host_that_cannot_be_reached_are_worth_few_attempts(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster)
    bob.mood.status = 500
    await ann.post(bob, [b"1"])
    for number in range(60):
        await bob.post(ann, [b"%d" % number])
        await trio.sleep(10)
    assert 10 < bob.mood.asked < 30
    bob.mood.status = 0
    await until(partial(has, bob, ann, [b"1"]), 3600)


@among_hosts
async def test_hosts_that_are_down_or_silent_are_in_nobodys_way(cluster: HostsCluster) -> None:
    """More of them than there are places for those that failed, and some that were well once."""
    ann, bob = await two(cluster)
    once = [cluster.add(f"once{number}") for number in range(3)]
    await cluster.start(*once)
    down = [cluster.add(f"down{number}") for number in range(30)]
    silent = [cluster.add(f"silent{number}") for number in range(PROBING + 10)]
    for one in silent:  # there is somebody, who never says a word
        await cluster.simulation.net.listen(one.address, PORT)
    for one in once:
        await ann.post(one, [b"0"])
        await until(partial(has, one, ann, [b"0"]))
        one.mood.status = NOTHING
    for one in (*once, *down, *silent):
        await ann.post(one, [b"1"])
    for number in range(10):
        await ann.post(bob, [b"%d" % number])
        expected = [b"%d" % each for each in range(number + 1)]
        assert await until(partial(has, bob, ann, expected)) < 1
        await trio.sleep(5)


@among_hosts
async def test_a_host_that_nobody_can_call_receives_at_once_what_it_follows(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster, follow=True)
    await bob.post(ann, [b"a"])
    await until(partial(has, ann, bob, [b"a"]))
    bob.mood.status = 500
    await cluster.restart(bob)
    await trio.sleep(5)
    for number in range(3):
        await ann.post(bob, [b"%d" % number])
        expected = [b"%d" % each for each in range(number + 1)]
        assert await until(partial(has, bob, ann, expected)) < 1
        assert await until(partial(_is_confirmed, ann, bob)) < 1
        await trio.sleep(100)


@among_hosts
async def test_more_hosts_are_followed_than_are_asked_at_once(cluster: HostsCluster) -> None:
    bob = cluster.add("bob", follow=True)
    others = [cluster.add(f"ann{number}") for number in range(ASKED_AT_ONCE + 2)]
    await cluster.start(bob, *others)
    for one in others:
        await bob.post(one, [b"a"])
    bob.mood.status = 500
    await trio.sleep(20)
    for one in others:
        await one.post(bob, [b"1"])
    for one in others:
        assert await until(partial(has, bob, one, [b"1"])) < 1


@among_hosts
async def test_what_a_host_does_not_take_is_a_dead_letter_and_the_link_goes_on(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster)
    await ann.post(bob, [b"1"])
    await ann.post_events(bob, [_unwanted()])
    await ann.post(bob, [b"2"])
    await until(partial(has, bob, ann, [b"1", b"2"]))
    assert await until(partial(_is_confirmed, ann, bob)) < 1
    [letter] = (await ann.door.links.letters()).letters
    assert letter.came.host == bob.host


@dataclass
class GivesSlowly(Mood):
    """By its streams, of which it counts the bytes."""

    given: int = 0

    def over(self, app: ASGIFramework) -> ASGIFramework:
        answer_in_mood = super().over(app)

        async def answer(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            async def count(event: ASGISendEvent) -> None:
                if event["type"] == "http.response.body":
                    self.given += len(event["body"])
                    await trio.sleep(0.2)
                await send(event)

            is_sync = scope["type"] == "http" and scope["path"] == wire.PATHS[wire.SYNC]
            await answer_in_mood(scope, receive, count if is_sync else send)

        return answer


@among_hosts
async def test_a_stream_ends_when_its_host_posts_what_was_still_to_come(
    cluster: HostsCluster,
) -> None:
    ann, bob = cluster.add("ann"), cluster.add("bob")
    ann.mood = mood = GivesSlowly()
    await cluster.start(ann, bob)
    await ann.post(bob, [b"0"])
    await until(partial(has, bob, ann, [b"0"]))
    await bob.crash()
    values = [b"%d" % n + bytes(20_000) for n in range(400)]
    for n in range(0, 400, 40):
        await ann.post(bob, values[n : n + 40])
    await cluster.start(bob)
    await until(partial(has, bob, ann, [b"0", *values]))
    await trio.sleep(200)  # in which the stream would have given all of it
    assert 0 < mood.given < 20_000 * 400


@among_hosts
async def test_a_host_that_nobody_can_call_refuses_as_well(cluster: HostsCluster) -> None:
    ann, bob = await two(cluster, follow=True)
    await bob.post(ann, [b"a"])
    await until(partial(has, ann, bob, [b"a"]))
    bob.mood.status = 500
    await trio.sleep(10)  # until it follows
    await ann.post(bob, [b"1"])
    await ann.post_events(bob, [_unwanted()])
    await ann.post(bob, [b"2"])
    assert await until(partial(has, bob, ann, [b"1", b"2"])) < 5
    assert await until(partial(_is_confirmed, ann, bob)) < 5


def _unwanted() -> Event:
    """About a user who never had to do with the sender."""
    return event_of(GuildLeft(user="eve@bob.example:2289", guild="g", reason="left"))


@among_hosts
async def test_a_third_host_cannot_use_a_token_that_it_was_given(cluster: HostsCluster) -> None:
    ann, bob = await two(cluster)
    event = bodies.label(b"e" * 16, 1, b"") + bodies.number(1)
    token = ann.door.clients._sign("cid.example:2289", wire.POST_EVENT, event)
    async with trio.open_nursery() as nursery:
        local = Config(serve=ServeConfig(loopback=True))
        net = cluster.simulation.node(MemoryDisk(), "10.0.0.99").world.net
        channel = Calls(*dial_hosts(net, local), nursery).channel(bob.host)
        asked = wire.signed(wire.asking(), token, ann.host)
        with pytest.raises(RpcError) as raised:
            await channel.unary(
                wire.PATHS[wire.POST_EVENT],
                wire.post_request(asked, event),
                deadline_s=10,
                max_bytes=1000,
            )
        nursery.cancel_scope.cancel()
    assert raised.value.code is Code.UNAUTHENTICATED
    assert await bob.inbox(ann) == []


@among_hosts
async def test_a_receiver_that_lost_everything_is_sent_all_that_is_kept(
    cluster: HostsCluster,
) -> None:
    ann, bob = await two(cluster)
    empty = bob.disk.copied()
    values = [b"%d" % number for number in range(2_500)]
    for start in range(0, len(values), 500):
        await ann.post(bob, values[start : start + 500])
    await until(partial(has, bob, ann, values))
    await cluster.restore(bob, empty)
    await ann.post(bob, [b"last"])
    assert await until(partial(has, bob, ann, [*values, b"last"])) < 5
    assert await bob.lost(ann) == 0


async def story(simulation: Simulation, homes: Path) -> None:
    async with hosts_cluster(simulation, homes) as cluster:
        ann, bob = await two(cluster)
        await ann.post(bob, [b"1", b"2"])
        await bob.post(ann, [b"a"])
        await until(partial(has, bob, ann, [b"1", b"2"]))
        cluster.cut(ann, bob)
        await ann.post(bob, [b"3"])
        await trio.sleep(20)
        cluster.heal(ann, bob)
        await cluster.restart(bob)
        await until(partial(has, bob, ann, [b"1", b"2", b"3"]))
        await until(partial(has, ann, bob, [b"a"]))


def test_a_seed_gives_one_trace(tmp_path: Path) -> None:
    one, again, other = (
        simulate(seed, partial(story, homes=tmp_path / name)).digest()
        for seed, name in ((1, "one"), (1, "again"), (2, "other"))
    )
    assert one == again
    assert one != other
