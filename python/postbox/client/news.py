"""From what may have changed in what a device knows, to what an app is told of it: names. And how
the connection is, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.client.core import changes as core
from postbox.client.errors import Displaced, SignInNeeded
from postbox.client.facts import Queued
from postbox.client.listening import EVERYTHING, Change, Listeners, What
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

    def __init__(self, now_s: Callable[[], float]) -> None:
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

    def passed(self, passing: Iterable[core.Passing]) -> None:
        for each in passing:
            match each:
                case core.Typing(conversation, user, ttl_ms):
                    self.nearby.heard(conversation, user, ttl_ms)
                case core.Connected(user, ttl_ms):
                    self.nearby.heard("", user, ttl_ms)


_PLAIN: Mapping[type[core.Change], tuple[Change]] = {
    core.SnapshotEnded: (EVERYTHING,),
    core.KeptAgain: (EVERYTHING,),
    core.Settled: (Change(What.QUEUE),),
    core.CaughtUp: (Change(What.QUEUE),),
    core.GuildEntered: (Change(What.GUILDS),),
    core.GuildExited: (Change(What.GUILDS),),
    core.InviteCame: (Change(What.INVITES),),
    core.InviteDecided: (Change(What.INVITES),),
}


def names_of(change: core.Change) -> Iterator[Change]:
    """What an app shows of it; of what is the library's own affair nothing."""
    match change:
        case (
            core.UserMet(user=user)
            | core.DisplayNameChanged(user=user)
            | core.PictureChanged(user=user)
        ):
            yield Change(What.USER, uuid=user)
        case core.MemberCame(room, user) | core.MemberWent(room, user):
            yield Change(What.MEMBERS, room, user)
        case core.MessageCame(room, message):
            yield from (Change(What.MESSAGE, room, message), Change(What.CONVERSATION, room))
        case core.ReadUpTo(room) | core.DeliveredUpTo(room):
            yield from (Change(What.MESSAGE, room), Change(What.CONVERSATION, room))
        case (
            core.MessageEdited(room, message)
            | core.MessageDeleted(room, message)
            | core.ReactionAdded(room, message)
            | core.ReactionRemoved(room, message)
            | core.NumberErased(room, message)
        ):
            yield Change(What.MESSAGE, room, message)
        case (
            core.ConversationBegun(room)
            | core.ConversationMade(room)
            | core.ConversationRenamed(room)
            | core.ConversationForgotten(room)
        ):
            yield Change(What.CONVERSATION, room)
        case core.ForeignCame(room, event):
            yield from (Change(What.CUSTOM, room, event), Change(What.CONVERSATION, room))
        case _:
            yield from _PLAIN.get(type(change), ())


def names_of_row(queued: Queued) -> list[Change]:
    """What is seen of a row of the queue, when it comes or becomes something else."""
    about = queued.target or queued.local
    return [
        Change(What.QUEUE),
        Change(What.MESSAGE if queued.kind else What.CUSTOM, queued.conversation, about),
        Change(What.CONVERSATION, queued.conversation),
    ]
