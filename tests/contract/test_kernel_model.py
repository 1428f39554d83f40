"""The toy chat through real admission does what the dict model does, on either engine.

Whatever happens: batches, duplicates, refusals, removals, lost commits and lost answers, clean
stops, and crashes at any moment, after which the log is as if the batch had been committed, or had
not.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from contextlib import suppress

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
from postbox.log.committed import Committed, Interest
from postbox.rules import Outcome
from postbox.store.contract import MAX_POS, Entry, Key, Lane, Table, Window
from support.faulty import When
from support.kernel import Kernel, open_kernel
from support.live_loop import LiveLoop
from support.machines import OnDatabase, run_on_postgres
from support.memory_net import MemoryNet
from support.model import Model
from support.postgres import Server
from support.simulate import MemoryDisk, Node, Severed
from support.toy_chat import CHAT, MEMBER, VERDICT, ChatDraft, ToyChat

RULES = ToyChat()
CHATS = [b"c", b"d"]
USERS = ["ann", "bob"]
ids = st.integers(1, 40).map(lambda number: number.to_bytes(16, "big"))
# No store takes NUL.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
drafts = st.builds(
    ChatDraft,
    ids,
    st.sampled_from(["create", "join", "send", "send", "send", "rename", "remove", "blank"]),
    st.sampled_from(CHATS),
    st.sampled_from(USERS),
    texts,
    st.integers(1, 3),
    ids,
)
batches = st.lists(drafts, min_size=1, max_size=12)
positions = st.integers(0, 60)
stretches = st.builds(
    Window, st.sampled_from([*CHATS, b"x"]), positions, positions | st.just(MAX_POS)
)
windows = st.none() | st.lists(stretches, max_size=4)


class Replica:
    """A follower with a copy of the lane, rebuilt at every start."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}

    def take(self, entries: Sequence[Entry]) -> None:
        self.entries.update((entry.pos, entry) for entry in entries)

    def applied(self, committed: Committed) -> None:
        self.take(committed.entries)
        for pos in committed.removes:
            self.entries.pop(pos, None)
        for pos in set(committed.blanks) & set(self.entries):
            self.entries[pos] = replace(self.entries[pos], body=None)


