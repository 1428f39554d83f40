"""Things that happen at once, or are broken off in the middle: one name has one key, and a walk
that others cross ends with all there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from postbox.errors import Fault
from postbox.mesh.calling.pull import Mode, pull
from postbox.mesh.peers.known import Contact
from postbox.mesh.serving.callers import ANSWERS_AT_ONCE, ANSWERS_OF_ADDRESS
from postbox.mesh.wire import SYNC_PATH
from postbox.net.client import Answer, Client
from postbox.trust.keys import identity_of
from postbox.trust.signatures import request_headers
from postbox.world import Clock, Pool, Threads
from support.cluster import keep_up_only
from support.mesh import (
    ANN,
    CAT,
    Pair,
    believe,
    digest,
    hey_there,
    pair_of,
    small_history,
    take,
    tease,
)
from support.strangers import greet, hello_of, now_ns, postbox_of, sources, sync_of
from support.threads import Meanwhile
from support.town import Canned, Town, in_town

T = TypeVar("T")

HERE, THERE, ELSEWHERE = "100.64.0.1", "100.64.0.2", "100.64.0.9"
ZEDS = [identity_of("zed", bytes([number]) * 32) for number in range(1, 7)]


@pytest.mark.parametrize(("admit", "status"), [("open", 200), ("ask", 202)])
@in_town
async def test_of_six_who_bring_one_name_at_once_one_has_it(
    town: Town, admit: str, status: int
) -> None:
    answers: dict[bytes, int] = {}
    async with town.house(HERE, "node", admit=admit) as house:

        async def bring(number: int) -> None:
            async with town.caller(f"100.64.1.{number}") as http:
                answer = await greet(http, house.url, hello_of(ZEDS[number]))
                answers[ZEDS[number].public_key] = answer.status

        async with trio.open_nursery() as nursery:
            for number in range(len(ZEDS)):
                nursery.start_soon(bring, number)
        assert Counter(answers.values()) == {status: 1, 403: 5}
        held = house.node.directory.get("zed") or house.node.waiting.get("zed")
        assert held is not None
        assert answers[held.key] == status


@in_town
async def test_of_two_peers_that_tell_of_one_name_at_once_one_is_believed(town: Town) -> None:
    """The name has the key that came first, whoever comes after it with another."""
    one, other = ZEDS[:2]
    bob = identity_of("bob", b"bob".ljust(32, b"."))
    first = Canned({**postbox_of(CAT), SYNC_PATH: lambda: sync_of(CAT, hey_there(one))})
    second = Canned({**postbox_of(bob), SYNC_PATH: lambda: sync_of(bob, hey_there(other))})
    rejected: Counter[str] = Counter()
    async with (
        town.house(HERE, "node") as house,
        town.serving(THERE, first) as cat_url,
        town.serving(ELSEWHERE, second) as bob_url,
    ):

        async def ask(url: str) -> None:
            pulled = await pull(house.mesh.peer(url), house.node.intake, "page", lambda _: None)
            rejected.update(pulled.report.rejected)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, cat_url)
            nursery.start_soon(ask, bob_url)
        assert sources(house.node)["zed"] == "answer"
        assert house.node.directory.key_of("zed") in (one.public_key, other.public_key)
        assert rejected == {"key_differs": 1}
        await house.node.settle()
        assert len(house.node.ledger.index) == 1


@in_town
async def test_an_operator_s_word_and_an_introduction_at_once_leave_the_operator_s_key(
    town: Town,
) -> None:
    async with town.house(HERE, "node", admit="open") as house, town.caller(THERE) as http:
        for number in range(20):
            theirs, mine = (
                identity_of(f"zed{number}", f"{number} {whose}".encode().ljust(32, b"."))
                for whose in ("theirs", "mine")
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(greet, http, house.url, hello_of(theirs))
                nursery.start_soon(believe, house.node, mine)
            assert house.node.directory.key_of(mine.name) == mine.public_key
            await trio.sleep(10)


# -- answers --------------------------------------------------------------------------------------


@dataclass
class Held:
    """Threads whose readers begin when they are let go."""

    threads: Threads
    waiting: int = 0
    go: trio.Event = field(default_factory=trio.Event)

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if pool is Pool.READER:
            self.waiting += 1
            await self.go.wait()
        return await self.threads.run(pool, work)


async def ask_page(http: Client, url: str) -> Answer:
    headers = request_headers(ANN, "POST", SYNC_PATH, now_ns() // 10**6)
    return await http.request(
        "POST",
        url + SYNC_PATH,
        body=b'{"from":"ann","mode":"page"}',
        headers=headers,
        max_body_bytes=2**20,
        deadline_s=60,
    )


@in_town
async def test_so_many_answers_are_made_at_once_for_an_address_and_so_many_in_all(
    town: Town,
) -> None:
    """Whatever name is asked for: an answer lies in memory until its peer has read it."""
    world = town.world(HERE)
    held = Held(world.threads)
    held.go.set()
    told: Counter[int] = Counter()
    async with (
        town.house(
            HERE, "node", world=replace(world, threads=held), concurrent_requests=1_000
        ) as house,
        trio.open_nursery() as answers,
    ):
        await believe(house.node, ANN)
        await take(house.node, [tease(1)])

        async def ask_from(address: str) -> None:
            async with town.caller(address) as http:
                told[(await ask_page(http, house.url)).status] += 1

        held.go, held.waiting = trio.Event(), 0
        for number in range(ANSWERS_AT_ONCE // ANSWERS_OF_ADDRESS):
            address = f"100.64.1.{number}"
            for _ in range(ANSWERS_OF_ADDRESS):
                answers.start_soon(ask_from, address)
            await trio.sleep(1)
            assert held.waiting == (number + 1) * ANSWERS_OF_ADDRESS
            async with town.caller(address) as http:
                refused = await ask_page(http, house.url)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert refused.body == b"too many requests are under way: try again in 1 s\n"
            assert refused.headers["x-nara-name"] == "node"
        async with town.caller("100.64.1.99") as http:
            assert (await ask_page(http, house.url)).status == 429, "there are enough in all"
            held.go.set()
            await trio.sleep(1)
            assert told == {200: ANSWERS_AT_ONCE}
            assert (await ask_page(http, house.url)).status == 200


# -- walks ----------------------------------------------------------------------------------------


async def walk(pair: Pair, mode: Mode = "page") -> None:
    await pull(pair.peer, pair.client.intake, mode, lambda _: None)


async def test_walks_through_one_peer_at_once_end_as_one_alone(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, small_history(6_000))
        modes: tuple[Mode, ...] = ("page", "page", "recent", "sample", "page")
        async with trio.open_nursery() as nursery:
            for mode in modes:
                nursery.start_soon(walk, pair, mode)
        await pair.client.settle()
        assert digest(pair.client) == digest(pair.server)


async def test_walks_that_are_broken_off_anywhere_leave_only_what_the_next_one_completes(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, small_history(6_000))
        for checkpoints in (1, 3, 7, 12, 18, 25, 40, 60):
            peer = pair.peer
            await peer.meet()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pull, peer, pair.client.intake, "page", lambda _: None)
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        assert len(pair.client.ledger.index) < 6_000
        await walk(pair)
        await pair.client.settle()
        assert digest(pair.client) == digest(pair.server)


# -- what changes while somebody is asked ---------------------------------------------------------


@in_town
async def test_a_peer_whose_key_the_operator_replaces_is_not_believed_with_the_former_one(
    town: Town,
) -> None:
    later = identity_of("cat", b"later".ljust(32, b"."))
    async with (
        town.house(HERE, "node") as house,
        town.serving(THERE, Canned(postbox_of(CAT))) as url,
    ):
        peer = house.mesh.peer(url)
        await peer.meet()
        await believe(house.node, later)
        with pytest.raises(Fault, match="signature verification failed"):
            await pull(peer, house.node.intake, "page", lambda _: None)
        with pytest.raises(Fault, match="cat has another key already"):
            await house.mesh.peer(url).meet()


@in_town
async def test_a_peer_whose_key_the_operator_replaces_while_its_answer_is_read_has_not_lied(
    town: Town,
) -> None:
    later = identity_of("cat", b"later".ljust(32, b"."))
    answers = {**postbox_of(CAT), SYNC_PATH: lambda: sync_of(CAT, hey_there(ANN))}
    world = town.world(HERE)
    threads = Meanwhile(world.threads, Pool.VERIFIER)
    async with (
        town.house(HERE, "node", world=replace(world, threads=threads)) as house,
        town.serving(THERE, Canned(answers)) as url,
    ):
        peer = house.mesh.peer(url)
        await peer.meet()
        threads.do = partial(believe, house.node, later)
        pulled = await pull(peer, house.node.intake, "page", lambda _: None)
        assert pulled.report.imported == 1
        assert house.node.directory.key_of("cat") == later.public_key


@in_town
async def test_an_introduction_is_played_again_to_no_end_after_a_restart_and_another_key(
    town: Town,
) -> None:
    later = identity_of("cat", b"later".ljust(32, b"."))
    played = hello_of(CAT)
    async with town.house(HERE, "node", admit="open") as house, town.caller(THERE) as http:
        assert (await greet(http, house.url, played)).status == 200
        await believe(house.node, later)
        assert (await greet(http, house.url, played)).status == 403
    async with town.house(HERE, "node", admit="open") as house, town.caller(THERE) as http:
        assert (await greet(http, house.url, played)).status == 403
        known = house.node.directory.get("cat")
        assert known is not None
        assert (known.key, known.old) == (later.public_key, ()), "nobody had vouched for the former"


@dataclass
class Jumping:
    """A wall clock that is set to another time; what has passed is what has passed."""

    clock: Clock
    off_s: int = 0

    def now_ns(self) -> int:
        return self.clock.now_ns() + self.off_s * 10**9

    def elapsed_s(self) -> float:
        return self.clock.elapsed_s()


YEAR_S = 365 * 86_400


@pytest.mark.parametrize("off_s", [20, -20, 31, -31, 3_600, -3_600, YEAR_S, -YEAR_S])
@in_town
async def test_a_node_whose_clock_jumps_and_jumps_back_misses_nothing(
    town: Town, off_s: int
) -> None:
    """Up to 30 s it goes on; beyond, its peer says by how much it is off, until it is not."""
    world = town.world(HERE)
    clock = Jumping(world.clock)
    async with (
        town.house(THERE, "peer") as peer,
        town.house(
            HERE, "node", world=replace(world, clock=clock), peers=(peer.url,), pull_every=60
        ) as house,
        trio.open_nursery() as loops,
    ):
        await take(peer.node, [tease(number) for number in range(100, 200)])
        loops.start_soon(keep_up_only, house)
        await trio.sleep(10)
        assert len(house.node.ledger.index) == 100
        clock.off_s = off_s
        await take(peer.node, [tease(number) for number in range(50, 100)])
        await trio.sleep(300)
        [link] = house.mesh.peers.configured
        if abs(off_s) <= 30:
            assert (link.contact, len(house.node.ledger.index)) == (Contact.REACHED, 150)
        else:
            assert (link.contact, len(house.node.ledger.index)) == (Contact.FAILED, 100)
            assert f"off by {abs(off_s)} s" in link.last_error
        clock.off_s = 0
        await take(peer.node, [tease(number) for number in range(1, 50)])
        await trio.sleep(300)
        assert link.contact is Contact.REACHED
        assert digest(house.node) == digest(peer.node)
        loops.cancel_scope.cancel()
