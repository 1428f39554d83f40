"""The pane of a conversation, and what one may do about a message in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.binding import Binding, BindingType

from postbox.chat.pane import Pane
from postbox.client import Message


class TalkPane(Pane):
    """Messages have keys of their own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "app.reply", show=False),
        Binding("e", "app.edit", show=False),
        Binding("d,delete", "app.delete", show=False),
        Binding("plus", "app.react", show=False),
        Binding("t", "app.again", show=False),
        Binding("x", "app.dismiss", show=False),
        Binding("escape", "app.write", show=False),
    ]


@dataclass(frozen=True)
class About:
    """What one writes is an answer to that message, or what it is to say from now on."""

    kind: Literal["reply", "edit"]
    message: Message
