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


@dataclass(frozen=True)
class About:
    """What one writes is an answer to that message, or what it is to say from now on."""

    kind: Literal["reply", "edit"]
    message: Message


@dataclass(frozen=True)
class Half:
    """Half written."""

    text: str
    about: About | None = None


class Writing(Vertical):
    class Sent(Told):
        """It is on the device for good."""

    def __init__(self, front: Front, desk: Desk, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._front = front
        self._desk = desk
        self._about: About | None = None
        self._halves: dict[str, list[Half]] = {}  # by conversation; the last goes on first
        self._bar = Bar(id="about")
        self.composer = Composer(id="composer")

    def compose(self) -> ComposeResult:
        yield self._bar
        with Horizontal(id="line"):
            yield Bar(drawing.PROMPT, id="prompt")
            yield self.composer

    def leave(self) -> None:
        """The room that is open, for another one. What was typed without one comes along."""
        room = self._desk.room
        if room is not None:
            self._put_away(room)
            self._desk.client.stopped_typing(room.conversation)
        elif self._about is not None:  # the room is gone
            self._drop()

    def enter(self) -> None:
        """The room that is open now."""
        if self._desk.room is not None:
            self._take_up(self._desk.room)

    def write(self, about: About) -> None:
        is_edit = about.kind == "edit"
        if self._desk.room is not None and (is_edit or self._is_edit):
            self._put_away(self._desk.room)
        self._go_on(Half(about.message.text if is_edit else "", about))

    @property
    def _is_edit(self) -> bool:
        return self._about is not None and self._about.kind == "edit"

    def _put_away(self, room: Room) -> None:
        self._keep(room, Half(self.composer.text, self._about))
        self._drop()

    def _keep(self, room: Room, half: Half) -> None:
        if half.text.strip():
            self._halves.setdefault(room.key, []).append(half)

    def _take_up(self, room: Room) -> None:
        halves = self._halves.get(room.key)
        if halves and self._about is None:
            self._go_on(halves.pop())
        if not halves:
            self._halves.pop(room.key, None)

    def _go_on(self, half: Half) -> None:
        """What was typed meanwhile comes behind it."""
        self.composer.put(half.text + self.composer.text)
        if half.about is not None:
            self._about = half.about
            self._bar.show(drawing.about(half.about.kind, half.about.message))
            self._bar.add_class("-shown")

    def _drop(self) -> None:
        self.composer.put("")
        self._drop_about()

    def _drop_about(self) -> None:
        self._about = None
        self._bar.remove_class("-shown")

    @on(Composer.Sent)
    async def _sent(self, event: Composer.Sent) -> None:
        room, half = self._desk.room, Half(event.text, self._about)
        self._drop_about()
        if room is None:
            self._front.tell("Open a conversation, or begin one: Ctrl+N")
            self._go_on(half)
        elif await self._front.do(self._send(room, half.about, half.text.rstrip())):
            room.new_after = None
            self.post_message(self.Sent())
        else:
            self._keep(room, half)
        self.enter()

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
        if room is None or self._is_edit:
            return
        if event.text_area.text:
            client.typing(room.conversation)
        else:
            client.stopped_typing(room.conversation)

    @on(Composer.Dropped)
    def _dropped(self, event: Composer.Dropped) -> None:
        """A reply, or an edit; if there is none, it is for who has the rest of the screen."""
        if self._about is None:
            return
        event.stop()
        if self._is_edit:
            self._drop()
            self.enter()
        else:
            self._drop_about()
