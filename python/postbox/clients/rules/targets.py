"""What an event refers to, and whether its author is where that is.

A device names what it refers to by the stored id, or by the local uuid that it gave an event of its
own: so it can edit a message that is still in its queue. Stored ids come first.

Who is not in a conversation learns nothing of it: neither that it exists nor that a message does.
Being in is what it takes to act; from when on one sees what was said is for the readers.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeAlias, TypeVar

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

Returned = TypeVar("Returned")

Needs: TypeAlias = Generator[RowKey | EntryKey | StreamKey, None, Returned]


class Target(NamedTuple):
    """A numbered entry of a conversation."""

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


def needs_of_target(draft: ClientDraft, named: bytes, state: State) -> Needs[Target | None]:
    """What it is, whether or not the author may know of it, for who needs more of it."""
    yield EntryKey(Lane.CLIENTS, named)
    yield EntryKey(Lane.CLIENTS, draft.own(named))
    found = _named(draft, named, state)
    if found is not None:
        yield StreamKey(found.found.stream)
        yield RowKey(MEMBER, (found.conversation, draft.device.user))
    return found


def target(draft: ClientDraft, named: bytes, state: State) -> Target | Reason:
    found = _named(draft, named, state)
    if found is None:
        return DEPENDS if was_refused(draft, draft.own(named), state) else NO_MESSAGE
    row = state[MEMBER, (found.conversation, draft.device.user)]
    return found if row is not None and read_row(Member, row).is_in else NO_MESSAGE


def _named(draft: ClientDraft, named: bytes, state: State) -> Target | None:
    for event in (named, draft.own(named)):
        found = state.entry(Lane.CLIENTS, event)
        if found is not None and found.seq is not None:
            conversation = conversation_of(found.stream)
            return None if conversation is None else Target(event, conversation, found)
    return None


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
