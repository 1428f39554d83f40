"""What an app is told of what changed: names. Those that the host and the queue have for it, and
the keys by which an app knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from postbox.client.core import changes as core
from postbox.client.facts import Queued
from postbox.client.listening import EVERYTHING, Change, What
from postbox.client.shelf import Shelf

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
        case core.ForeignCame("", event):  # for the user's own devices
            yield Change(What.CUSTOM, uuid=event)
        case core.ForeignCame(room, event):
            yield from (Change(What.CUSTOM, room, event), Change(What.CONVERSATION, room))
        case _:
            yield from _PLAIN.get(type(change), ())


_OF_ROWS: Mapping[str, What] = {
    "": What.CUSTOM,
    "conversationCreated": What.CONVERSATION,
    "conversationNameChanged": What.CONVERSATION,
    "memberJoined": What.MEMBERS,
    "memberLeft": What.MEMBERS,
    "displayNameChanged": What.USER,
    "profilePictureChanged": What.USER,
    "inviteDecided": What.INVITES,
}
"""What is seen of a row by its kind; of a message's it is that message."""


def names_of_row(queued: Queued, user: str) -> list[Change]:
    """When it comes or becomes something else. `user`: whose device it is."""
    room, seen = queued.conversation, [Change(What.QUEUE)]
    match _OF_ROWS.get(queued.kind):
        case None:
            seen.append(Change(What.MESSAGE, room, queued.target or queued.local))
        case What.CUSTOM:
            seen.append(Change(What.CUSTOM, room, queued.local))
        case What.MEMBERS:
            seen.append(Change(What.MEMBERS, room, queued.target or user))
        case What.USER:
            seen.append(Change(What.USER, uuid=user))
        case What.INVITES:
            seen.append(Change(What.INVITES))
        case _:
            pass
    return [*seen, Change(What.CONVERSATION, room)] if room else seen


_BY_KEY = (What.CONVERSATION, What.MEMBERS, What.MESSAGE, What.CUSTOM, What.TYPING)


async def named(shelf: Shelf, changes: Sequence[Change]) -> list[Change]:
    """The same, by keys. Raises the faults of the store."""
    made = {change.conversation for change in changes if change.what in _BY_KEY}
    if not made:
        return list(changes)
    made |= {change.uuid for change in changes if change.what is What.CUSTOM}
    messages = {change.uuid for change in changes if change.what is What.MESSAGE}
    keys = await shelf.read(lambda store: store.keys(made, messages))
    return [_named(change, keys) for change in changes]


def _named(change: Change, keys: Mapping[str, str]) -> Change:
    if change.what not in _BY_KEY:
        return change
    gone = "" if change.what is What.MESSAGE else change.uuid
    room = keys.get(change.conversation, change.conversation)
    return Change(change.what, room, keys.get(change.uuid, gone))
