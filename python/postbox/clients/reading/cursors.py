"""Where a device goes on: from the last event that it took in, or from a frame's token.

A cursor with which nothing can be done is no error: the device gets a snapshot, with the reason.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_of, user_stream, uuid_of
from postbox.clients.reading.windows import (
    View,
    Viewer,
    is_far_behind,
    read_periods_in,
    read_view,
)
from postbox.clients.tables import TOMB, Tomb, read_row
from postbox.log.cursor import CursorKind, CursorProblem, Position, PositionWriter, read_cursor
from postbox.store.contract import MAX_POS, Identity, Lane, Reader

MOST_BEHIND = 5_000
"""Visible events that a device is sent one by one: more take longer than a snapshot of most users,
and few would be looked at."""


class Place(NamedTuple):
    """`previous`: the event that the device took in last, where it said so."""

    view: View
    pos: int
    previous: bytes = b""


class Fresh(NamedTuple):
    """The device gets a snapshot. `code`: why, as SnapshotBegin says it."""

    code: str


Start: TypeAlias = Place | Fresh

_CODES = {CursorProblem.OTHER_EPOCH: "EPOCH_CHANGED", CursorProblem.AHEAD: "CURSOR_AHEAD"}


def resolve(
    viewer: Viewer, last_event: str, token: str, identity: Identity, reader: Reader
) -> Start:
    """A token is at least as far as the last event, and is preferred."""
    found: tuple[int, bytes] | Fresh
    if token:
        found = _by_token(token, identity, reader)
    elif last_event:
        found = _by_event(viewer, last_event, reader)
    else:
        return Fresh("CURSOR_NONE")
    if isinstance(found, Fresh):
        return found
    pos, previous = found
    if is_far_behind(viewer.user, pos, MOST_BEHIND, reader):
        return Fresh("CURSOR_TOO_OLD")
    return Place(read_view(viewer.user, pos, reader), pos, previous)


def token_writer(identity: Identity) -> PositionWriter:
    return PositionWriter(CursorKind.CLIENTS, identity)


def place_in(token: str, identity: Identity) -> int | None:
    """The position up to which a device has everything that says so by this token; None: it is none
    of this history's. It may be ahead of what this process knows: another one gave it out."""
    place = read_cursor(token, CursorKind.CLIENTS, identity, head=MAX_POS)
    return place.pos if isinstance(place, Position) else None


def _by_token(token: str, identity: Identity, reader: Reader) -> tuple[int, bytes] | Fresh:
    match read_cursor(token, CursorKind.CLIENTS, identity, head=reader.head):
        case Position(pos):
            return pos, b""
        case CursorProblem() as problem:
            return Fresh(_CODES.get(problem, "CURSOR_UNKNOWN"))
        case _:  # a moment: no place in this door's order
            return Fresh("CURSOR_UNKNOWN")


def _by_event(viewer: Viewer, text: str, reader: Reader) -> tuple[int, bytes] | Fresh:
    """An event that the user does not see is as unknown as one that there never was."""
    event = uuid_of(text)
    if event is None:
        return Fresh("CURSOR_UNKNOWN")
    name = (Lane.CLIENTS, event)
    found = reader.find([name]).get(name)
    if found is None:
        row = reader.rows(TOMB, [(event,)])[event,]
        return Fresh("CURSOR_UNKNOWN") if row is None else (read_row(Tomb, row).pos, event)
    conversation = conversation_of(found.stream)
    if conversation is None:
        is_own = found.stream == user_stream(viewer.user) and found.kind != Kind.MEMBERSHIP
        return (found.pos, event) if is_own else Fresh("CURSOR_UNKNOWN")
    periods = read_periods_in(viewer.user, conversation, reader)
    if not any(period.shows(found.pos) for period in periods):
        return Fresh("CURSOR_UNKNOWN")
    if any(period.is_joining and period.joined_pos == found.pos for period in periods):
        return found.pos - 1, b""  # perhaps what the conversation is like did not get through
    return found.pos, event
