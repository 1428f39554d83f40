"""What an app is told of: the names of what changed, and not the content, which it asks for.

A listener that reads slowly costs little: what changed twice is told once, and behind so many
different names there is one that says "everything". None of them is ever lost.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from enum import Enum

import anyio
import anyio.lowlevel
from msgspec import Struct

MOST_NAMES = 1_000
"""That wait for one listener: a screen asks anew for what it shows long before that."""


class What(Enum):
    CONVERSATION = "conversation"  # its name, its counts, or that it is there, or no more
    MEMBERS = "members"  # of a conversation
    MESSAGE = "message"  # its text, state or reactions, or that it is there
    CUSTOM = "custom"  # an event of a kind that is an application's
    USER = "user"  # a name or a picture
    GUILDS = "guilds"
    INVITES = "invites"
    QUEUE = "queue"  # what waits to be sent, or was refused
    TYPING = "typing"  # in a conversation
    CONNECTED = "connected"
    STATUS = "status"  # of the connection
    ALL = "all"  # anything: ask anew for all that you show


class Change(Struct, frozen=True):
    """`conversation`: by uuid, or as it is called while it is queued. `uuid`: of the message, or
    of the user; empty if there are many, or none."""

    what: What
    conversation: str = ""
    uuid: str = ""


EVERYTHING = Change(What.ALL)


class Changes:
    """An iterator of what changes from when it was made on. It ends when its client is closed."""

    def __init__(self) -> None:
        self._waiting: dict[Change, None] = {}
        self._is_over = False
        self._moved = anyio.Event()

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        await anyio.lowlevel.checkpoint()
        while not self._waiting:
            if self._is_over:
                raise StopAsyncIteration
            await self._moved.wait()
        change = next(iter(self._waiting))
        del self._waiting[change]
        return change

    def tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if EVERYTHING not in self._waiting:
                self._waiting[change] = None
            if len(self._waiting) > MOST_NAMES:
                self._waiting = {EVERYTHING: None}
        self._move()

    def end(self) -> None:
        self._is_over = True
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


class Listeners:
    """All that listen to one client. Whoever drops its iterator listens no more."""

    def __init__(self) -> None:
        self._all: list[weakref.ref[Changes]] = []
        self._is_over = False

    def listen(self) -> Changes:
        made = Changes()
        self._all.append(weakref.ref(made))
        if self._is_over:
            made.end()
        return made

    def tell(self, *changes: Change) -> None:
        for listener in self._living():
            listener.tell(changes)

    def end(self) -> None:
        self._is_over = True
        for listener in self._living():
            listener.end()

    def _living(self) -> list[Changes]:
        living = [listener for each in self._all if (listener := each()) is not None]
        self._all = [weakref.ref(listener) for listener in living]
        return living
