"""The pane of a conversation, and what one may do about a message in it."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from postbox.chat import drawing
from postbox.chat.desk import Desk, Room
from postbox.chat.dialogs import Field, Listed
from postbox.chat.front import Front
from postbox.chat.pane import Pane
from postbox.chat.writing import About, Writing
from postbox.client import Message, State

REACTION = "👍"


class TalkPane(Pane):
    """Messages have keys of their own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reply", show=False),
        Binding("e", "edit", show=False),
        Binding("d,delete", "delete", show=False),
        Binding("plus", "react", show=False),
        Binding("t", "again", show=False),
        Binding("x", "dismiss", show=False),
        Binding("escape", "app.write", show=False),
    ]

    def __init__(self, front: Front, desk: Desk, writing: Writing, *, id: str) -> None:
        super().__init__(id=id, has_end=True)
        self._front = front
        self._desk = desk
        self._writing = writing

    @on(Pane.Taken)
    async def _show_whole(self, event: Pane.Taken) -> None:
        room = self._desk.room
        message = room.message(event.key) if room else None
        if room is not None and message is not None:
            await self._front.do(self._show(message, room))

    async def _show(self, message: Message, room: Room) -> None:
        why = await self._desk.client.why(message.key)
        self._front.show(Listed("Message", drawing.whole(message, room, why)))

    async def action_reply(self) -> None:
        message = self._message()
        if message is not None:
            await self._write(About("reply", message))

    async def action_edit(self) -> None:
        message = self._own()
        if message is not None:
            await self._write(About("edit", message))

    async def _write(self, about: About) -> None:
        self._writing.write(about)
        await self.run_action("app.write")

    def action_delete(self) -> None:
        message = self._own()
        if message is not None:
            delete = partial(self._desk.client.delete, message)
            self._front.confirm(delete, "Delete it for everybody?")

    def action_react(self) -> None:
        message = self._message()
        if message is not None:
            field = Field("With what? The same again takes it back", REACTION)
            self._front.ask(partial(self._desk.toggle, message), "React", field)

    async def action_again(self) -> None:
        message = self._failed()
        if message is not None:
            await self._front.do(self._desk.client.again(message.key))

    async def action_dismiss(self) -> None:
        message = self._failed()
        if message is not None:
            await self._front.do(self._desk.client.dismiss(message.key))

    def _message(self) -> Message | None:
        return self._desk.room.message(self.chosen) if self._desk.room else None

    def _own(self) -> Message | None:
        message = self._message()
        if message is not None and message.author != self._desk.client.user:
            self._front.tell("Only its author can do that.")
            return None
        return message

    def _failed(self) -> Message | None:
        message = self._message()
        if message is not None and message.state is not State.FAILED:
            self._front.tell("It did not fail.")
            return None
        return message