class KernelMachine(OnDatabase):
    """On SQLite in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.database = "node.db"
        self.loop = LiveLoop()
        self.disk = MemoryDisk()
        self.model = Model()
        self.lives = 0
        self.is_crashing = False
        self.fail_next: When | None = None
        self.kernel: Kernel

    @initialize(schedule=st.integers(0, 2**32))
    def start(self, schedule: int) -> None:
        trio_run._r.seed(schedule)  # Trio's order of tasks is part of the example
        self.loop.run(self._start)

    async def _start(self) -> None:
        self.lives += 1
        self.node = Node(MemoryNet(), self.disk, seed=self.lives)
        self.replica = Replica()
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        await self.loop.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        world, fails, followers = self.node.world, self._fails, [self.replica]
        try:
            with self.scope:
                async with open_kernel(
                    world, fails, followers=followers, database=self.database
                ) as self.kernel:
                    await self.kernel.tail.replay(Lane.CLIENTS, self.replica.take)
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

    async def _submit(self, batch: Sequence[ChatDraft]) -> list[Outcome]:
        return await self.kernel.admission.submit(RULES, batch)

    def _expect(self, model: Model, batch: Sequence[ChatDraft]) -> list[Outcome]:
        return [model.submit(RULES, draft) for draft in batch]

    @rule(batch=batches, when=st.sampled_from([None, None, *When]))
    def submit(self, batch: list[ChatDraft], when: When | None) -> None:
        self.fail_next = when
        outcomes = self.loop.run(lambda: self._submit(batch))
        assert outcomes == self._expect(self.model, batch)

    @rule(window_list=windows, after=positions, limit=st.integers(1, 20))
    def page(self, window_list: list[Window] | None, after: int, limit: int) -> None:
        page = self.loop.run(lambda: self.kernel.tail.page(Lane.CLIENTS, window_list, after, limit))
        wanted = self.model.page(Lane.CLIENTS, window_list, after, 10_000)
        assert list(page.entries) == wanted[:limit]
        assert page.more == (len(wanted) > limit)
        assert page.next == (wanted[limit - 1].pos if page.more else max(after, self.model.head))

    @precondition(lambda self: self.lives > 0)
    @rule(chat=st.sampled_from(CHATS), after=positions)
    def wait(self, chat: bytes, after: int) -> None:
        async def is_woken() -> bool:
            with trio.move_on_after(1) as scope:
                await self.kernel.tail.wait(Interest(Lane.CLIENTS, frozenset([chat])), after)
            return not scope.cancelled_caught

        if self.model.page(Lane.CLIENTS, [Window(chat)], after, 1):
            assert self.loop.run(is_woken)
        elif after >= self.model.head:
            assert not self.loop.run(is_woken)

    @rule()
    def stop_and_start(self) -> None:
        self.loop.run(self._stop)
        self.loop.run(self._start)

    @rule(batch=batches, after_ms=st.integers(0, 12), when=st.sampled_from([None, *When]))
    def crash(self, batch: list[ChatDraft], after_ms: int, when: When | None) -> None:
        self.fail_next = when
        is_answered = self.loop.run(lambda: self._crash_during(batch, after_ms / 1_000))
        self.fail_next = None
        self.loop.run(self._start)
        committed = copy.deepcopy(self.model)
        self._expect(committed, batch)
        if is_answered or not self._is(self.model):
            self.model = committed
        assert self._is(self.model)

    async def _crash_during(self, batch: Sequence[ChatDraft], delay_s: float) -> bool:
        answered = []

        async def submit() -> None:
            with suppress(Fatal, Stopped, Severed):
                answered.append(await self._submit(batch))

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

    def _is(self, model: Model) -> bool:
        return self._stored() == (model.head, model.entries, self._rows_of(model))

    def _stored(self) -> tuple[object, ...]:
        async def read() -> tuple[object, ...]:
            return await self.kernel.runner.read(
                lambda reader: (
                    reader.head,
                    {e.pos: e for e in reader.page(Lane.CLIENTS, None, 0, 9_999, 2**30).entries},
                    [reader.rows(table, keys) for table, keys in KEYS.items()],
                )
            )

        return self.loop.run(read)

    def _rows_of(self, model: Model) -> object:
        return [
            {key: model.rows.get((table.name, key)) for key in keys} for table, keys in KEYS.items()
        ]

    @invariant()
    def store_is_as_the_model(self) -> None:
        if self.lives:
            assert self._is(self.model)

    @invariant()
    def followers_are_as_the_model(self) -> None:
        if self.lives:
            assert self.kernel.tail.head == self.model.head
            assert self.replica.entries == self.model.entries

    def teardown(self) -> None:
        if self.lives:
            self.loop.run(self._stop)
        self.loop.close()


KEYS: dict[Table, list[Key]] = {
    CHAT: [(chat,) for chat in CHATS],
    MEMBER: [(chat, user) for chat in CHATS for user in USERS],
    VERDICT: [(number.to_bytes(16, "big"),) for number in range(1, 41)],
}

EXAMPLES = int(os.environ.get("POSTBOX_MODEL_EXAMPLES", "40"))
FEW = settings(max_examples=EXAMPLES, stateful_step_count=25)

TestKernelIsAsTheModel = KernelMachine.TestCase
TestKernelIsAsTheModel.settings = FEW


def test_the_kernel_on_postgresql_is_as_the_model(postgres: Server) -> None:
    # Fewer examples: there a commit and a start cost real time.
    run_on_postgres(KernelMachine, postgres, settings(FEW, max_examples=max(1, EXAMPLES // 6)))
