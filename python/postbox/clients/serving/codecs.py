"""How devices spell messages: protobuf, or JSON.

A request is kept as it came and read by who answers it, once it is known who asks: so JSON, which
takes a thousand times as long as protobuf, costs nothing for a stranger, and what is wrong with it
is told as everything else is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from protobuf import Message, Oneof

from postbox.clients.events.kinds import MAX_BATCH_EVENTS
from postbox.clients.wire import Malformed
from postbox.rpc.codecs import JsonCodec, Kind, RawCodec, Tree, from_tree
from postbox.rpc.postbox.v1 import clients_pb as pb

Request: TypeAlias = Callable[[], bytes]
"""A request's protobuf. Raises Malformed."""

MAX_VALUES = 50_000
"""Of a request in JSON, a quarter of a second's work. A hundred conversations that are created with
a hundred members each have half as many."""

MAX_VALUES_OF_EVENT = MAX_VALUES // MAX_BATCH_EVENTS
"""Where the events of a batch are read one by one: together they cost what the batch may."""


_TYPING: Final = "userIsTyping"
_CONTENTS: Final = frozenset(field.json_name for field in pb.Event.desc().oneofs[0].fields)


def _read(kind: Kind, tree: Tree, most: int = MAX_VALUES) -> Message[Any]:
    """Raises ValueError."""
    left = most
    waiting: list[Any] = [tree]
    while waiting:
        value = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value
        left -= len(inside)
        if left < 0:
            raise ValueError(f"it has more than {most:,} values")
        waiting += [each for each in inside if isinstance(each, dict | list)]
    if kind is pb.SubmitEventInput:
        for event in _list(tree.get("events")):
            _check_contents(event)
    return from_tree(kind, tree)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _contents(event: Any) -> list[str]:
    """Names of what it says; more than one is no Event."""
    if not isinstance(event, dict):
        return []
    return [name for name in event if name in _CONTENTS and event[name] is not None]


def _check_contents(event: Any) -> None:
    """Raises ValueError: of two the reader would take the last."""
    if len(named := _contents(event)) > 1:
        raise ValueError(f"an event has one content, and not {' and '.join(named)}")


JSON: Final = JsonCodec(_read)
_NONE: Final = (ValueError, TypeError, OverflowError, RecursionError)


def request_in_json(data: bytes, kind: Kind) -> bytes:
    """Raises Malformed."""
    try:
        return JSON.decode(data, kind)
    except ValueError as error:
        one_by_one = _read_one_by_one(data) if kind is pb.SubmitEventInput else None
        if one_by_one is None:
            raise Malformed(f"this is no JSON of a {kind.__name__}: {error}") from error
        return one_by_one


def _read_one_by_one(data: bytes) -> bytes | None:
    """A batch in which an event is none, or has a value that is none of its kind, as half of an
    emoji: that one keeps its uuid alone, and is refused by itself. Else it would stay at the head
    of the device's queue for good. None: what is wrong is not in an event."""
    try:
        batch = json.loads(data.decode())  # what half of an emoji is, msgspec does not tell
        events = batch.pop("events")
        if not isinstance(events, list) or len(events) > MAX_BATCH_EVENTS:
            return None
        rest = from_tree(pb.SubmitEventInput, batch)
        read = pb.SubmitEventInput(events=[_read_event(event) for event in events])
        return rest.to_binary() + read.to_binary()
    except (*_NONE, AttributeError, LookupError):
        return None


def _read_event(event: Any) -> pb.Event:
    try:
        _check_contents(event)
        read = _read(pb.Event, event, MAX_VALUES_OF_EVENT).to_binary()
        return pb.Event.from_binary(read)
    except _NONE:
        return _refusable(event)


def _refusable(event: Any) -> pb.Event:
    """What there must be of it to be refused in its place: its uuid, if it has one, and whether it
    was to be transitory, since then it has no number."""
    uuid = event.get("uuid") if isinstance(event, dict) else None
    named = pb.Event(uuid=uuid if isinstance(uuid, str) and uuid.isascii() else "")
    if _contents(event) == [_TYPING]:
        typing: Oneof[Literal["userIsTyping"], pb.UserIsTyping]
        typing = Oneof(_TYPING, pb.UserIsTyping())
        named.content = typing
    return named


class _Protobuf:
    def __init__(self) -> None:
        raw = RawCodec()
        self.name, self.encode = raw.name, raw.encode

    def decode(self, data: bytes | bytearray, message_class: object) -> Request:
        kept = bytes(data)
        return lambda: kept


class _Json:
    def __init__(self) -> None:
        self.name, self.encode = JSON.name, JSON.encode

    def decode(self, data: bytes | bytearray, message_class: Kind) -> Request:
        return partial(request_in_json, bytes(data), message_class)


CODECS: Final = (_Protobuf(), _Json())
