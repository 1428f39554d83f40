"""The outbox does what the dict model does, on either engine: whatever is submitted, twice or late,
with lost commits and lost answers, over clean stops, and over crashes at any moment, after which
the log is as if the act had been committed, or had not."""

from __future__ import annotations

import copy
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
import trio._core._run as trio_run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace

from postbox.errors import Fatal, Stopped
from postbox.log.outbox import LOOK_S, Outbox, UnknownReader
from postbox.log.outbox_rules import Ack, Act, Add, Bury, Forget, Hurry, Retry, Revive
from postbox.rules import Accepted, Rejected
from postbox.store.contract import Change, Entry, Lane
from support.faulty import When
from support.kernel import Kernel, open_kernel
from support.live_loop import LiveLoop
from support.machines import OnDatabase, run_on_postgres
from support.memory_net import MemoryNet
from support.outbox_model import LetterModel, OutboxModel, ReaderModel
from support.postgres import Server
from support.simulate import MemoryDisk, Node, Severed
from support.toy_chat import ChatDraft, ToyChat

READERS = ["ann", "bob"]
CHATS = [b"c", b"d"]
readers = st.sampled_from(READERS)
positions = st.integers(0, 12)
positions_of_entries = st.integers(1, 12)
errors = st.sampled_from(["down", "slow"])
delays_ms = st.integers(10, 90).map(lambda seconds: 1_000 * seconds)
streams = st.lists(st.sampled_from([*CHATS, b"x"]), unique=True).map(tuple)
acks = st.builds(Ack, positions)
retries = st.builds(Retry, positions, delays_ms, errors)  # from now: see `_as_submitted`
burials = st.builds(Bury, positions_of_entries, st.just(b""), st.just(b""), errors)
revivals = st.builds(Revive, positions)
settlements = acks | burials | burials | retries
acts = st.one_of(
    *(settlements, revivals, st.builds(Hurry)),
    st.builds(Add, st.just(Lane.CLIENTS), streams, positions),
)
faults = st.sampled_from([None, None, *When])


