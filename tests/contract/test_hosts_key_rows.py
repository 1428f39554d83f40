"""Keys of hosts on a real store of either engine: written, followed, and there after a start."""

from __future__ import annotations

from functools import partial

from postbox.hosts.keys.key_list import make_reply, read_reply
from postbox.hosts.keys.own_keys import OwnKeys
from postbox.hosts.keys.rules import (
    ALL_PEER_KEYS,
    STREAM,
    ForgetStrangers,
    HostKeyRules,
    LearnKeys,
    PeerKeys,
    Rotate,
    peer_keys,
)
from postbox.hosts.keys.strangers import read_unused
from postbox.hosts.links.host_rules import Contact, SetHost
from postbox.hosts.links.rules import HostRules
from postbox.hosts.tables import ALL_CONTACTS, MIGRATIONS
from postbox.rules import Accepted, Outcome, Rejected
from postbox.store.contract import Lane, Reader, Window
from postbox.trust.host_keys import FIRST
from postbox.trust.keys import identity_of
from postbox.world import World
from support.kernel import Kernel, open_kernel
from support.simulated import Fails, over_every_store, simulated

A, B = "a.example:2289", "b.example:2289"


def peer_at(now_ms: int, host: str = A) -> PeerKeys:
    return read_reply(make_reply(host, bytes(32), FIRST, now_ms), host, now_ms).peer


async def learn(kernel: Kernel, peer: PeerKeys) -> None:
    [outcome] = await kernel.admission.submit(HostKeyRules(), [LearnKeys(peer)])
    assert isinstance(outcome, Accepted)


async def rotate(kernel: Kernel, *, is_at_once: bool) -> Outcome:
    draft = Rotate(kernel.world.new_id(), is_at_once)
    [outcome] = await kernel.admission.submit(HostKeyRules(), [draft])
    return outcome


def peers(reader: Reader) -> list[PeerKeys]:
    return [peer_keys(row) for row in reader.query(ALL_PEER_KEYS)]


def contacts(reader: Reader) -> list[str]:
    return [str(host) for (host,) in reader.query(ALL_CONTACTS)]


def entries(reader: Reader) -> int:
    return len(reader.page(Lane.HOSTS, [Window(STREAM)], 0, 100, 2**20).entries)


@over_every_store
@simulated
async def test_of_each_host_the_last_answer_is_kept_and_one_entry(
    world: World, place: str, fails: Fails
) -> None:
    now_ms = world.clock.now_ns() // 10**6
    last = [peer_at(now_ms, A), peer_at(now_ms, B)]
    async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
        for ago_ms in (2_000, 1_000, 0):
            for host in (A, B):
                await learn(kernel, peer_at(now_ms - ago_ms, host))
        await learn(kernel, peer_at(now_ms - 500))  # of another process, which had asked before
        assert await kernel.runner.read(peers) == last
        assert await kernel.runner.read(entries) == 2
    async with open_kernel(world, migrations=(MIGRATIONS,), database=place) as kernel:
        assert await kernel.runner.read(peers) == last


@over_every_store
@simulated
async def test_a_stranger_is_forgotten_and_a_host_that_was_named_is_not(
    world: World, place: str, fails: Fails
) -> None:
    now_ms = world.clock.now_ns() // 10**6
    named = SetHost(b"s" * 16, B, tokens="plain")
    async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
        for at, host in enumerate((A, B)):
            await learn(kernel, peer_at(now_ms, host))
            met = Contact(bytes((at,)) * 16, host, now_ms)
            await kernel.admission.submit(HostRules(), [met])
        stranger = await kernel.runner.read(partial(read_unused, now_ms))
        assert stranger.hosts == (A, B)
        await kernel.admission.submit(HostRules(), [named])
        found = await kernel.runner.read(partial(read_unused, now_ms))
        assert (found.hosts, found.contacts) == ((A,), stranger.contacts[:1])
        assert (await kernel.runner.read(partial(read_unused, now_ms - 1))).hosts == ()
        await kernel.admission.submit(HostKeyRules(), [ForgetStrangers((A, B), found.contacts)])
        assert await kernel.runner.read(peers) == [peer_at(now_ms, B)]
        assert await kernel.runner.read(entries) == 1
        assert await kernel.runner.read(contacts) == [B]
        await learn(kernel, peer_at(now_ms, A))
        found = await kernel.runner.read(partial(read_unused, now_ms))
        assert (found.hosts, found.contacts) == ((A,), ())


@over_every_store
@simulated
async def test_a_rotation_is_followed_by_every_process_and_outlives_it(
    world: World, place: str, fails: Fails
) -> None:
    def own_keys() -> OwnKeys:
        return OwnKeys(identity_of("b", bytes(32)), B, world.clock)

    following = own_keys()
    async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
        await kernel.tail.join(following, following.load)
        first = following.current
        assert isinstance(await rotate(kernel, is_at_once=False), Accepted)
        assert (following.rotation.number, following.current) == (1, first)
        refused = await rotate(kernel, is_at_once=False)
        assert isinstance(refused, Rejected)
        assert "keys rotate --now" in refused.reason.text
        assert isinstance(await rotate(kernel, is_at_once=True), Accepted)
        assert following.current != first
    async with open_kernel(world, migrations=(MIGRATIONS,), database=place) as kernel:
        started = own_keys()
        await kernel.tail.join(started, started.load)
        assert started.rotation == following.rotation
        assert started.current == following.current
