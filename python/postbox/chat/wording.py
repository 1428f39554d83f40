"""How it is said: states, times, codes, who types. English, short, and what to do where something
can be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from postbox.chat.lines import Line, Look, Span, joined
from postbox.chat.plain import plain_line
from postbox.client import (
    Conversation,
    Invite,
    Message,
    Queued,
    Standing,
    State,
    Status,
    Waits,
    Why,
)

NOBODY = "(no name)"
NOT_BY_ITSELF = "What it belongs to was refused: try that again, with ^T, and this goes with it."

KINDS = {
    "": "something of another app",
    "sendingNewMessage": "message",
    "messageEdited": "edit",
    "messageDeleted": "deletion",
    "reactionAdded": "reaction",
    "reactionRemoved": "reaction taken back",
    "readNewMessage": "read mark",
    "conversationCreated": "new conversation",
    "conversationNameChanged": "new name",
    "memberJoined": "new member",
    "memberLeft": "leaving",
    "displayNameChanged": "your name",
    "profilePictureChanged": "your picture",
    "inviteDecided": "answer to an invite",
}

REFUSALS = {
    "INVALID": "the host does not understand it",
    "TOO_LARGE": "it is too large",
    "UNKNOWN_KIND": "the host is too old for it",
    "NOT_A_MEMBER": "you are not in this conversation",
    "UNKNOWN_TARGET": "there is no such user or message",
    "NOT_ALLOWED": "only its author or an owner may",
    "SUPERSEDED": "somebody changed it meanwhile",
    "DEPENDENCY_REFUSED": "what it belongs to was refused",
    "QUOTA": "that would be one more than there may be",
}

FAULTS = {
    "UNREACHABLE": "no answer from the host",
    "NO_SESSION": "the token is not good, or over",
    "TOKEN_EXPIRED": "the token is over",
    "DEVICE_REVOKED": "this device was shut out",
    "DISPLACED": "perhaps live elsewhere",
    "RATE_LIMITED": "too fast for the host",
    "SNAPSHOT_BUSY": "the host is busy",
    "STOPPING": "the host is being stopped",
    "RESTARTING": "the host restarts",
    "UNAVAILABLE": "the host has a fault just now",
    "INTERNAL": "the host has a fault",
    "STORE": "this device cannot write",
    "LOST": "something was lost on the way",
    "FULL": "the host's disk is full",
}


def name_of(name: str) -> str:
    return plain_line(name) or NOBODY


def refusal(code: str, detail: str) -> str:
    """Why the host will never take something."""
    said = plain_line(detail)
    known = REFUSALS.get(code, plain_line(code))
    return f"{known}: {said}" if said else known


def fault(code: str) -> str:
    """What is wrong with the connection now."""
    return FAULTS.get(code, plain_line(code))


# -- messages -------------------------------------------------------------------------------------


def state_of(message: Message) -> Span:
    """Of one of the user's own."""
    match message.state:
        case State.SENDING:
            return Span("sending", Look.MARK)
        case State.FAILED:
            return Span(f"failed: {refusal(message.code, message.detail)}", Look.BAD)
        case State.READ:
            return Span("read", Look.GOOD)
        case State.SENT | State.DELIVERED if message.read_by:
            return Span(f"read by {message.read_by} of {message.others}", Look.GOOD)
        case State.SENT if message.delivered_to:
            return Span(f"delivered to {message.delivered_to} of {message.others}", Look.DIM)
        case State.SENT | State.DELIVERED:
            return Span(message.state.value, Look.DIM)


def reach(message: Message) -> str:
    """How far it has come, in numbers: of one of the user's own that the host has."""
    if message.state not in (State.SENT, State.DELIVERED, State.READ) or not message.others:
        return ""
    return f"delivered to {message.delivered_to}, read by {message.read_by} of {message.others}"


def clock(at_ms: int, zone: tzinfo | None = None) -> str:
    """`zone`: by default this machine's."""
    return f"{_at(at_ms, zone):%H:%M}"


