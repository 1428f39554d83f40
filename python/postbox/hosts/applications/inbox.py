"""Hands what has arrived to the application's handlers, from the log: a task a host that has
something to be handled, none for the others.

Order is kept a host. What fails is tried again, later each time, also after a restart; after
`MAX_ATTEMPTS` it is a dead letter, and the next one's turn. So an event that no handler can stand
delays its own link by two minutes, and nothing else; nor can one that has no handler here, if its
type had one before or has one in another process. Types that nobody handles are passed over: they
stay in the log, and `postbox inbox` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial

import trio

from postbox.errors import Full, Unavailable, in_one_line, leaves
from postbox.hosts.applications.events import type_name
from postbox.hosts.applications.handled_types import HandledTypes
from postbox.hosts.applications.handlers import LOSS, Delivery, Handlers, Loss, Task
from postbox.hosts.applications.inbox_rules import InboxRules, Settled
from postbox.hosts.applications.transactions import Transactions
from postbox.hosts.links.due import Direction
from postbox.hosts.tables import KIND_EVENT, KIND_LOST, in_reader, in_stream
from postbox.log.admission import Admission
from postbox.log.committed import Committed
from postbox.log.outbox import LOOK_S, Due, Outbox, UnknownReader
from postbox.log.retries import Retries
from postbox.logs import get, limited
from postbox.pauses import doubled
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from postbox.store.contract import Entry
from postbox.world import Pool, World

PASS_OVER_S = 0.5
"""Without handlers what comes within it is passed over in one commit, and not batch by batch."""

PAGE_ENTRIES = 100
"""As many may be handed over again after a crash: their acknowledgement is one commit."""

MAX_ATTEMPTS = 8
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
"""Doubling: two minutes in all, over which a restart of whatever the handler needs is no loss."""

_DIRECTION = Direction(in_stream, in_reader)


class NoHandler(Exception):
    """There was one for the type, and this process has none."""


class Inbox:
    """It has to be told what is committed: `tail.follow(inbox)`."""

    def __init__(
        self,
        world: World,
        outbox: Outbox,
        admission: Admission,
        handlers: Handlers,
        types: HandledTypes,
        database: str,
    ) -> None:
        self._world = world
        self._outbox = outbox
        self._admission = admission
        self._handlers = handlers
        self._types = types
        self._database = database
        self._due: dict[str, None] = {}
        self._has_due = trio.Event()
        self._working: dict[str, trio.Event] = {}

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        for host in _DIRECTION.touched(committed):
            self._wake(host)

    async def run(self) -> None:
        """Until cancelled."""
        transactions = Transactions(self._world.disk, self._database)
        try:
            for host in await _DIRECTION.wait_all(self._outbox):
                self._wake(host)
            async with trio.open_nursery() as nursery:
                while True:
                    await self._has_due.wait()
                    due, self._due = self._due, {}
                    self._has_due = trio.Event()
                    for host in due:
                        self._working[host] = trio.Event()
                        nursery.start_soon(self._work, host, transactions)
        finally:
            self._working.clear()
            transactions.close()

    def _wake(self, host: str) -> None:
        if host in self._working:
            self._working[host].set()
        else:
            self._due[host] = None
            self._has_due.set()

    async def _work(self, host: str, transactions: Transactions) -> None:
        """Until there is nothing left to be done for this host."""
        retries = Retries()
        while host in self._working:
            woken = self._working[host] = trio.Event()
            asked_ms = self._now_ms()
            try:
                types = self._handlers.types | await self._types.noted()
                due = await self._outbox.page(in_reader(host), PAGE_ENTRIES if types else 1)
                if due.entries and not types:
                    await self._settle(host, _end_of(due), ())
                    await trio.sleep(PASS_OVER_S)
                elif due.entries:
                    await self._handle(host, due, types, transactions)
                elif due.reader.retry_ms > asked_ms:
                    await self._wait(due.reader.retry_ms, woken)
                elif not woken.is_set():
                    del self._working[host]
            except (Unavailable, Full):
                await retries.wait()
            except UnknownReader:
                del self._working[host]
            else:
                retries.succeeded()

    async def _wait(self, until_ms: int, woken: trio.Event) -> None:
        """Or until something happens to the reader, or it is time to look at the wall clock."""
        wait_s = max(0.0, (until_ms - self._now_ms()) / 1_000)
        with trio.move_on_after(min(wait_s, LOOK_S)):
            await woken.wait()

    async def _handle(
        self, host: str, due: Due, types: Set[str], transactions: Transactions
    ) -> None:
        done, handled = 0, []
        for entry in due.entries:
            try:
                if await self._hand_over(host, entry, types, transactions):
                    handled.append(entry.pos)
            except Exception as error:  # the application's, whatever it is
                if done:
                    await self._settle(host, done, handled)
                attempts = 0 if done else due.reader.attempts
                await self._failed(host, entry, attempts + 1, error)
                return
            done = entry.pos
        await self._settle(host, done, handled)

    async def _settle(self, host: str, pos: int, handled: Sequence[int]) -> None:
        draft = Settled(self._world.new_id(), in_reader(host), pos, tuple(handled))
        await self._admission.submit(InboxRules(), [draft])

    async def _failed(self, host: str, entry: Entry, attempts: int, error: Exception) -> None:
        said = in_one_line(leaves(error)) or "no reason given"
        why = f"{type(leaves(error)[0]).__name__}: {said}"
        log = limited(get("postbox.hosts.inbox"), host)
        if attempts >= MAX_ATTEMPTS:
            log.error("a handler gave an event up", of=host, number=entry.seq, why=why)
            await self._outbox.bury(in_reader(host), entry, why)
            return
        log.warning("a handler failed", of=host, number=entry.seq, attempt=attempts, why=why)
        pause_s = doubled(FIRST_RETRY_S, attempts, LAST_RETRY_S)
        at_ms = self._now_ms() + round(pause_s * 1_000)
        await self._outbox.retry(in_reader(host), entry.pos, at_ms, why)

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000

    async def _hand_over(
        self, host: str, entry: Entry, types: Set[str], transactions: Transactions
    ) -> bool:
        """Whether a row says that it was handled. `types`: that have a handler somewhere."""
        if entry.body is None:  # erased
            return False
        event = PostboxEvent.from_binary(entry.body)
        kind = _kind_of(entry, event)
        if kind not in types:
            return False
        task = self._handlers.find(kind)
        if task is None:
            raise NoHandler(
                f"this process has no handler for {kind}, and the application that runs or ran on"
                " this log has one: start it, then postbox retry HOST"
            )
        delivery = _delivery(host, entry, event, task)
        if task.handler is not None:
            await task.handler(delivery)
            return False
        assert task.in_transaction is not None
        handler = partial(task.in_transaction, delivery)
        work = partial(transactions.run, in_reader(host), entry.pos, handler)
        await self._world.threads.run(Pool.HANDLER, work)
        return True


def _kind_of(entry: Entry, event: PostboxEvent) -> str:
    """By which its handler is found; empty for what none is for."""
    if entry.kind == KIND_LOST:
        return LOSS
    if entry.kind != KIND_EVENT or event.event is None:
        return ""
    return type_name(event.event.type_url)


def _end_of(due: Due) -> int:
    """Whatever there is by now is done; a letter that was revived, by itself."""
    first = due.entries[0].pos
    return first if first <= due.reader.acknowledged else due.head


def _delivery(host: str, entry: Entry, event: PostboxEvent, task: Task) -> Delivery[object]:
    if entry.kind == KIND_LOST:
        last = event.tombstone.upto if event.tombstone is not None else event.seq
        loss = Loss(event.seq, last)
        return Delivery(host, entry.seq or 0, entry.id, event.at_ms, "", loss)
    assert event.event is not None
    message = task.read(event.event.value)
    return Delivery(host, entry.seq or 0, entry.id, event.at_ms, event.event.type_url, message)
