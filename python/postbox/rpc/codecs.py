"""The two spellings of a message for who serves: protobuf, which is handed on as it came, and
Connect's JSON.

A handler is given a request's protobuf bytes. It gives a message, or one whose bytes it has
already. So a token can bind what was sent, and what is stored is sent as it is. JSON becomes
protobuf first: whoever speaks it means that, the fields in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from protobuf import Message, message_from_json_value, message_to_json_value

Tree: TypeAlias = dict[str, Any]
"""An object of JSON."""

Kind: TypeAlias = type[Message[Any]]


class Encoded(NamedTuple):
    """A message as its protobuf."""

    kind: Kind
    data: bytes


class RawCodec:
    """Protobuf: requests are the bytes that came."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Message[Any] | Encoded) -> bytes:
        return message.data if isinstance(message, Encoded) else message.to_binary()

    def decode(self, data: bytes | bytearray, message_class: object) -> bytes:
        return bytes(data)


def from_tree(kind: Kind, tree: Tree) -> Message[Any]:
    return message_from_json_value(kind, tree, ignore_unknown_fields=True)


def to_tree(message: Message[Any]) -> Tree:
    return cast("Tree", message_to_json_value(message))


class JsonCodec:
    """JSON: requests are what they are in protobuf. `decode` raises ValueError for what is none, or
    does not fit the message; fields that the message does not have are passed over."""

    def __init__(
        self,
        read: Callable[[Kind, Tree], Message[Any]] = from_tree,
        write: Callable[[Message[Any]], Tree] = to_tree,
    ) -> None:
        """`read` and `write`: for messages that have a spelling of their own."""
        self._read = read
        self._write = write

    def name(self) -> str:
        return "json"

    def encode(self, message: Message[Any] | Encoded) -> bytes:
        if isinstance(message, Encoded):
            message = message.kind.from_binary(message.data)
        return msgspec.json.encode(self._write(message))

    def decode(self, data: bytes | bytearray, message_class: Kind) -> bytes:
        # Read by msgspec, which tells what is too deep: protobuf's own reader does not survive it.
        try:
            tree = msgspec.json.decode(data, type=Tree)
            return self._read(message_class, tree).to_binary()
        except RecursionError:
            raise ValueError("it is too deep") from None
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from error
