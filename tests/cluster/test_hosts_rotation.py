"""Host keys that change while events flow: nothing waits for it."""

from __future__ import annotations

from functools import partial

from postbox.hosts.keys.rules import HostKeyRules, Rotate
from postbox.rules import Accepted
from support.hosts_cluster import HostsCluster, Member, among_hosts, until


async def rotate_at_once(member: Member) -> None:
    draft = Rotate(member.node.world.new_id(), is_at_once=True)
    [outcome] = await member.node.admission.submit(HostKeyRules(), [draft])
    assert isinstance(outcome, Accepted)


async def has(receiver: Member, sender: Member, count: int) -> bool:
    return await receiver.received(sender) == [b"%d" % number for number in range(count)]


def kids(receiver: Member, sender: Member) -> list[str]:
    """Of the sender's keys that the receiver knows, the current one first."""
    known = receiver.door.keys.known(sender.host)
    return [] if known is None else [key.kid for key in known.keys]


@among_hosts
async def test_events_flow_on_while_keys_change_at_once_on_both_sides(
    cluster: HostsCluster,
) -> None:
    ann, bob = cluster.add("ann"), cluster.add("bob")
    await cluster.start(ann, bob)
    for number in range(4):
        await ann.post(bob, [b"%d" % number])
        await bob.post(ann, [b"%d" % number])
        assert await until(partial(has, bob, ann, number + 1)) < 2
        assert await until(partial(has, ann, bob, number + 1)) < 2
        assert kids(bob, ann)[0] == ann.door.own_keys.current.kid
        await rotate_at_once(ann)
        await rotate_at_once(bob)


@among_hosts
async def test_keys_that_are_known_outlive_a_crash_and_the_other_hosts_absence(
    cluster: HostsCluster,
) -> None:
    ann, bob = cluster.add("ann"), cluster.add("bob")
    await cluster.start(ann, bob)
    await ann.post(bob, [b"0"])
    await until(partial(has, bob, ann, 1))
    await rotate_at_once(ann)
    await ann.post(bob, [b"1"])
    await until(partial(has, bob, ann, 2))
    await cluster.restart(bob)
    await cluster.restart(ann)
    assert ann.door.own_keys.rotation.number == 1
    assert kids(bob, ann)[0] == ann.door.own_keys.current.kid
    cluster.simulation.net.names.pop("ann.example")
    await ann.post(bob, [b"2"])
    assert await until(partial(has, bob, ann, 3)) < 2
