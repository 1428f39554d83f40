"""The queue: a batch of it is sent, and its answer is written down. And what is missing in the
middle of a conversation is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from postbox.client.acknowledging import Acknowledging
from postbox.client.clock import now_ms
from postbox.client.core.actions import RefuseOldest
from postbox.client.core.apply import Lost, page_of
from postbox.client.core.inputs import Answered, Fault, HolesFilled, NotAnswered
from postbox.client.core.outgoing import MAX_BATCH_BYTES, batch_of
from postbox.client.core.settle import NoAnswer, Verdict, settle
from postbox.client.facts import Row
from postbox.client.following import fault_of
from postbox.client.listening import Change, What
from postbox.client.news import News
from postbox.client.shelf import Shelf
from postbox.client.store.store import Hole, Store
from postbox.client.transport.contract import CallFailed, Transport
from postbox.errors import Fault as Failure
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World

PAGE_EVENTS = 200
"""The most that a host gives of a conversation at once."""


class Queue:
    def __init__(
        self, world: World, shelf: Shelf, wire: Transport, news: News, owing: Acknowledging
    ) -> None:
        self._owing = owing
        self._world = world
        self._shelf = shelf
        self._wire = wire
        self._news = news
        self._alone = ""  # the row that was offered last, if that was the only one

    async def offer(
        self, number: int, limit: int, refusal: RefuseOldest | None = None
    ) -> Answered | NotAnswered:
        """`limit` 0: only to be told which number is awaited. `refusal`: is done before."""
        rows: list[Row] = []
        try:
            if refusal is not None:
                await self._refuse(refusal)
            rows, token = await self._shelf.read(partial(_batch, limit))
            self._alone = rows[0].queued.local if len(rows) == 1 else ""
            self._owing.said()
            return await self._ask(rows[:limit], number, token)
        except CallFailed as failed:
            await self._note(rows, str(failed))
            return NotAnswered(fault_of(failed), len(rows[:limit]))
        except NoAnswer as failed:
            await self._note(rows, str(failed))
            return NotAnswered(Fault("INTERNAL", str(failed)), len(rows[:limit]))
        except Failure as failed:
            return NotAnswered(Fault("STORE", str(failed)), len(rows[:limit]))

    async def _ask(self, rows: list[Row], number: int, token: str) -> Answered:
        message = batch_of([row.body for row in rows], number, token)
        return await self._settle(rows, await self._wire.submit(message))

    async def _settle(self, rows: list[Row], answer: bytes) -> Answered:
        verdict = settle([row.sent_as for row in rows], answer)
        left = await self._shelf.write(partial(_settled, verdict))
        self._news.moved(row.queued for row in rows)
        return Answered(left, verdict.next_number)

    async def _note(self, rows: list[Row], error: str) -> None:
        """So that a row can say why it is still there. A device that cannot write it down knows it
        all the same."""
        at_ms, locals_ = now_ms(self._world.clock), [row.queued.local for row in rows]
        if not rows:
            return
        with suppress(Failure):
            await self._shelf.write(lambda store: store.tried(locals_, error, at_ms))

    async def _refuse(self, refusal: RefuseOldest) -> None:
        local = self._alone
        await self._shelf.write(lambda store: store.refuse(local, refusal.code, refusal.detail))
        self._news.listeners.tell(Change(What.QUEUE))

    async def fill_holes(self) -> HolesFilled:
        """Page by page, as far as there are answers; what is not answered stays."""
        left, asked = 1, set[Hole]()  # one, if the device cannot even look
        with suppress(Failure):
            while holes := await self._shelf.read(lambda store: _others(store.holes(), asked)):
                asked.update(holes)
                for hole in holes:
                    with suppress(Failure):
                        await self.older(hole.conversation, hole.before)
            left = len(await self._shelf.read(lambda store: store.holes()))
        return HolesFilled(left)

    async def older(self, conversation: str, before_seq: int, limit: int = PAGE_EVENTS) -> bool:
        """A page of what was said before that number; whether there is more. Raises CallFailed and
        the faults of the store."""
        request = pb.HistoryRequest(
            conversationUuid=conversation, beforeSeq=before_seq, limit=limit
        )
        answer = await self._wire.history(request.to_binary())
        try:
            page = page_of(answer)
        except Lost as lost:
            raise CallFailed("INTERNAL", str(lost)) from lost
        at_ms = now_ms(self._world.clock)
        await self._shelf.write(
            lambda store: store.take_history(
                conversation, page.changes, before_seq, page.lowest, page.has_more, at_ms
            )
        )
        self._news.heard(page.changes)
        return page.has_more


def _others(holes: Iterable[Hole], asked: set[Hole]) -> list[Hole]:
    """A hole of which a page was got is another one."""
    return [hole for hole in holes if hole not in asked]


def _batch(limit: int, store: Store) -> tuple[list[Row], str]:
    """One at least, to be able to say what it waits for."""
    return list(store.batch(max(limit, 1), MAX_BATCH_BYTES).rows), store.place().token


def _settled(verdict: Verdict, store: Store) -> int:
    return store.settle(verdict.settlements, verdict.next_number)
