"""What waits in the queue and why, and what was refused: to be tried again, or dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from postbox.chat import drawing, wording
from postbox.chat.desk import Desk
from postbox.chat.dialogs import Act, Answer, Listed
from postbox.chat.front import Front
from postbox.chat.pane import Make
from postbox.client import NotByItself

ACTS = (Act("t", "try again", is_of_one=True), Act("x", "drop", is_of_one=True))


class Waiting:
    def __init__(self, front: Front, desk: Desk) -> None:
        self._front = front
        self._desk = desk
        self._screen: Listed | None = None

    async def show(self) -> None:
        await self._front.do(self._show())

    async def draw(self) -> None:
        if self._screen is not None and self._screen.is_current:
            await self._front.do(self._draw(self._screen))

    async def _show(self) -> None:
        self._screen = Listed("What waits, and why", await self._made(), ACTS, self._do)
        self._front.show(self._screen)

    async def _draw(self, screen: Listed) -> None:
        screen.show(await self._made())

    async def _made(self) -> Make:
        return drawing.queue(await self._desk.waiting())

    async def _do(self, answer: Answer) -> str:
        client = self._desk.client
        refused = {row.local for row in self._desk.queue if wording.is_refused(row)}
        if answer.key not in refused:
            return "It was not refused: it goes by itself."
        act: Callable[[str], Awaitable[object]]
        act = self._drop if answer.act == "drop" else client.again
        return await self._front.why_not(act(answer.key))

    async def _drop(self, key: str) -> None:
        try:
            await self._desk.client.dismiss(key)
        except NotByItself:  # a conversation, and something was written in it
            drop = partial(self._desk.client.dismiss, key, whole=True)
            self._front.confirm(drop, "Drop it, with all that was written in it?", is_over=True)
