"""Events with a type: from messages to what travels, an Any, and back; from JSON and to JSON.

A type that is registered here is understood: it is encoded from JSON, checked when it arrives, and
shown as JSON. Any other stays bytes, which nobody unpacks. What a type URL says before its last
slash has no meaning, so that no spelling of a type gets around what is asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct
from protobuf import Message
from protobuf.wkt.google.protobuf.any_pb import Any

from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered

PREFIX = "type.googleapis.com/"
OWN_PACKAGE = "postbox.v1."
MAX_TYPE_CHARS = 255  # of a type URL; protobuf sets no limit, and a name of a package is short
MAX_VALUE_BYTES = 1_000_000
"""So that an event, with what its entry says besides, fits into an entry of the log (1 MiB)."""

Typed: TypeAlias = GuildJoined | GuildLeft | DirectInvite | InviteAnswered

REGISTERED: Mapping[str, type[Typed]] = {
    each.desc().type_name: each for each in (GuildJoined, GuildLeft, DirectInvite, InviteAnswered)
}


class BadEvent(ValueError):
    """It cannot be posted, or its bytes are not of its type; the text says why."""


class Event(Struct, frozen=True):
    """What is posted: an Any. `value` is opaque to all but who knows the type. Raises TypeError."""

    type_url: str
    value: bytes

    def __post_init__(self) -> None:
        given: tuple[object, object] = (self.type_url, self.value)
        if not (isinstance(given[0], str) and isinstance(given[1], bytes)):
            kinds = ", ".join(type(one).__name__ for one in given)
            raise TypeError(
                f"an Event is made of a type URL (str) and its value (bytes): ({kinds})"
            )

    @property
    def type(self) -> str:
        return type_name(self.type_url)

    @property
    def message(self) -> Typed | None:
        """If the type is registered. Raises BadEvent."""
        return unpacked(self.type_url, self.value)


def type_name(type_url: str) -> str:
    """`postbox.v1.GuildJoined` of `type.googleapis.com/postbox.v1.GuildJoined`."""
    return type_url.rpartition("/")[2]


def event_of(what: Message | Event) -> Event:
    """Raises BadEvent for what no host takes, TypeError for what is no event."""
    match what:
        case Event():
            event = what
        case Any():
            event = Event(what.type_url, what.value)
        case Message():
            event = Event(PREFIX + what.desc().type_name, _encoded(what))
        case _:
            raise TypeError(
                "what is posted is a message, as GuildJoined(...), or an Event(type_url, value):"
                f" {type(what).__name__}"
            )
    check(event)
    return event


def check(event: Event) -> None:
    """Raises BadEvent for what no host takes."""
    _check_type(event.type_url)
    if len(event.value) > MAX_VALUE_BYTES:
        raise BadEvent(
            f"an event of {len(event.value):,} bytes is too large: at most {MAX_VALUE_BYTES:,}."
            " Post where it can be had instead"
        )
    unpacked(event.type_url, event.value)


def _check_type(type_url: str) -> None:
    if not is_type_url(type_url):
        raise BadEvent(
            f"{type_url!r} names no type: it has the form {PREFIX}package.Name, and at most"
            f" {MAX_TYPE_CHARS} characters"
        )


def is_type_url(text: str) -> bool:
    return (
        0 < len(text) <= MAX_TYPE_CHARS
        and text.isprintable()
        and " " not in text
        and type_name(text) not in ("", text)
    )


def unpacked(type_url: str, value: bytes) -> Typed | None:
    """The message, if its type is registered. Raises BadEvent for bytes that are none."""
    name = type_name(type_url)
    kind = REGISTERED.get(name)
    if kind is None:
        return None
    try:
        return kind.from_binary(value)
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"the bytes are no {name}: {error}") from error


def type_url_of(name: str) -> str:
    """Of a type's name; what has a slash is one already. Raises BadEvent, also for a type of ours
    that there is none of: whoever mistypes one means another."""
    type_url = name if "/" in name else PREFIX + name
    _check_type(type_url)
    if name.startswith(OWN_PACKAGE) and name not in REGISTERED:
        raise BadEvent(f"there is no {name}: those of that package are {', '.join(REGISTERED)}")
    return type_url


def from_json(type_url: str, document: bytes) -> bytes:
    """What an event of this type carries for one JSON document: encoded if the type is registered,
    else the document's own bytes. Raises BadEvent."""
    parsed = _parsed(document)
    kind = REGISTERED.get(type_name(type_url))
    value = document if kind is None else _encoded(_filled(kind, parsed))
    check(Event(type_url, value))
    return value


def to_json(type_url: str, value: bytes) -> bytes | None:
    """A registered type's fields, all of them; of another type the document that its bytes are.
    None if they are none."""
    try:
        message = unpacked(type_url, value)
        if message is not None:
            return message.to_json(always_emit_implicit=True, use_proto_field_name=True).encode()
        _parsed(value)
    except BadEvent:
        return None
    return msgspec.json.format(value, indent=-1)


def _parsed(document: bytes) -> object:
    """Raises BadEvent, also for what is nested so deeply that protobuf's parser, which is native,
    would run out of stack and take the process with it."""
    try:
        return msgspec.json.decode(document)
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"not a JSON document: {error}") from error


def _filled(kind: type[Typed], parsed: object) -> Typed:
    try:
        return kind.from_json(msgspec.json.encode(parsed).decode())
    except (ValueError, TypeError) as error:
        fields = ", ".join(field.name for field in kind.desc().fields)
        raise BadEvent(f"{error}. A {kind.desc().type_name} has: {fields}") from error


def _encoded(message: Message) -> bytes:
    try:
        return message.to_binary()
    except (ValueError, TypeError) as error:
        raise BadEvent(f"no {message.desc().type_name} can be made of this: {error}") from error
