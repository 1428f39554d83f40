"""A link loses nothing, doubles nothing and keeps its order, whatever is done to it.

Two nodes with real logs; what one sends, the test hands over: late, twice, out of order, or never.
Commits and their answers get lost, nodes crash, and either is put back to any of its backups, also
to a newer one after an older one. The model is two lists: what was posted in the history that the
sender has now, and what came in the one that the receiver has. Every walk ends at rest, and then
each event is where it should be. A walk is repeated by its seed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import trio

from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.place import UnknownPlace
from postbox.hosts.links.retention import Keep
from postbox.hosts.sending.intake import Taken
from postbox.hosts.wire import read_event
from postbox.rules import Accepted
from support.faulty import When
from support.link_ends import BAD, GOOD, End, MemoryShelf, ServerShelf, Shelf
from support.postgres import Server
from support.simulate import Simulation, simulate

T = TypeVar("T")

STEPS = 70
STEPS_ON_POSTGRESQL = 20  # there each backup is a database of its own


@dataclass
class SenderModel:
    posted: list[bytes] = field(default_factory=list)  # a name for each event, by number


@dataclass
class ReceiverModel:
    came: list[bytes] = field(default_factory=list)
    lost: set[tuple[bytes, int]] = field(default_factory=set)  # epoch and number
    seq: int = 0  # of the inbox, up to which is known


class Walk:
    def __init__(self, simulation: Simulation, a: End, b: End) -> None:
        self.random = simulation.random
        self.a = a
        self.b = b
        self.sender = SenderModel()
        self.receiver = ReceiverModel()
        self.kinds: dict[bytes, str] = {}
        self.reposted: Counter[bytes] = Counter()  # letters, by the operator
        self.trimmed: set[tuple[bytes, int]] = set()
        self.flying: list[list[Arrived]] = []
        self.replies: list[Taken] = []
        self.backups: list[tuple[int, SenderModel]] = []
        self.receiver_backups: list[tuple[int, ReceiverModel]] = []

    async def run(self, count: int) -> None:
        steps: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (3, self.post),
            (6, self.push),
            (2, self.arrive_late),
            (1, self.be_answered_late),
            (2, self.sync),
            (1, self.settle_letters),
            (2, self.let_time_pass),
            (1, self.crash),
            (2, self.back_up),
            (2, self.put_back),
            (1, self.come_to_rest),
        ]
        weighted = [step for weight, step in steps for _ in range(weight)]
        await self.post()
        for _ in range(count):
            await self.pick(weighted)()
            await self.look()
        await self.come_to_rest()

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.random.fraction() * len(choices))]

    def is_so(self, chance: float) -> bool:
        return self.random.fraction() < chance

    def fault(self) -> When | None:
        choices: list[When | None] = [None, None, None, *When]
        return self.pick(choices)

    # What applications and operators do.

    async def post(self) -> None:
        kinds = [self.pick([GOOD, GOOD, BAD]) for _ in range(self.pick([1, 2, 3, 5]))]
        names = [b"%d" % (len(self.kinds) + at) for at in range(len(kinds))]
        self.kinds |= dict(zip(names, kinds, strict=True))
        self.a.fail_next = self.fault()
        seq = await self.a.post(list(zip(kinds, names, strict=True)))
        self.sender.posted += names
        assert seq == len(self.sender.posted) - len(names) + 1

    async def settle_letters(self) -> None:
        self.b.policy.takes_bad = self.is_so(0.5)
        for letter in (await self.a.links.letters()).letters:
            name = letter.came.value
            assert self.kinds[name] == BAD, "given up, and was not refused"
            is_again = self.is_so(0.5)
            settle = self.a.links.retry if is_again else self.a.links.forget
            assert isinstance(await settle(letter), Accepted)
            if is_again:
                self.sender.posted.append(name)
                self.reposted[name] += 1

    async def let_time_pass(self) -> None:
        """And what was done long ago goes."""
        await self.b.handle(self.pick([0, 2, 100]))
        await trio.sleep(self.pick([1, 20, 30]) * 3_600)
        before = await self.a.kept()
        labels = {seq: await self.epoch_of(seq) for seq in before}
        confirmed = (await self.a.links.view_of(self.b.host)).acknowledged
        keep = Keep(self.pick([0, 1]), 1)
        await self.a.trim(keep)
        await self.b.trim(keep)
        gone = before - await self.a.kept()
        assert max(gone, default=0) <= confirmed
        self.trimmed |= {(labels[seq], seq) for seq in gone}

    async def epoch_of(self, seq: int) -> bytes:
        [numbered] = await self.a.links.numbered(self.a.other, seq - 1, 1)
        return numbered.epoch

    # What goes between them.

    async def push(self) -> None:
        """From where the sender believes the receiver to be, or from anywhere."""
        after = (await self.a.links.view_of(self.b.host)).acknowledged
        if self.is_so(0.2):
            after = self.pick(range(len(self.sender.posted) + 1))
        batch = await self.batch(after, self.pick([1, 2, 5]))
        if batch:
            self.flying.append(batch)
            if self.is_so(0.8):
                await self.arrive(batch)

    async def arrive(self, batch: list[Arrived]) -> None:
        self.b.fail_next = self.fault()
        taken = await self.b.take(batch)
        self.b.fail_next = None
        self.replies.append(taken)
        if self.is_so(0.7):
            await self.answered(taken)

    async def arrive_late(self) -> None:
        """Perhaps once more, or in another life of either."""
        if self.flying:
            await self.arrive(self.pick(self.flying))

    async def be_answered_late(self) -> None:
        if self.replies:
            await self.answered(self.pick(self.replies))

    async def batch(self, after: int, limit: int) -> list[Arrived]:
        numbered = await self.a.links.numbered(self.b.host, after, limit)
        return [read_event(each.body) for each in numbered]

    async def answered(self, taken: Taken) -> int:
        """Where to go on."""
        reached = 0
        with suppress(UnknownPlace):
            reached = await self.a.links.acknowledge(self.b.host, taken.place)
        if taken.refusal is not None:
            place = taken.refusal.place
            await self.a.links.refused(self.b.host, place.epoch, place.seq, "bad", "")
        return reached

    async def sync(self) -> None:
        await self.ask(self.pick([1, 2, 5]))
        if self.is_so(0.6):
            await self.acknowledge()

    async def ask(self, limit: int) -> bool:
        """Whether anything came."""
        place = await self.b.links.place_of(self.a.host)
        after = 0
        with suppress(UnknownPlace):
            after = await self.a.links.acknowledge(self.b.host, place)
        events = await self.batch(after, limit)
        if events:
            await self.b.take(events)
        return bool(events)

    async def acknowledge(self) -> None:
        link = await self.b.links.received(self.a.host)
        await self.answered(Taken(link.current, is_gap=False, refusal=link.refusal))

    # What befalls them.

    async def crash(self) -> None:
        end = self.pick([self.a, self.b])
        await end.crash()
        await end.start()

    async def back_up(self) -> None:
        if self.is_so(0.5):
            self.backups.append((await self.a.save(), copy.deepcopy(self.sender)))
        else:
            self.receiver_backups.append((await self.b.save(), copy.deepcopy(self.receiver)))

    async def put_back(self) -> None:
        if self.is_so(0.5) and self.backups:
            saved, sender = self.pick(self.backups)
            await self.a.put_back(saved)
            self.sender = copy.deepcopy(sender)
        elif self.receiver_backups:
            saved, receiver = self.pick(self.receiver_backups)
            await self.b.put_back(saved)
            self.receiver = copy.deepcopy(receiver)

    # What must hold.

    async def look(self) -> None:
        for seq, event in await self.b.inbox(self.receiver.seq):
            self.receiver.seq = seq
            if event.upto:
                numbers = range(event.seq, event.upto + 1)
                self.receiver.lost |= {(event.epoch, number) for number in numbers}
            else:
                self.receiver.came.append(event.value)
        assert self.receiver.lost <= self.trimmed, "said to be lost, and is not"
        for name, times in Counter(self.receiver.came).items():
            assert times <= 1 + self.reposted[name], f"doubled: {name!r}"

    async def come_to_rest(self) -> None:
        """As sender and receiver do by themselves when nothing is in the way."""
        tries = 4 * len(self.sender.posted) + 8
        after = (await self.a.links.view_of(self.b.host)).acknowledged
        for _ in range(tries):
            batch = await self.batch(after, 3)
            if not batch:
                break
            after = await self.answered(await self.b.take(batch))
        assert not (await self.a.links.view_of(self.b.host)).queued, "what waits never arrives"
        for _ in range(tries):
            if not await self.ask(3):
                break
            await self.acknowledge()
        else:
            raise AssertionError("the receiver does not come to an end of asking")
        await self.look()
        await self.compare()

    async def compare(self) -> None:
        came = self.receiver.came
        good = [name for name in self.sender.posted if self.kinds[name] == GOOD]
        there = [name for name in came if name in good]
        assert there == [name for name in good if name in came], "out of order"
        for seq, name in enumerate(self.sender.posted, start=1):
            if self.kinds[name] == GOOD and name not in came:
                assert (await self.epoch_of(seq), seq) in self.receiver.lost, f"lost: {name!r}"
        assert await self.a.problems() == []
        assert await self.b.problems() == []


def walk(seed: int, a_shelf: Shelf, b_shelf: Shelf, steps: int = STEPS) -> None:
    async def main(simulation: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            a = End("a.example:2289", "b.example:2289", a_shelf, nursery)
            b = End("b.example:2289", "a.example:2289", b_shelf, nursery)
            await a.start()
            await b.start()
            await Walk(simulation, a, b).run(steps)
            await a.stop()
            await b.stop()

    simulate(seed, main, limit_s=1_000 * 86_400)


@pytest.mark.parametrize("seed", range(16))
def test_a_link_loses_doubles_and_reorders_nothing(seed: int) -> None:
    walk(seed, MemoryShelf(), MemoryShelf())


def test_a_link_from_postgresql_loses_doubles_and_reorders_nothing(postgres: Server) -> None:
    with closing(ServerShelf(postgres, "link_from")) as shelf:
        walk(1, shelf, MemoryShelf(), STEPS_ON_POSTGRESQL)


def test_a_link_to_postgresql_loses_doubles_and_reorders_nothing(postgres: Server) -> None:
    with closing(ServerShelf(postgres, "link_to")) as shelf:
        walk(2, MemoryShelf(), shelf, STEPS_ON_POSTGRESQL)
