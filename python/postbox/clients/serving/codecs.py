"""How devices spell messages: protobuf, or JSON.

A request is kept as it came and read by who answers it, once it is known who asks: so JSON, which
takes a thousand times as long as protobuf, costs nothing for a stranger, and what is wrong with it
is told as everything else is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from protobuf import Message

from postbox.clients.wire import Malformed
from postbox.rpc.codecs import JsonCodec, Kind, RawCodec, Tree, from_tree

Request: TypeAlias = Callable[[], bytes]
"""A request's protobuf. Raises Malformed."""

MAX_VALUES = 50_000
"""Of a request in JSON, a quarter of a second's work. A hundred conversations that are created with
a hundred members each have half as many."""


def _read(kind: Kind, tree: Tree) -> Message[Any]:
    """Raises ValueError."""
    left = MAX_VALUES
    waiting: list[Any] = [tree]
    while waiting:
        value = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value
        left -= len(inside)
        if left < 0:
            raise ValueError(f"it has more than {MAX_VALUES:,} values")
        waiting += [each for each in inside if isinstance(each, dict | list)]
    return from_tree(kind, tree)


JSON: Final = JsonCodec(_read)


def request_in_json(data: bytes, kind: Kind) -> bytes:
    """Raises Malformed."""
    try:
        return JSON.decode(data, kind)
    except ValueError as error:
        raise Malformed(f"this is no JSON of a {kind.__name__}: {error}") from error


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
