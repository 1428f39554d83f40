"""A link loses nothing, doubles nothing and keeps its order, whatever is done to it.

Two nodes with real logs; what one sends, the test hands over: late, twice, out of order, or never.
Commits and their answers get lost, nodes crash, and either is put back to any of its backups, also
to a newer one after an older one. The model is two lists: what was posted in the history that the
sender has now, and what came in the one that the receiver has.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio
import trio._core._run as trio_run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from postbox.hosts.arrivals import Arrived
from postbox.hosts.intake import Taken
from postbox.hosts.place import UnknownPlace
from postbox.hosts.retention import Keep
from postbox.hosts.wire import read_event
from postbox.rules import Accepted
from support.faulty import When
from support.link_ends import BAD, GOOD, End, MemoryShelf, Shelf
from support.live_loop import LiveLoop

T = TypeVar("T")


faults = st.sampled_from([None, None, *When])
kinds = st.sampled_from([GOOD, GOOD, GOOD, BAD])


@dataclass
class SenderModel:
    posted: list[bytes] = field(default_factory=list)  # a name for each event, by number


@dataclass
class ReceiverModel:
    came: list[bytes] = field(default_factory=list)
    lost: set[tuple[bytes, int]] = field(default_factory=set)  # epoch and number
    seq: int = 0  # of the inbox, up to which is known


class LinkMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = LiveLoop()
        self.is_open = False
        self.sender = SenderModel()
        self.receiver = ReceiverModel()
        self.kinds: dict[bytes, str] = {}
        self.reposted: Counter[bytes] = Counter()  # letters, by the operator
        self.trimmed: set[tuple[bytes, int]] = set()
        self.flying: list[list[Arrived]] = []
        self.replies: list[Taken] = []
        self.backups: list[tuple[int, SenderModel]] = []
        self.receiver_backups: list[tuple[int, ReceiverModel]] = []

    def shelf(self, name: str) -> Shelf:
        return MemoryShelf()

    @initialize(schedule=st.integers(0, 2**32))
    def start(self, schedule: int) -> None:
        trio_run._r.seed(schedule)  # Trio's order of tasks is part of the example
        self.run(self._open)

    async def _open(self) -> None:
        nursery = self.loop.nursery
        self.a = End("a.example:2289", "b.example:2289", self.shelf("a"), nursery)
        self.b = End("b.example:2289", "a.example:2289", self.shelf("b"), nursery)
        await self.a.start()
        await self.b.start()
        self.is_open = True

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        return self.loop.run(function)

    # What applications and operators do.

    @rule(kinds=st.lists(kinds, min_size=1, max_size=4), fault=faults)
    def post(self, kinds: list[str], fault: When | None) -> None:
        names = [b"%d" % (len(self.kinds) + at) for at in range(len(kinds))]
        self.kinds |= dict(zip(names, kinds, strict=True))
        self.a.fail_next = fault
        seq = self.run(partial(self.a.post, list(zip(kinds, names, strict=True))))
        self.sender.posted += names
        assert seq == len(self.sender.posted) - len(names) + 1

    @rule(takes=st.booleans())
    def change_policy(self, takes: bool) -> None:
        self.b.policy.takes_bad = takes

    @rule(data=st.data(), is_again=st.booleans())
    def settle_letter(self, data: st.DataObject, is_again: bool) -> None:
        letters = self.run(self.a.links.letters).letters
        if letters:
            letter = data.draw(st.sampled_from(list(letters)))
            name = letter.came.value
            assert self.kinds[name] == BAD
            act = self.a.links.retry if is_again else self.a.links.forget
            assert isinstance(self.run(partial(act, letter)), Accepted)
            if is_again:
                self.sender.posted.append(name)
                self.reposted[name] += 1

    @rule(count=st.integers(1, 5))
    def handle(self, count: int) -> None:
        self.run(partial(self.b.handle, count))

    @rule(hours=st.integers(1, 30))
    def let_time_pass(self, hours: int) -> None:
        self.run(partial(trio.sleep, hours * 3_600))

    @rule(days=st.integers(0, 1))
    def trim(self, days: int) -> None:
        self.run(partial(self._trim, Keep(days, 1)))

    async def _trim(self, keep: Keep) -> None:
        await self._look()
        before = await self.a.kept()
        labels = {each: await self._epoch_of(each) for each in before}
        await self.a.trim(keep)
        await self.b.trim(keep)
        self.trimmed |= {(labels[seq], seq) for seq in before - await self.a.kept()}

    async def _epoch_of(self, seq: int) -> bytes:
        [numbered] = await self.a.links.numbered(self.a.other, seq - 1, 1)
        return numbered.epoch

    # What goes between them.

    @rule(
        data=st.data(),
        limit=st.integers(1, 4),
        is_sent=st.booleans(),
        is_answered=st.booleans(),
        fault=faults,
    )
    def push(
        self,
        data: st.DataObject,
        limit: int,
        is_sent: bool,
        is_answered: bool,
        fault: When | None,
    ) -> None:
        """From where the sender believes the receiver to be, or from anywhere."""
        view = self.run(partial(self.a.links.view_of, self.b.host))
        anywhere = st.integers(0, len(self.sender.posted))
        after = data.draw(st.one_of(st.just(view.acknowledged), anywhere))
        batch = self.run(partial(self._batch, after, limit))
        if batch and not is_sent:
            self.flying.append(batch)
        elif batch:
            self.b.fail_next = fault
            taken = self.run(partial(self.b.take, batch))
            if is_answered:
                self.run(partial(self._answered, taken))
            else:
                self.replies.append(taken)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), is_answered=st.booleans())
    def arrive_late(self, data: st.DataObject, is_answered: bool) -> None:
        """Perhaps once more, or in another life of either."""
        taken = self.run(partial(self.b.take, data.draw(st.sampled_from(self.flying))))
        if is_answered:
            self.run(partial(self._answered, taken))

    @precondition(lambda self: self.replies)
    @rule(data=st.data())
    def be_answered_late(self, data: st.DataObject) -> None:
        self.run(partial(self._answered, data.draw(st.sampled_from(self.replies))))

    @rule(limit=st.integers(1, 4), is_acknowledged=st.booleans())
    def sync(self, limit: int, is_acknowledged: bool) -> None:
        self.run(partial(self._sync, limit))
        if is_acknowledged:
            self.run(self._acknowledge)

    async def _batch(self, after: int, limit: int) -> list[Arrived]:
        numbered = await self.a.links.numbered(self.b.host, after, limit)
        return [read_event(each.body) for each in numbered]

    async def _answered(self, taken: Taken) -> int:
        """Where to go on."""
        links = self.a.links
        reached = 0
        with suppress(UnknownPlace):
            reached = await links.acknowledge(self.b.host, taken.place)
        if taken.refusal is not None:
            place = taken.refusal.place
            await links.refused(self.b.host, place.epoch, place.seq, "bad", "")
        return reached

    async def _sync(self, limit: int) -> bool:
        """Whether anything came."""
        place = await self.b.links.place_of(self.a.host)
        after = 0
        with suppress(UnknownPlace):
            after = await self.a.links.acknowledge(self.b.host, place)
        events = await self._batch(after, limit)
        if events:
            await self.b.take(events)
        return bool(events)

    async def _acknowledge(self) -> None:
        link = await self.b.links.received(self.a.host)
        with suppress(UnknownPlace):
            await self._answered(Taken(link.current, is_gap=False, refusal=link.refusal))

    # What befalls them.

    @rule(is_sender=st.booleans())
    def crash(self, is_sender: bool) -> None:
        end = self.a if is_sender else self.b
        self.run(end.crash)
        self.run(end.start)

    @rule()
    def back_up_sender(self) -> None:
        self.backups.append((self.run(self.a.save), copy.deepcopy(self.sender)))

    @rule()
    def back_up_receiver(self) -> None:
        self.run(self._look)
        saved = self.run(self.b.save), copy.deepcopy(self.receiver)
        self.receiver_backups.append(saved)

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def put_sender_back(self, data: st.DataObject) -> None:
        saved, model = data.draw(st.sampled_from(self.backups))
        self.run(partial(self.a.put_back, saved))
        self.sender = copy.deepcopy(model)

    @precondition(lambda self: self.receiver_backups)
    @rule(data=st.data())
    def put_receiver_back(self, data: st.DataObject) -> None:
        saved, model = data.draw(st.sampled_from(self.receiver_backups))
        self.run(partial(self.b.put_back, saved))
        self.receiver = copy.deepcopy(model)

    # What must hold.

    @invariant()
    def nothing_is_doubled(self) -> None:
        if self.is_open:
            self.run(self._look)

    async def _look(self) -> None:
        for seq, event in await self.b.inbox(self.receiver.seq):
            self.receiver.seq = seq
            if event.upto:
                self.receiver.lost |= {
                    (event.epoch, seq) for seq in range(event.seq, event.upto + 1)
                }
            else:
                self.receiver.came.append(event.value)
        assert self.receiver.lost <= self.trimmed, "said to be lost, and is not"
        for name, times in Counter(self.receiver.came).items():
            assert times <= 1 + self.reposted[name], f"doubled: {name!r}"

    def come_to_rest(self) -> None:
        self.run(self._come_to_rest)
        self.run(self._look)
        self.run(self._compare)

    async def _come_to_rest(self) -> None:
        """As sender and receiver do by themselves when nothing is in the way."""
        for _ in range(4 * len(self.sender.posted) + 8):
            view = await self.a.links.view_of(self.b.host)
            if not view.queued:
                break
            after, batch = view.acknowledged, [Arrived(b"")]
            while batch:
                batch = await self._batch(after, 3)
                if batch:
                    after = await self._answered(await self.b.take(batch))
        assert not (await self.a.links.view_of(self.b.host)).queued
        for _ in range(4 * len(self.sender.posted) + 8):
            if not await self._sync(3):
                return
            await self._acknowledge()
        raise AssertionError("the receiver does not come to an end of asking")

    async def _compare(self) -> None:
        came = self.receiver.came
        order = [name for name in came if self.kinds[name] == GOOD]
        wanted = [name for name in self.sender.posted if self.kinds[name] == GOOD]
        there = set(wanted)
        assert [name for name in order if name in there] == [
            name for name in wanted if name in set(order)
        ], "out of order"
        for seq, name in enumerate(self.sender.posted, start=1):
            if self.kinds[name] == GOOD and name not in came:
                assert (await self._epoch_of(seq), seq) in self.receiver.lost, f"lost: {name!r}"
        assert await self.a.problems() == []
        assert await self.b.problems() == []

    def teardown(self) -> None:
        if self.is_open:
            self.come_to_rest()
            self.run(self.a.stop)
            self.run(self.b.stop)
        self.loop.close()


FEW = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)

TestLinksAreAsTheModel = LinkMachine.TestCase
TestLinksAreAsTheModel.settings = FEW
