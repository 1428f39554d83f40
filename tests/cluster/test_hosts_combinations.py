"""Whatever is the matter with the sender and with the receiver: nothing is lost, nothing is there
twice, and a link keeps its order.

Of everything that can be the matter with a host there is one that sends and one that receives, and
all of those post to all of these meanwhile. Then all is well again, and everything has to arrive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

import trio

from postbox.errors import Stopped
from support.hosts_cluster import NOTHING, HostsCluster, Member, among_hosts, until
from support.simulate import MemoryDisk, suppress_severed

TROUBLE_S = 20.0
"""While which what is the matter lasts: longer than the first waits."""
POST_EVERY_S = 12.0
SOON_S = 120.0
"""For all to be there when all are well again."""

Trouble = Callable[[HostsCluster, Member, MemoryDisk], Awaitable[None]]
"""Something that is the matter with a member for a while. The disk is a backup of what it had."""


async def nothing(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    await trio.sleep(TROUBLE_S)


async def is_down(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    await one.crash()
    await trio.sleep(TROUBLE_S)
    await cluster.start(one)


async def is_restarted(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    for _ in range(2):
        await trio.sleep(TROUBLE_S / 2)
        await cluster.restart(one)


async def is_cut_off(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    cluster.simulation.net.cut(one.address)
    await trio.sleep(TROUBLE_S)
    cluster.simulation.net.heal(one.address)


async def is_restored(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    await trio.sleep(TROUBLE_S / 2)
    await cluster.restore(one, backup)
    await trio.sleep(TROUBLE_S / 2)


def is_skewed(ahead_s: float) -> Trouble:
    async def trouble(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
        one.ahead_s = ahead_s
        await cluster.restart(one)
        await trio.sleep(TROUBLE_S)
        one.ahead_s = 0.0
        await cluster.restart(one)

    return trouble


def answers(status: int, retry_after_s: int | None = None) -> Trouble:
    async def trouble(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
        one.mood.status, one.mood.retry_after_s = status, retry_after_s
        await trio.sleep(TROUBLE_S)
        one.mood.status = 0

    return trouble


async def is_slow(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    one.mood.pause_s = 8.0
    await trio.sleep(TROUBLE_S)
    one.mood.pause_s = 0.0


async def answers_badly(cluster: HostsCluster, one: Member, backup: MemoryDisk) -> None:
    """In each of the ways, to whoever asks."""
    for trouble in (401, 403, 429, 500, NOTHING):
        one.mood.status = trouble
        await trio.sleep(TROUBLE_S / 5)
    one.mood.status = 0


OF_BOTH: dict[str, Trouble] = {
    "is well": nothing,
    "is down": is_down,
    "is restarted": is_restarted,
    "is cut off": is_cut_off,
    "is restored from a backup": is_restored,
    "is an hour ahead": is_skewed(3600.0),
    "is an hour behind": is_skewed(-3600.0),
    "is slow": is_slow,
}
OF_SENDERS = {**OF_BOTH, "answers badly": answers_badly}
OF_RECEIVERS = {
    **OF_BOTH,
    "answers 401": answers(401),
    "answers 403": answers(403),
    "answers 429": answers(429, 20),
    "answers 500": answers(500),
    "answers nothing": answers(NOTHING),
}


class Account:
    """What one host posted to the others."""

    def __init__(self, sender: Member, receivers: list[Member]) -> None:
        self.sender = sender
        self.receivers = receivers
        self._count = 0

    async def post(self) -> None:
        """An event to each, if the sender is up. Of one that it crashes with nobody knows whether
        it was posted."""
        self._count += 1
        for receiver in self.receivers:
            if self.sender.is_up:
                with suppress_severed(), suppress(Stopped):
                    await self.sender.post(receiver, [b"%d" % self._count])

    async def keep_posting(self) -> None:
        while True:
            await self.post()
            await trio.sleep(POST_EVERY_S)

    async def is_all_there(self) -> bool:
        for receiver in self.receivers:
            outgoing = await self.sender.posted(receiver)
            if not set(outgoing) <= set(await receiver.received(self.sender)):
                return False
        return True

    async def check(self) -> None:
        """Everything that the sender knows of is there, once, and in its order; and nothing else
        but what it knew of before it was put back."""
        for receiver in self.receivers:
            link = f"{self.sender.name} to {receiver.name}"
            received = await receiver.received(self.sender)
            numbers = [int(value) for value in received]
            assert numbers == sorted(set(numbers)), f"{link}: {numbers}"
            assert set(await self.sender.posted(receiver)) <= set(received), link
            assert await receiver.lost(self.sender) == 0, link
            assert await self.sender.queued(receiver) == 0, link


async def all_there(accounts: list[Account]) -> bool:
    for account in accounts:
        if not await account.is_all_there():
            return False
    return True


def one_for_each(cluster: HostsCluster, role: str, troubles: Mapping[str, Trouble]) -> list[Member]:
    return [cluster.add(f"{role}-{matter.replace(' ', '-')}") for matter in troubles]


@among_hosts
async def test_whatever_is_the_matter_with_either_end_nothing_is_lost_doubled_or_out_of_order(
    cluster: HostsCluster,
) -> None:
    senders = one_for_each(cluster, "sender", OF_SENDERS)
    receivers = one_for_each(cluster, "receiver", OF_RECEIVERS)
    accounts = [Account(sender, receivers) for sender in senders]
    await cluster.start(*cluster.members)
    for account in accounts:
        await account.post()
    await until(partial(all_there, accounts), SOON_S)
    backups = {member.name: member.disk.copied() for member in cluster.members}
    async with trio.open_nursery() as posting:
        for account in accounts:
            posting.start_soon(account.keep_posting)
        async with trio.open_nursery() as troubles:
            for members, matters in ((senders, OF_SENDERS), (receivers, OF_RECEIVERS)):
                for member, trouble in zip(members, matters.values(), strict=True):
                    troubles.start_soon(trouble, cluster, member, backups[member.name])
        posting.cancel_scope.cancel()
    parked = next(one for one in receivers if "403" in one.name)
    accounts.append(Account(parked, senders))  # which is tried again when it is heard from
    for account in accounts:
        await account.post()
    await until(partial(all_there, accounts), SOON_S)
    await trio.sleep(5)
    for account in accounts:
        await account.check()
