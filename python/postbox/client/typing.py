"""That the user types: told while there is a connection, and forgotten otherwise."""

from __future__ import annotations

from contextlib import suppress

from anyio.abc import TaskGroup

from postbox.client.core.outgoing import typing
from postbox.client.news import News
from postbox.client.shelf import Shelf
from postbox.client.transport.contract import CallFailed, Transport
from postbox.errors import Fault
from postbox.world import Clock

EVERY_S = 4.0
"""It lasts 10 s at the others', so one that is lost in between does no harm."""


class OwnTyping:
    def __init__(
        self, clock: Clock, shelf: Shelf, wire: Transport, news: News, tasks: TaskGroup
    ) -> None:
        self._clock = clock
        self._shelf = shelf
        self._wire = wire
        self._news = news
        self._tasks = tasks
        self._told_s: dict[str, float] = {}  # by conversation; of those where it is not over

    def tell(self, key: str, *, is_over: bool) -> None:
        """`key`: of a conversation."""
        now_s, told_s = self._clock.elapsed_s(), self._told_s.get(key)
        if not self._news.status.is_live:
            return
        if is_over and self._told_s.pop(key, None) is not None:
            self._tasks.start_soon(self._tell, key, True)
        elif not is_over and (told_s is None or now_s - told_s >= EVERY_S):
            self._told_s[key] = now_s
            self._tasks.start_soon(self._tell, key, False)

    def sent(self, *keys: str) -> None:
        """A message: by it all know that it is over."""
        for key in keys:
            self._told_s.pop(key, None)

    async def _tell(self, key: str, is_over: bool) -> None:
        """One that is lost is said again, or is over by itself."""
        with suppress(CallFailed, Fault):
            found = await self._shelf.read(lambda store: store.conversation(key))
            if found is not None and found.uuid:
                await self._wire.submit(typing(found.uuid, is_over))