class OutboxMachine(OnDatabase):
    """On SQLite in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.database = "node.db"
        self.loop = LiveLoop()
        self.disk = MemoryDisk()
        self.model = OutboxModel()
        self.former: list[tuple[str, Act]] = []
        self.posted = 0
        self.lives = 0
        self.is_crashing = False
        self.fail_next: When | None = None
        self.kernel: Kernel
        self.outbox: Outbox

    @initialize(schedule=st.integers(0, 2**32))
    def start(self, schedule: int) -> None:
        trio_run._r.seed(schedule)  # Trio's order of tasks is part of the example
        self.loop.run(self._start)
        drafts = [ChatDraft(chat.rjust(16, b"\1"), "create", chat) for chat in CHATS]
        self.loop.run(lambda: self.kernel.admission.submit(ToyChat(), drafts))
        self.model.entries = {1: b"c", 2: b"d"}
        self.post(b"c", 4, None)
        for reader in READERS:
            self._act(reader, Add(Lane.CLIENTS, (b"c",), 0))
            for pos in (1, 3):
                self._act(reader, self._as_submitted(Bury(pos, b"", b"", "down")))

    async def _start(self) -> None:
        self.lives += 1
        self.node = Node(MemoryNet(), self.disk, seed=self.lives)
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        await self.loop.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        world = self.node.world
        try:
            with self.scope:
                async with open_kernel(world, self._fails, database=self.database) as self.kernel:
                    kernel = self.kernel
                    self.outbox = Outbox(world, kernel.runner, kernel.tail, kernel.admission)
                    kernel.tail.follow(self.outbox)
                    task_status.started()
                    await trio.sleep_forever()
        except* (Severed, Fatal):  # what a crash looks like from inside
            assert self.is_crashing
        self.ended.set()

    def _fails(self, _write: int) -> When | None:
        when, self.fail_next = self.fail_next, None
        return when

    async def _stop(self) -> None:
        self.scope.cancel()
        await self.ended.wait()

    def _now_ms(self) -> int:
        async def now_ms() -> int:
            return self.node.world.clock.now_ns() // 1_000_000

        return self.loop.run(now_ms)

    def _as_submitted(self, act: Act) -> Act:
        match act:
            case Retry():
                return replace(act, at_ms=self._now_ms() + act.at_ms)
            case Bury():
                # What is not there yet, nobody was given.
                pos = min(act.pos, max(self.model.entries))
                entry = self.loop.run(lambda: self._entry_at(pos))
                return replace(act, pos=pos, stream=entry.stream, id=entry.id)
            case _:
                return act

    async def _entry_at(self, pos: int) -> Entry:
        """One that was removed meanwhile, too, as who held it in memory has it."""
        page = await self.kernel.tail.page(Lane.CLIENTS, None, max(pos - 1, 0), limit=1)
        gone = Entry(
            *(pos, Lane.CLIENTS, b"c", None, (1_000 + pos).to_bytes(16, "big")),
            *(1, 0, b"", 0, None),
        )
        return next((entry for entry in page.entries if entry.pos == pos), gone)

    async def _do(self, reader: str, act: Act) -> str:
        """As a caller does it; the code of the refusal, if any."""
        outbox = self.outbox
        try:
            match act:
                case Add(lane, names, after):
                    await outbox.add(reader, lane, names, after=after)
                case Ack(pos):
                    await outbox.ack(reader, pos)
                case Retry(pos, at_ms, error):
                    await outbox.retry(reader, pos, at_ms, error)
                case Bury(pos, stream, entry_id, error):
                    entry = Entry(pos, Lane.CLIENTS, stream, None, entry_id, 1, 0, b"", 0, None)
                    await outbox.bury(reader, entry, error)
                case Revive(pos):
                    outcome = await outbox.revive(reader, pos)
                    return outcome.reason.code if isinstance(outcome, Rejected) else ""
                case Hurry():
                    await outbox.hurry(reader)
                case Forget():
                    await outbox.remove(reader)
        except UnknownReader:
            return "unknown_reader"
        return ""

    def _act(self, reader: str, act: Act) -> None:
        self.former.append((reader, act))
        assert self.loop.run(lambda: self._do(reader, act)) == self.model.act(reader, act)

    @rule(reader=readers, act=acts, twice=st.booleans(), when=faults)
    def act(self, reader: str, act: Act, twice: bool, when: When | None) -> None:
        act = self._as_submitted(act)
        self.fail_next = when
        self._act(reader, act)
        if twice:
            before = copy.deepcopy(self.model)
            self._act(reader, act)
            # Nothing may come of the second one: so an answer that was lost is no harm.
            assert self.model == before

    @precondition(lambda self: self.model.readers)
    @rule(data=st.data(), act=settlements)
    def act_on_what_is_due(self, data: st.DataObject, act: Ack | Retry | Bury) -> None:
        """As whoever works for a reader does."""
        reader = data.draw(st.sampled_from(sorted(self.model.readers)))
        due = self.loop.run(partial(self.outbox.page, reader))
        for entry in due.entries[:1]:
            self._act(reader, self._as_submitted(replace(act, pos=entry.pos)))

    @precondition(lambda self: self.model.letters)
    @rule(data=st.data(), is_revived=st.booleans(), act=settlements)
    def act_on_a_letter(
        self, data: st.DataObject, is_revived: bool, act: Ack | Retry | Bury
    ) -> None:
        reader, pos = data.draw(st.sampled_from(sorted(self.model.letters)))
        if is_revived:
            self._act(reader, Revive(pos))
        self._act(reader, self._as_submitted(replace(act, pos=pos)))

    @rule(data=st.data())
    def act_late(self, data: st.DataObject) -> None:
        """What was submitted before is submitted again, after others."""
        reader, act = data.draw(st.sampled_from(self.former))
        self._act(reader, act)

    @rule(chat=st.sampled_from(CHATS), count=st.integers(1, 3), when=faults)
    def post(self, chat: bytes, count: int, when: When | None) -> None:
        self.fail_next = when
        first = self.posted + 1
        self.posted += count
        drafts = [ChatDraft((first + at).to_bytes(16, "big"), "send", chat) for at in range(count)]
        for outcome in self.loop.run(lambda: self.kernel.admission.submit(ToyChat(), drafts)):
            assert isinstance(outcome, Accepted)
            self.model.entries[outcome.pos] = chat

    @precondition(lambda self: len(self.model.entries) > 1)
    @rule(data=st.data())
    def remove_entry(self, data: st.DataObject) -> None:
        """As retention does. The entry at the head stays, in these tests."""
        pos = data.draw(st.sampled_from(sorted(self.model.entries)[:-1]))
        change = Change(removes=[pos])
        self.loop.run(lambda: self.kernel.runner.write(lambda tx: tx.apply(change)))
        del self.model.entries[pos]

    @rule(seconds=st.integers(1, 100))
    def let_time_pass(self, seconds: int) -> None:
        async def sleep() -> None:
            await trio.sleep(seconds)

        self.loop.run(sleep)

    @rule(reader=readers)
    def wait(self, reader: str) -> None:
        """Until there is something: at once, at the time of the retry, or not at all."""
        if reader not in self.model.readers:
            with pytest.raises(UnknownReader):
                self.loop.run(partial(self.outbox.wait_page, reader))
            return
        now_ms, at_ms = self._now_ms(), self.model.readers[reader].retry_ms
        wanted = self.model.due(reader, max(now_ms, at_ms))

        async def given() -> list[int]:
            with trio.move_on_after(3 * LOOK_S):
                due = await self.outbox.wait_page(reader)
                return [entry.pos for entry in due.entries]
            return []

        assert self.loop.run(given) == wanted
        late_ms = self._now_ms() - max(now_ms, at_ms)
        assert not wanted or 0 <= late_ms < 1_000

    @precondition(lambda self: any(reader == "bob" for reader, _ in self.model.letters))
    @rule()
    def remove_and_add(self) -> None:
        reader = "bob"  # so that ann comes to have many letters
        self._act(reader, Forget((), is_last=True))
        self._act(reader, Ack(1))
        self._act(reader, Add(Lane.CLIENTS, (b"c", b"d"), 0))

    @rule()
    def stop_and_start(self) -> None:
        self.loop.run(self._stop)
        self.loop.run(self._start)

    @rule(reader=readers, act=acts, after_ms=st.integers(0, 12), when=faults)
    def crash(self, reader: str, act: Act, after_ms: int, when: When | None) -> None:
        act = self._as_submitted(act)
        self.fail_next = when
        is_answered = self.loop.run(
            lambda: self._crash_during(lambda: self._do(reader, act), after_ms / 1_000)
        )
        self.fail_next = None
        self.loop.run(self._start)
        committed = copy.deepcopy(self.model)
        committed.act(reader, act)
        if is_answered or self._stored() != _kept(self.model):
            self.model = committed
        assert self._stored() == _kept(self.model)
        # As whoever does not know what became of it does.
        self._act(reader, act)
        assert self.model == committed

    async def _crash_during(self, work: Callable[[], Awaitable[object]], delay_s: float) -> bool:
        answered = []

        async def submit() -> None:
            with suppress(Fatal, Stopped, Severed):
                answered.append(await work())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await trio.sleep(delay_s)
            is_answered = bool(answered)
            self.is_crashing = True
            self.node.sever()
            nursery.cancel_scope.cancel()
        await self._stop()
        self.is_crashing = False
        return is_answered

    def _stored(self) -> tuple[object, ...]:
        async def read() -> tuple[object, ...]:
            rows, letters = await self.outbox.readers(), await self.outbox.dead()
            for row in rows:
                assert bool(row.failing_since_ms) == bool(row.attempts)
            return (
                {
                    row.name: ReaderModel(
                        row.streams, row.acknowledged, row.attempts, row.retry_ms, row.error
                    )
                    for row in rows
                },
                {
                    (each.reader, each.pos): LetterModel(each.attempts, each.error, each.is_revived)
                    for each in letters
                },
            )

        return self.loop.run(read)

    @invariant()
    def rows_are_as_the_model(self) -> None:
        if self.lives:
            assert self._stored() == _kept(self.model)

    @invariant()
    def pages_are_as_the_model(self) -> None:
        for reader in self.model.readers:
            before_ms = self._now_ms()
            due = self.loop.run(partial(self.outbox.page, reader))
            given = [entry.pos for entry in due.entries]
            assert given in [self.model.due(reader, at) for at in (before_ms, self._now_ms())]

    def teardown(self) -> None:
        if self.lives:
            self.loop.run(self._stop)
        self.loop.close()


def _kept(model: OutboxModel) -> tuple[object, ...]:
    return model.readers, model.letters


EXAMPLES = int(os.environ.get("POSTBOX_MODEL_EXAMPLES", "40"))
FEW = settings(max_examples=EXAMPLES, stateful_step_count=25)

TestOutboxIsAsTheModel = OutboxMachine.TestCase
TestOutboxIsAsTheModel.settings = FEW


def test_the_outbox_on_postgresql_is_as_the_model(postgres: Server) -> None:
    # Fewer examples: there a commit and a start cost real time.
    run_on_postgres(OutboxMachine, postgres, settings(FEW, max_examples=max(1, EXAMPLES // 6)))
