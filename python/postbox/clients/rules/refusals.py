"""Why an event of a device is refused, and that a retry of it is refused alike.

A refusal settles an event: the device shows or drops it. The newest of each device are remembered,
as many as it may have sent without having had an answer, which is a batch. An event that refers to
a refused one of the same device is told so, and not merely that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from postbox.clients.rules.draft import ClientDraft
from postbox.clients.tables import REFUSED, Refusal, refusals_in, refused_row
from postbox.rules import Decision, Put, Reason, RowKey, State

QUEUE_HOLE = "QUEUE_HOLE"  # the one that settles nothing
NOT_A_MEMBER = "NOT_A_MEMBER"
UNKNOWN_TARGET = "UNKNOWN_TARGET"
SUPERSEDED = "SUPERSEDED"
DEPENDENCY_REFUSED = "DEPENDENCY_REFUSED"
NOT_ALLOWED = "NOT_ALLOWED"
QUOTA = "QUOTA"

# The same for what is not there and for what the user may not know of.
NO_CONVERSATION = Reason(
    NOT_A_MEMBER, "you are in no conversation of this uuid: ask one of its members to add you"
)
NO_MESSAGE = Reason(
    UNKNOWN_TARGET, "no conversation that you are in has a message of this uuid: it is not sent yet"
)
NO_USER = Reason(UNKNOWN_TARGET, "no user of this host has signed in under this name or uuid")
MAX_STRANGERS = 5  # that are named: what is remembered of a refusal has room for two or three
NOT_THERE = Reason(UNKNOWN_TARGET, "the user was never in this conversation")
DELETED = Reason(UNKNOWN_TARGET, "the message was deleted: nothing more can be done with it")
NOT_THE_AUTHOR = Reason(NOT_ALLOWED, "only who sent a message may edit or delete it")
NOT_AN_OWNER = Reason(
    NOT_ALLOWED,
    "only an owner of the conversation may remove others and give roles: leave that to one",
)
DEPENDS = Reason(
    DEPENDENCY_REFUSED,
    "an event of this device that it refers to was refused: drop this one, or make it anew",
)


def unknown_users(called: Sequence[str]) -> Reason:
    """Of several that a device named these are none."""
    more = len(called) - MAX_STRANGERS
    who = ", ".join(called[:MAX_STRANGERS]) + (f" and {more} more" if more > 0 else "")
    return Reason(UNKNOWN_TARGET, f"no user of this host has signed in as {who}")


def key_of(draft: ClientDraft) -> RowKey:
    return RowKey(REFUSED, (draft.device.id,))


def refuse(reason: Reason) -> Decision:
    return Decision(refuse=reason)


def was_refused(draft: ClientDraft, event: bytes, state: State) -> bool:
    """An event of the same device."""
    return _reason(draft, event, state) is not None


def remembered(draft: ClientDraft, state: State) -> Reason | None:
    """The draft was refused before, for that."""
    return _reason(draft, draft.id, state)


def _reason(draft: ClientDraft, event: bytes, state: State) -> Reason | None:
    row = state[key_of(draft)]
    if row is None or not _mentions(row[1], event):
        return None
    for refusal in refusals_in(row):
        if refusal.event == event:
            return Reason(refusal.code, refusal.detail)
    return None


def _mentions(packed: object, event: bytes) -> bool:
    """Quick, and hardly ever wrong: most devices that were refused something go on well."""
    return isinstance(packed, bytes) and event in packed


def remember(draft: ClientDraft, reason: Reason, state: State) -> Put:
    """Takes the place of the oldest one."""
    refusal = Refusal(draft.id, reason.code, reason.text)
    return Put(REFUSED, refused_row(draft.device.id, state[key_of(draft)], refusal))
