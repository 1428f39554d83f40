"""Where one writes: Enter sends, Ctrl+J begins a line."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea


class Composer(TextArea):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j", "new_line", show=False, priority=True),
    ]

    class Sent(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Up in the first line: to the messages."""

    class Dropped(Message):
        """Escape."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        self.cursor_blink = False  # nothing is drawn while nothing happens

    async def _on_key(self, event: Key) -> None:
        match event.key:
            case "enter":
                self._take(event)
                self._send()
            case "escape":
                self._take(event)
                self.post_message(self.Dropped())
            case "up" if self.cursor_at_first_line:
                self._take(event)
                self.post_message(self.Left())
            case _:
                await super()._on_key(event)

    def _send(self) -> None:
        """It is empty at once: what is typed while this is written to disk is another message."""
        text = self.text
        if text.strip():
            self.put("")
            self.post_message(self.Sent(text))

    def _take(self, event: Key) -> None:
        event.stop()
        event.prevent_default()

    def action_new_line(self) -> None:
        self.insert("\n")

    def put(self, text: str) -> None:
        """In place of what is there, with the cursor behind it. Nobody typed it."""
        with self.prevent(TextArea.Changed):
            self.load_text(text)
        self.move_cursor(self.document.end)
