"""The only way into the log: whatever waits is decided and committed together, then answered.

Promises: an answer, and a follower's `applied`, come after the commit and never before; followers
come before answers. There is no timer: a batch is what arrived while the one before was committed.
A caller that is cancelled before its drafts were taken leaves no trace; after that its drafts are
committed and its answer is dropped. Refusals are values. A bug of a door costs the draft it
struck; a lost connection costs time; a full disk costs the batch, with a clear fault; a disk that
does not keep what it was given stops the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar, cast

import outcome
import trio

from postbox.errors import DraftFault, Fatal, Fault, Full, Stopped, Unavailable, Violation
from postbox.log.committed import committed
from postbox.log.plan import Numbers, Plan, has_landed, plan_batch
from postbox.log.retries import Retries
from postbox.log.tail import Tail
from postbox.log.waiting import Call, Failed, Piece, Waiting
from postbox.logs import get, limited
from postbox.rules import Draft, Outcome, Rules
from postbox.store.contract import Tx
from postbox.store.runner import StoreRunner
from postbox.world import Clock

D = TypeVar("D", bound=Draft)


class Admission:
    def __init__(self, clock: Clock, store: StoreRunner, tail: Tail) -> None:
        self._clock = clock
        self._store = store
        self._tail = tail
        self._numbers = Numbers()
        self._waiting = Waiting()
        self._calls: dict[Call, None] = {}  # not answered yet
        self._work = trio.Event()
        self._stopped: Fault | None = None
        self.is_held_up = False
        """Whether the database is away, so that drafts wait for it."""
        self._failing = limited(get("postbox.log.admission"), "store")

    async def submit(self, rules: Rules[D], drafts: Sequence[D]) -> list[Outcome]:
        """What became of each draft, in order, once it is durable.

        Drafts of one payer are decided in order. Raises DraftFault if rules raised on some of
        them, Full if the disk is (drafts of earlier batches are stored: submit all again when
        there is room), Stopped or Fatal if the writer does not run any more.
        """
        if self._stopped is not None:
            raise self._stopped
        if not drafts:
            await trio.lowlevel.checkpoint()
            return []
        call = Call(rules, drafts, trio.lowlevel.current_task())
        self._waiting.add(call)
        self._calls[call] = None
        self._work.set()
        # Parked by hand, since an Event a call would be a third of what a draft costs.
        abort = partial(_abort, self._waiting, self._calls, call)
        outcomes: list[Outcome] = await trio.lowlevel.wait_task_rescheduled(abort)
        return outcomes

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The writer, one task. Ends by cancellation or a Fatal fault; who still waits is told."""
        fault: Fault = Stopped(
            "the node is stopping; whether the event was stored is not known. Submit it again"
            " when the node runs: its id makes that harmless"
        )
        task_status.started()
        try:
            while True:
                await self._wait_work()
                await self._commit(self._waiting.take())
        except Fatal as fatal:
            fault = fatal
            raise
        finally:
            self._stop(fault)

    async def _wait_work(self) -> None:
        if not self._waiting.drafts:
            self._work = trio.Event()
            await self._work.wait()

    async def _commit(self, batch: list[Piece]) -> None:
        plans: list[Plan] = []
        now_ns = self._clock.now_ns()  # once: every try of a batch plans the same
        retries = Retries()
        while True:
            try:
                plan, turn = await self._store.write(partial(self._plan, batch, plans, now_ns))
            except Unavailable as fault:
                self.is_held_up = True
                self._failing.warning("what came in waits for the database", why=str(fault))
                await retries.wait()
            except Violation as error:
                self.is_held_up = False
                await self._isolate(batch, error)
                return
            except Full as error:
                self.is_held_up = False
                self._answer(batch, [Failed(error)] * _count(batch), has_failed=True)
                return
            else:
                await self._publish(plan, turn)
                self._answer(batch, plan.outcomes, plan.has_failed)
                return

    def _plan(self, batch: list[Piece], plans: list[Plan], now_ns: int, tx: Tx) -> tuple[Plan, int]:
        """In the writer's thread, inside the transaction; with the turn in which the plan is
        committed. A try whose commit was not answered may have been committed, in a turn that is
        not known (0): then what it planned is what became of the drafts."""
        for earlier in plans:
            if has_landed(earlier, tx):
                return earlier, 0
        items = [
            (piece.call.rules, draft)
            for piece in batch
            for draft in piece.call.drafts[piece.start : piece.stop]
        ]
        plan = plan_batch(items, tx, self._numbers, now_ns)
        plans[:] = [plan]  # the one before has not landed, and no longer can: we hold the sequencer
        if not plan.change.is_empty():
            tx.apply(plan.change)
        return plan, tx.turn

    async def _publish(self, plan: Plan, turn: int) -> None:
        """Until this process knows what was committed, and what a duplicate is one of."""
        self._numbers.commit(plan.head)
        retries = Retries()
        while True:
            try:
                if not plan.change.is_empty():
                    await self._tail.publish(committed(plan.change, plan.head), turn)
                elif plan.head > self._tail.head:
                    await self._tail.catch_up()
                self.is_held_up = False
                return
            except Unavailable:
                self.is_held_up = True
                await retries.wait()

    async def _isolate(self, batch: list[Piece], error: Violation) -> None:
        """A constraint fired, which is a bug: halved until the culprit stands alone."""
        if _count(batch) == 1:
            self._answer(batch, [Failed(error)], has_failed=True)
            return
        singles = [piece for taken in batch for piece in _singles(taken)]
        middle = len(singles) // 2
        await self._commit(singles[:middle])
        await self._commit(singles[middle:])

    def _answer(
        self, batch: list[Piece], outcomes: Sequence[Outcome | Failed], has_failed: bool
    ) -> None:
        at = 0
        for piece in batch:
            call = piece.call
            count = piece.stop - piece.start
            call.outcomes[piece.start : piece.stop] = outcomes[at : at + count]
            at += count
            call.left -= count
            call.has_failed |= has_failed
            if not call.left and call.task is not None:
                del self._calls[call]
                trio.lowlevel.reschedule(call.task, _answer_of(call))

    def _stop(self, fault: Fault) -> None:
        self._stopped = fault
        for call in self._calls:
            trio.lowlevel.reschedule(call.task, outcome.Error(fault))
        self._calls.clear()


def _abort(
    waiting: Waiting, calls: dict[Call, None], call: Call, _raise_cancel: object
) -> trio.lowlevel.Abort:
    waiting.drop(call)
    del calls[call]
    call.task = None
    return trio.lowlevel.Abort.SUCCEEDED


def _count(batch: list[Piece]) -> int:
    return sum(piece.stop - piece.start for piece in batch)


def _singles(piece: Piece) -> list[Piece]:
    return [Piece(piece.call, at, at + 1) for at in range(piece.start, piece.stop)]


def _answer_of(call: Call) -> outcome.Outcome[list[Outcome]]:
    if not call.has_failed:
        return outcome.Value(cast("list[Outcome]", call.outcomes))
    errors = {at: result.error for at, result in enumerate(call.outcomes) if type(result) is Failed}
    if not errors:
        return outcome.Value(cast("list[Outcome]", call.outcomes))
    for error in errors.values():
        if isinstance(error, Full):
            return outcome.Error(error)
    dealt = [None if type(result) is Failed else result for result in call.outcomes]
    return outcome.Error(DraftFault(errors, dealt))
