"""Who is in the open conversation, and what one does with it."""

from __future__ import annotations

from functools import partial

from postbox.chat import drawing
from postbox.chat.desk import Desk, Room
from postbox.chat.dialogs import Act, Answer, Field, Listed
from postbox.chat.front import Front

ACTS = (Act("a", "add"), Act("r", "rename"), Act("l", "leave"), Act("n", "your name"))


class People:
    def __init__(self, front: Front, desk: Desk) -> None:
        self._front = front
        self._desk = desk
        self._screen: Listed | None = None

    def show(self) -> None:
        if self._desk.room is not None:
            title = self._desk.title(self._desk.room.conversation)
            self._screen = Listed(title, drawing.people(self._desk), ACTS)
            self._front.show(self._screen, self._do)

    def draw(self) -> None:
        if self._screen is not None and self._screen.is_current:
            self._screen.show(drawing.people(self._desk))

    async def _do(self, answer: Answer | None) -> None:
        room = self._desk.room
        if answer is None or room is None:
            return
        match answer.act:
            case "add":
                self._front.ask(partial(self._add, room), "Add somebody", Field("Who? A name"))
            case "rename":
                old = Field("A new name", room.conversation.name)
                self._front.ask(partial(self._rename, room), "Rename the conversation", old)
            case "leave":
                question = f"Leave {self._desk.title(room.conversation)}?"
                self._front.confirm(partial(self._desk.client.leave, room.conversation), question)
            case _:
                field = Field("As others see it")
                self._front.ask(self._desk.client.set_name, "Your name", field)

    async def _add(self, room: Room, user: str) -> None:
        if user.strip():
            await self._desk.client.add(room.conversation, user.strip())

    async def _rename(self, room: Room, name: str) -> None:
        """Not over a name that somebody gave it meanwhile."""
        found = room.conversation
        await self._desk.client.rename(found, name.strip(), found.change)
