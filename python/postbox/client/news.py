"""From what may have changed in what a device knows, to what an app is told of it: names. And how
the connection is, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.client.changed import names_of, names_of_row
from postbox.client.core import changes as core
from postbox.client.errors import Displaced, SignInNeeded
from postbox.client.facts import Queued
from postbox.client.listening import Change, Listeners, What
from postbox.client.nearby import Nearby

Connection: TypeAlias = Literal[
    "stopped", "offline", "connecting", "catching up", "live", "needs sign-in", "displaced"
]


class Status(Struct, frozen=True):
    """Of the connection. What the user does is taken in every one of them.

    `why`: the code of what is wrong, as docs/protocol/clients.md has them; UNREACHABLE: there is no
    answer; STORE: this device cannot write. `text`: the same for people, and what to do. `next_s`:
    when it is tried again, on the clock of `client.now_s()`; None: nothing is waited for, or the
    user is.
    """

    connection: Connection = "connecting"
    why: str = ""
    text: str = ""
    next_s: float | None = None

    @property
    def is_live(self) -> bool:
        """What others do is told within a moment."""
        return self.connection == "live"


class News:
    """What passes, and to whom it is told."""

    def __init__(self, user: str, now_s: Callable[[], float]) -> None:
        """`user`: whose device it is."""
        self._user = user
        self.listeners = Listeners()
        self.nearby = Nearby(now_s, self.listeners.tell)
        self.status = Status()
        self.has_caught_up = False

    def check_that_it_goes_on(self) -> None:
        """Without the user or the app. Raises SignInNeeded and Displaced."""
        if self.status.connection == "needs sign-in":
            raise SignInNeeded(self.status.text)
        if self.status.connection == "displaced":
            raise Displaced(
                "another stream of this device is live, in another process or from a copy of its "
                "file: client.take_over() takes it back"
            )

    def is_now(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self.listeners.tell(Change(What.STATUS))

    def heard(self, changes: Iterable[core.Change]) -> None:
        """They were committed."""
        for change in changes:
            if isinstance(change, core.MessageCame):
                self.nearby.said(change.conversation, change.author)
            self.listeners.tell(*names_of(change))

    def moved(self, rows: Iterable[Queued]) -> None:
        """Of the queue: they came, or became something else."""
        for row in rows:
            self.listeners.tell(*names_of_row(row, self._user))

    def passed(self, passing: Iterable[core.Passing]) -> None:
        for each in passing:
            match each:
                case core.Typing(conversation, user, ttl_ms):
                    self.nearby.heard(conversation, user, ttl_ms)
                case core.Connected(user, ttl_ms):
                    self.nearby.heard("", user, ttl_ms)
