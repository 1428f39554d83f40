"""What an event refers to, and whether its author is where that is.

A device names what it refers to by the stored id, or by the local uuid that it gave an event of its
own: so it can edit a message that is still in its queue. Stored ids come first.

Who is not in a conversation learns nothing of it: neither that it exists nor that a message does.
Being in is what it takes to act; from when on one sees what was said is for the readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from postbox.clients.events.kinds import FIRST_FOREIGN, Kind
from postbox.clients.ids import conversation_of, conversation_stream
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.rules.refusals import (
    DEPENDS,
    NO_CONVERSATION,
    NO_MESSAGE,
    SUPERSEDED,
    was_refused,
)
from postbox.clients.tables import MEMBER, Member, read_row
from postbox.rules import EntryKey, Reason, RowKey, State, StreamKey
from postbox.store.contract import Found, Lane


class Target(NamedTuple):
    """An entry of a conversation that the author is in."""

    id: bytes
    conversation: bytes
    found: Found

    @property
    def is_message(self) -> bool:
        return self.found.kind == Kind.NEW_MESSAGE or self.found.kind >= FIRST_FOREIGN

    def is_by(self, user: bytes) -> bool:
        return self.found.author.startswith(user)


def needs_of_membership(draft: ClientDraft) -> tuple[RowKey | StreamKey, ...]:
    """Of the author, in the conversation that the event names. Either way of naming it at once: a
    batch is of few conversations, and to be asked twice costs each of its events."""
    named, user = draft.incoming.conversation or b"", draft.device.user
    own = draft.own(named)
    return (
        RowKey(MEMBER, (named, user)),
        RowKey(MEMBER, (own, user)),
        StreamKey(conversation_stream(named)),
        StreamKey(conversation_stream(own)),
    )


def membership(draft: ClientDraft, state: State) -> Member | Reason:
    """Of who is or was in it. Reason: never was, as far as the author may know."""
    named, user = draft.incoming.conversation or b"", draft.device.user
    row = state[MEMBER, (named, user)]
    if row is None:
        own = draft.own(named)
        row = state[MEMBER, (own, user)]
        if row is None:
            return DEPENDS if was_refused(draft, own, state) else NO_CONVERSATION
    return read_row(Member, row)


def present(draft: ClientDraft, state: State) -> Member | Reason:
    """The membership of who is in it."""
    found = membership(draft, state)
    return found if isinstance(found, Reason) or found.is_in else NO_CONVERSATION


def needs_of_target(
    draft: ClientDraft, named: bytes, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    yield EntryKey(Lane.CLIENTS, named)
    if state.entry(Lane.CLIENTS, named) is None:
        yield EntryKey(Lane.CLIENTS, draft.own(named))
    _, found = _entry(draft, named, state)
    if found is not None and (conversation := conversation_of(found.stream)) is not None:
        yield StreamKey(found.stream)
        yield RowKey(MEMBER, (conversation, draft.device.user))


def target(draft: ClientDraft, named: bytes, state: State) -> Target | Reason:
    event, found = _entry(draft, named, state)
    if found is None:
        return DEPENDS if was_refused(draft, event, state) else NO_MESSAGE
    conversation = conversation_of(found.stream)
    if conversation is None or found.seq is None:
        return NO_MESSAGE
    row = state[MEMBER, (conversation, draft.device.user)]
    if row is None or not read_row(Member, row).is_in:
        return NO_MESSAGE
    return Target(event, conversation, found)


def _entry(draft: ClientDraft, named: bytes, state: State) -> tuple[bytes, Found | None]:
    """With its id: of the device's own event, where there is none."""
    found = state.entry(Lane.CLIENTS, named)
    if found is not None:
        return named, found
    own = draft.own(named)
    return own, state.entry(Lane.CLIENTS, own)


def stored(event: bytes, state: State) -> Found:
    """What a row of ours names. Raises LookupError if it is not there: the row would be wrong."""
    found = state.entry(Lane.CLIENTS, event)
    if found is None:
        raise LookupError(
            f"a row of the clients' door names an entry that is not there: {event.hex()}"
        )
    return found


def why_outdated(draft: ClientDraft, current: bytes, state: State) -> Reason | None:
    """`current`: the newest change of what the event changes. None: the author knew it, or says
    nothing of what it knew."""
    based_on = draft.incoming.based_on
    if based_on is None or based_on == current:
        return None
    own = draft.own(based_on)
    if own == current:
        return None
    return DEPENDS if was_refused(draft, own, state) else _OUTDATED


_OUTDATED = Reason(
    SUPERSEDED, "somebody changed the same thing meanwhile: look at it, and send the change anew"
)
