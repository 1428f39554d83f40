"""What an app is told of: the names of what changed, and not the content, which it asks for.

A listener that reads slowly costs little: what changed twice is told once, and behind so many
different names there is one that says "everything". None of them is ever lost.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import TypeAlias

import anyio
import anyio.lowlevel
from msgspec import Struct

from postbox.client.errors import CLOSED, Closed

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
    """`conversation`: its key. `uuid`: the key of the message, or the uuid of the user; empty if
    there are many, or none, or it is there no more."""

    what: What
    conversation: str = ""
    uuid: str = ""


EVERYTHING = Change(What.ALL)


class Listener:
    """What changed and was not taken yet, as the host names it."""

    def __init__(self) -> None:
        self.waiting: dict[Change, None] = {}
        self.is_over = False
        self._moved = anyio.Event()

    async def wait(self) -> bool:
        """Until something waits. False: the client is closed, and nothing does."""
        await anyio.lowlevel.checkpoint()
        while not self.waiting and not self.is_over:
            await self._moved.wait()
        return bool(self.waiting)

    async def changed(self) -> None:
        """Until anything changes; all that has counts as taken. Raises Closed."""
        if not await self.wait():
            raise Closed(CLOSED)
        self.waiting.clear()

    def tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if EVERYTHING not in self.waiting:
                self.waiting[change] = None
            if len(self.waiting) > MOST_NAMES:
                self.waiting = {EVERYTHING: None}
        self._move()

    def end(self) -> None:
        self.is_over = True
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()


Naming: TypeAlias = Callable[[Sequence[Change]], Awaitable[Iterable[Change]]]
"""The same, with keys for names. Raises Closed."""


class Changes:
    """An iterator of what changes from when it was made on. It ends when its client is closed."""

    def __init__(self, listener: Listener, naming: Naming) -> None:
        self._listener = listener
        self._naming = naming
        self._named: dict[Change, None] = {}

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        """Who is cancelled here has missed nothing. Raises the faults of the device's file."""
        while not self._named:
            if not await self._listener.wait():
                raise StopAsyncIteration
            await self._name()
        change = next(iter(self._named))
        del self._named[change]
        return change

    async def _name(self) -> None:
        """All that waits, by one look."""
        several = list(self._listener.waiting)
        try:
            named = await self._naming(several)
        except Closed:
            raise StopAsyncIteration from None
        for each in several:
            self._listener.waiting.pop(each, None)
        self._named.update(dict.fromkeys(named))


class Listeners:
    """All that listen to one client. Whoever drops its listener listens no more."""

    def __init__(self) -> None:
        self._all: list[weakref.ref[Listener]] = []
        self.are_over = False

    def listen(self) -> Listener:
        made = Listener()
        self._all.append(weakref.ref(made))
        if self.are_over:
            made.end()
        return made

    def tell(self, *changes: Change) -> None:
        for listener in self._living():
            listener.tell(changes)

    def end(self) -> None:
        self.are_over = True
        for listener in self._living():
            listener.end()

    def _living(self) -> list[Listener]:
        living = [listener for each in self._all if (listener := each()) is not None]
        self._all = [weakref.ref(listener) for listener in living]
        return living