def day(at_ms: int, zone: tzinfo | None = None) -> str:
    at = _at(at_ms, zone)
    return f"{at:%a} {at.day} {at:%b %Y}"


def moment(at_ms: int, zone: tzinfo | None = None) -> str:
    return f"{day(at_ms, zone)} {clock(at_ms, zone)}"


def _at(at_ms: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)


# -- people ---------------------------------------------------------------------------------------


def typing(names: Sequence[str]) -> str:
    match [name_of(name) for name in names]:
        case []:
            return ""
        case [one]:
            return f"{one} is typing…"
        case [one, another]:
            return f"{one} and {another} are typing…"
        case [one, *others]:
            return f"{one} and {len(others)} others are typing…"
        case _:
            raise AssertionError(names)


def title(conversation: Conversation, others: Sequence[str]) -> str:
    """A conversation without a name is called by who is in it."""
    return plain_line(conversation.name) or ", ".join(map(name_of, others)) or "(only you)"


def invite(found: Invite) -> str:
    """`name` is what the inviter calls itself; `inviter` what its host does."""
    called, inviter = plain_line(found.name), plain_line(found.inviter)
    who = f"{called} ({inviter})" if called else inviter
    return f"{who} invites you to {name_of(found.conversation)}"


# -- the connection and the queue -----------------------------------------------------------------


class Counts(NamedTuple):
    """`waiting`, `refused`: of the queue. `invites`: that the user has not answered."""

    waiting: int = 0
    refused: int = 0
    invites: int = 0


def connection(status: Status, counts: Counts, now_s: float) -> Line:
    """The line that says how it stands."""
    shown = _connection(status, now_s)
    parts = [Span(shown.text, shown.look)]
    if counts.invites:
        word = "invite" if counts.invites == 1 else "invites"
        parts.append(Span(f" · {counts.invites} {word}", Look.MARK))
    if counts.waiting:
        parts.append(Span(f" · {counts.waiting} waiting", Look.STRONG))
    if counts.refused:
        parts.append(Span(f" · {counts.refused} failed", Look.BAD))
    return tuple(parts)


def _connection(status: Status, now_s: float) -> Span:
    why = fault(status.why) if status.why else ""
    match status.connection:
        case "live":
            return Span("live")
        case "catching up":
            return Span("catching up…")
        case "needs sign-in":
            return Span("needs sign-in: F5", Look.BAD)
        case "displaced":
            return Span("live elsewhere; F5 takes it back", Look.BAD)
        case "connecting" | "offline" if status.next_s is not None:
            left_s = max(0, round(status.next_s - now_s))
            again = f"connecting in {left_s} s" if left_s else "connecting…"
            return Span(joined((again, why)))
        case "connecting":
            return Span(joined(("connecting…", why)))
        case "offline" | "stopped":
            return Span(joined(("offline", why)))


def queued(row: Queued) -> str:
    return KINDS.get(row.kind, plain_line(row.kind))


def why(found: Why) -> Span:
    """Why something is still in the queue."""
    row = found.queued
    match found.waits_for:
        case Waits.ITS_TURN:
            return Span(f"waits behind {found.ahead} more")
        case Waits.THE_HOST:
            return Span(joined(("waits for the host", _tries(row))))
        case Waits.THE_STREAM:
            return Span("the host has it; it comes down in a moment")
        case Waits.THE_APP:
            return Span(f"refused: {refusal(row.code, row.detail)}", Look.BAD)
        case Waits.NOTHING:
            return Span("done", Look.GOOD)


def _tries(row: Queued) -> str:
    if not row.tries:
        return ""
    times = "once" if row.tries == 1 else f"{row.tries} times"
    code, _, said = row.last_error.partition(" ")
    return f"tried {times}: {joined((fault(code.rstrip(':')), plain_line(said)), ', ')}"


def is_queued(row: Queued) -> bool:
    return row.standing is Standing.QUEUED


def is_refused(row: Queued) -> bool:
    return row.standing is Standing.REFUSED
