"""What the members of an Event must be like, whichever kind it is of. All raise BadEvent, whose
text names the member.
"""

from __future__ import annotations

import re

from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.clients.events.kinds import (
    FIRST_FOREIGN,
    MAX_NAME_CHARS,
    MAX_PICTURE_BYTES,
    MAX_REACTION_BYTES,
)
from postbox.clients.ids import user_id, uuid_of
from postbox.event import is_name
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Reason

INVALID, TOO_LARGE, UNKNOWN_KIND = "INVALID", "TOO_LARGE", "UNKNOWN_KIND"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what Unicode has as category Cc
_MIN_SECONDS, _MAX_SECONDS = -62_135_596_800, 253_402_300_799  # of a Timestamp: the years 1 to 9999


class BadEvent(Exception):
    """Whoever reads an event catches it, and refuses the event for that reason."""

    def __init__(self, text: str, code: str = INVALID) -> None:
        super().__init__(text)
        self.reason = Reason(code, text)


def uuid_in(what: str, text: str) -> bytes:
    uuid = uuid_of(text)
    if uuid is None:
        raise BadEvent(f"`{what}` must be a uuid in 36 characters")
    return uuid


def uuid_if_any(what: str, text: str) -> bytes | None:
    return uuid_in(what, text) if text else None


def check_own(what: str, text: str, author: bytes) -> None:
    if text and uuid_of(text) != author:
        raise BadEvent(f"`{what}` is not the user whose device this is: leave it empty")


def name_in(what: str, text: str) -> str:
    """What people read: joiners and the like are part of it, control characters are not."""
    if len(text) > MAX_NAME_CHARS or _CONTROL.search(text):
        raise BadEvent(f"`{what}` has at most {MAX_NAME_CHARS} characters, no control ones")
    return text


def reaction_in(text: str) -> str:
    if not text.strip() or len(text.encode()) > MAX_REACTION_BYTES or _CONTROL.search(text):
        most = f"1 to {MAX_REACTION_BYTES} bytes"
        raise BadEvent(f"a reaction has {most} in UTF-8, no control characters")
    return text


def printable_in(what: str, text: str, most: int) -> str:
    if not 0 < len(text) <= most or not text.isprintable():
        raise BadEvent(f"`{what}` has 1 to {most} printable characters")
    return text


def check_png(what: str, png: bytes) -> None:
    if len(png) > MAX_PICTURE_BYTES:
        text = f"`{what}` has {len(png):,} bytes: at most {MAX_PICTURE_BYTES:,}"
        raise BadEvent(text, TOO_LARGE)
    if not png.startswith(PNG_SIGNATURE):
        raise BadEvent(f"`{what}` is no PNG")


def user_in(what: str, user: pb.User | None) -> bytes:
    """Who is meant: by uuid, by name, or by both."""
    uuid = None if user is None else uuid_if_any(f"{what}.uuid", user.uuid)
    if user is None or not (uuid or user.name):
        raise BadEvent(f"`{what}` needs a uuid or a name")
    if not user.name:
        assert uuid is not None
        return uuid
    if not is_name(user.name):
        raise BadEvent(f"`{what}.name` is no name of a user")
    named = user_id(user.name)
    if uuid not in (None, named):
        raise BadEvent(f"`{what}` has the name of one user and the uuid of another")
    return named


def milliseconds_in(what: str, time: Timestamp) -> int:
    """Since 1970."""
    if not (_MIN_SECONDS <= time.seconds <= _MAX_SECONDS and 0 <= time.nanos < 10**9):
        raise BadEvent(f"`{what}` is no time in the years 1 to 9999")
    return time.seconds * 1_000 + time.nanos // 10**6


def check_applications(what: str, unknown: bytes) -> None:
    """`unknown`: the fields of a message that this host does not know."""
    low = [field.number for field in fields_in(unknown) if field.number < FIRST_FOREIGN]
    if low:
        raise BadEvent(f"`{what}` has a field {min(low)}, which this host does not know")


def fields_in(message: bytes) -> list[raw.Field]:
    try:
        return list(raw.fields(message))
    except ValueError as error:  # a group, which the runtime passes over
        raise BadEvent(f"this is no Event: {error}") from error
