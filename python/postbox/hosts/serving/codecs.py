"""The two spellings of a message: protobuf, which is handed on as it came, and Connect's JSON.

A handler is given a request's protobuf bytes and gives a message, or the bytes of a PostboxEvent
that was kept. So a token can bind what was sent, and what was stored is sent as it is. JSON becomes
protobuf first: whoever speaks it signs that, the fields in the order of their numbers.

An `Any` is opaque in both (facts: trap 4): its JSON is not `@type` and the fields of a message that
this node would have to know, but `{"typeUrl": …, "value": …}`, the value in base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import msgspec
from protobuf import Message, message_from_json_value, message_to_json_value
from protobuf.wkt import Any as AnyMessage

from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent, PostEventRequest

Tree: TypeAlias = dict[str, Any]
"""An object of JSON."""

EVENT = "event"


class RawCodec:
    """Protobuf: requests are the bytes that came."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Message[Any] | bytes) -> bytes:
        return message if isinstance(message, bytes) else message.to_binary()

    def decode(self, data: bytes | bytearray, message_class: object) -> bytes:
        return bytes(data)


class JsonCodec:
    """JSON: requests are what they are in protobuf. `decode` raises ValueError for what is none, or
    does not fit the message; fields that the message does not have are passed over."""

    def name(self) -> str:
        return "json"

    def encode(self, message: Message[Any] | bytes) -> bytes:
        tree = (
            _event_tree(message) if isinstance(message, bytes) else message_to_json_value(message)
        )
        return msgspec.json.encode(tree)

    def decode(self, data: bytes | bytearray, message_class: type[Message[Any]]) -> bytes:
        # Read by msgspec, which tells what is too deep: protobuf's own reader does not survive it.
        try:
            tree = msgspec.json.decode(data, type=Tree)
        except RecursionError:
            raise ValueError("it is too deep") from None
        content = _take_content(tree) if message_class is PostEventRequest else None
        try:
            message = message_from_json_value(message_class, tree, ignore_unknown_fields=True)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from error
        if content is not None:
            request = cast("PostEventRequest", message)
            request.event = request.event or PostboxEvent()
            request.event.event = content
        return message.to_binary()


def _take_content(request: Tree) -> AnyMessage | None:
    """Takes the Any out of a PostEventRequest."""
    event = request.get(EVENT)
    content = event.pop(EVENT, None) if isinstance(event, dict) else None
    if content is None:
        return None
    if not isinstance(content, dict) or "@type" in content:
        raise ValueError('an event is {"typeUrl": ..., "value": base64}')
    type_url = _text(content, "typeUrl", "type_url")
    return AnyMessage(type_url=type_url, value=_bytes(_text(content, "value")))


def _text(tree: Mapping[str, Any], *names: str) -> str:
    found = next((tree[name] for name in names if name in tree), "")
    if not isinstance(found, str):
        raise ValueError(f"{names[0]} is no text")
    return found


def _bytes(text: str) -> bytes:
    """Base64 of either alphabet, filled up or not, as proto3's JSON takes it."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise ValueError(f"value is no base64: {error}") from error


def _event_tree(body: bytes) -> Tree:
    event = PostboxEvent.from_binary(body)
    content, event.event = event.event, None
    tree = cast("Tree", message_to_json_value(event))
    if content is not None:
        tree[EVENT] = {"typeUrl": content.type_url, "value": b64encode(content.value).decode()}
    return tree
