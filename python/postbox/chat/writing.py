"""Where one writes, and about what: a message, an answer to one, or what one is to say from now on.
What is half written stays with its conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message as Told
from textual.widgets import TextArea

from postbox.chat import drawing
from postbox.chat.bar import Bar
from postbox.chat.composer import Composer
from postbox.chat.desk import Desk, Room
from postbox.chat.front import Front
from postbox.client import Message

DRAFTS = 100
"""Conversations in which something half written is kept: more than anybody leaves half written."""


@dataclass(frozen=True)
class About:
    """What one writes is an answer to that message, or what it is to say from now on."""

    kind: Literal["reply", "edit"]
    message: Message


class Writing(Vertical):
    class Sent(Told):
        """It is on the device for good."""

    def __init__(self, front: Front, desk: Desk, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._front = front
        self._desk = desk
        self._about: About | None = None
        self._drafts: dict[str, str] = {}
        self._bar = Bar(id="about")
        self.composer = Composer(id="composer")

    def compose(self) -> ComposeResult:
        yield self._bar
        with Horizontal(id="line"):
            yield Bar(drawing.PROMPT, id="prompt")
            yield self.composer

    def leave(self) -> None:
        """The room that is open, for another one."""
        self._drop_about()
        room, text = self._desk.room, self.composer.text
        if room is not None and text.strip() and len(self._drafts) < DRAFTS:
            self._drafts[room.key] = text

    def enter(self, key: str) -> None:
        """The room that is open now."""
        self.composer.put(self._drafts.pop(key, ""))

    def write(self, about: About) -> None:
        self._about = about
        if about.kind == "edit":
            self.composer.put(about.message.text)
        self._bar.show(drawing.about(about.kind, about.message))
        self._bar.add_class("-shown")

    def _drop_about(self) -> None:
        self._about = None
        self._bar.remove_class("-shown")

    @on(Composer.Sent)
    async def _sent(self, event: Composer.Sent) -> None:
        room, about, text = self._desk.room, self._about, event.text.rstrip()
        self._drop_about()
        if room is None:
            self._front.tell("Open a conversation, or begin one: Ctrl+N")
        elif await self._front.do(self._send(room, about, text)):
            room.new_after = None
            self.post_message(self.Sent())
            return
        self.composer.put(event.text + self.composer.text)

    async def _send(self, room: Room, about: About | None, text: str) -> None:
        client = self._desk.client
        match about:
            case About("edit", message):
                await client.edit(message, text, message.change)
            case About("reply", message):
                await client.send(room.conversation, text, message)
            case _:
                await client.send(room.conversation, text)

    @on(TextArea.Changed)
    def _typed(self, event: TextArea.Changed) -> None:
        room, client = self._desk.room, self._desk.client
        if room is None or (self._about is not None and self._about.kind == "edit"):
            return
        if event.text_area.text:
            client.typing(room.conversation)
        else:
            client.stopped_typing(room.conversation)

    @on(Composer.Dropped)
    def _dropped(self, event: Composer.Dropped) -> None:
        """A reply, or an edit; if there is none, it is for who has the rest of the screen."""
        if self._about is not None:
            event.stop()
            if self._about.kind == "edit":
                self.composer.put("")
        self._drop_about()
