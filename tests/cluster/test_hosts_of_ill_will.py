"""Hosts that answer or send what no good one would: it ends nothing but their own link."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.hosts import wire
from postbox.hosts.applications.events import Event, event_of
from postbox.hosts.keys import keys as key_cache
from postbox.hosts.keys.key_list import make_reply, read_reply
from postbox.hosts.keys.rules import HostKeyRules, LearnKeys
from postbox.hosts.keys.strangers import AT_ONCE, UNUSED_MS
from postbox.hosts.links.bodies import label, number
from postbox.hosts.links.host_rules import SetHost
from postbox.hosts.links.place import MAX_EPOCHS
from postbox.rpc.postbox.v1.hosts_pb import GuildJoined
from postbox.trust.host_keys import FIRST
from support.hosts_cluster import TYPE_URL, HostsCluster, Member, Mood, among_hosts, until

TOO_LARGE = 413


async def has(receiver: Member, sender: Member, values: list[bytes]) -> bool:
    return await receiver.received(sender) == values


@dataclass
class TakesNoSecond(Mood):
    """The second post is too large for it."""

    posts: int = 0

    def over(self, app: ASGIFramework) -> ASGIFramework:
        answer_in_mood = super().over(app)

        async def answer(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            if scope["type"] == "http" and scope["path"] == wire.PATHS[wire.POST_EVENTS]:
                self.posts += 1
                self.status = TOO_LARGE if self.posts == 2 else 0
            await answer_in_mood(scope, receive, send)

        return answer


@among_hosts
async def test_an_event_behind_a_tombstone_is_given_up_if_its_batch_is_never_taken(
    cluster: HostsCluster,
) -> None:
    ann, bob = cluster.add("ann"), cluster.add("bob")
    bob.mood = mood = TakesNoSecond()
    await cluster.start(ann, bob)
    refused = event_of(GuildJoined(user=f"eve@{bob.host}", guild="g", name="g"))
    await ann.post_events(bob, [refused, Event(TYPE_URL, b"1")])
    await until(partial(_has_letters, ann, 2))
    assert mood.posts >= 2
    await ann.post(bob, [b"2"])
    await until(partial(has, bob, ann, [b"2"]))


async def _has_letters(member: Member, count: int) -> bool:
    return len((await member.door.links.letters()).letters) == count


@among_hosts
async def test_a_host_that_sends_what_cannot_be_stored_stops_nobody(cluster: HostsCluster) -> None:
    """More epochs than are remembered, and then the first one's events again."""
    ann, bob = cluster.add("ann"), cluster.add("bob")
    await cluster.start(ann, bob)
    await bob.post(ann, [b"1"])
    await until(partial(has, ann, bob, [b"1"]))
    for n in range(MAX_EPOCHS):
        epoch = bytes((n,)) * wire.EPOCH_BYTES
        body = b"\x0a\x00" + label(epoch, 1, b"") + number(1)
        await ann.door.intake.take(bob.host, [wire.read_event(body)])
    await cluster.restart(ann)  # which asks bob, who has to begin with the first one
    await trio.sleep(10)
    assert len(await ann.inbox(bob)) == 1 + MAX_EPOCHS
    await ann.post(bob, [b"2"])
    await until(partial(has, bob, ann, [b"2"]))


@among_hosts
async def test_of_a_host_that_is_blocked_nothing_is_taken_from_a_stream_that_is_open(
    cluster: HostsCluster,
) -> None:
    ann, bob = cluster.add("ann", follow=True), cluster.add("bob")
    await cluster.start(ann, bob)
    await bob.post(ann, [b"1"])
    await until(partial(has, ann, bob, [b"1"]))
    await trio.sleep(30)  # ann follows bob by then
    block = SetHost(ann.node.world.new_id(), bob.host, admit="block")
    await ann.node.admission.submit(ann.door.rules, [block])
    await bob.post(ann, [b"2"])
    await trio.sleep(30)
    assert await ann.received(bob) == [b"1"]


@pytest.mark.parametrize("by_sync", [False, True])
@among_hosts
async def test_a_host_that_sends_too_much_keeps_it_until_there_is_room(
    cluster: HostsCluster, by_sync: bool
) -> None:
    ann, bob = cluster.add("ann"), cluster.add("bob", retain_mib=1, follow=by_sync)
    await cluster.start(ann, bob)
    await bob.post(ann, [b"a"])
    await until(partial(has, ann, bob, [b"a"]))
    bob.mood.status = 500 if by_sync else 0
    await trio.sleep(10)  # until it follows
    for n in range(8):
        await ann.post(bob, [b"%d" % n * 600_000])
    await until(partial(_has_come_to, bob, ann, 4))
    await trio.sleep(5)
    assert await ann.queued(bob) in (3, 4), "one that was on its way is taken yet"
    await until(partial(_has_come_to, bob, ann, 8))
    assert await bob.lost(ann) == 0


async def _has_come_to(receiver: Member, sender: Member, seq: int) -> bool:
    return (await receiver.door.links.place_of(sender.host)).seq >= seq


@among_hosts
async def test_strangers_that_never_sent_anything_are_forgotten_where_there_are_too_many(
    cluster: HostsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = [f"{n}.wild.example:2289" for n in range(5)]
    monkeypatch.setattr(key_cache, "MAX_PEERS", AT_ONCE + len(strangers))
    ann, bob = cluster.add("ann"), cluster.add("bob")
    await cluster.start(ann, bob)
    await bob.post(ann, [b"1"])
    await until(partial(has, ann, bob, [b"1"]))
    await _let_in(ann, *strangers[:4])
    named = SetHost(ann.node.world.new_id(), strangers[0], admit="allow")
    await ann.node.admission.submit(ann.door.rules, [named])
    await trio.sleep(UNUSED_MS / 1_000 + 60)
    assert _known(ann, bob.host, *strangers) == {bob.host, *strangers[:4]}, "there is room"
    await _let_in(ann, strangers[4])
    await trio.sleep(61)
    kept = {bob.host, strangers[0], strangers[4]}
    assert _known(ann, bob.host, *strangers) == kept
    assert set(ann.door.known.contacts()) == kept
    await cluster.restart(ann)
    assert _known(ann, bob.host, *strangers) == kept
    assert set(ann.door.known.contacts()) == kept
    await _let_in(ann, strangers[1])
    assert strangers[1] in ann.door.known.contacts()


async def _let_in(member: Member, *hosts: str) -> None:
    """As after their first good token."""
    now_ms = member.node.world.clock.now_ns() // 10**6
    for host in hosts:
        peer = read_reply(make_reply(host, bytes(32), FIRST, now_ms), host, now_ms).peer
        await member.node.admission.submit(HostKeyRules(), [LearnKeys(peer)])
        await member.door.contacts.met(host)


def _known(member: Member, *hosts: str) -> set[str]:
    return {host for host in hosts if member.door.keys.known(host)}
