"""An `Any` in JSON, which is opaque as it is in protobuf (facts: trap 4).

It is not `@type` and the fields of a message that this node would have to know, but
`{"typeUrl": …, "value": …}`, the value in base64. The rest is spelled as `rpc/codecs.py` does it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, cast

from protobuf import Message
from protobuf.wkt import Any as AnyMessage

from postbox.rpc.codecs import JsonCodec, Kind, RawCodec, Tree, from_tree, to_tree
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent, PostEventRequest

EVENT = "event"


def _read(kind: Kind, tree: Tree) -> Message[Any]:
    content = _take_content(tree) if kind is PostEventRequest else None
    message = from_tree(kind, tree)
    if content is not None:
        request = cast("PostEventRequest", message)
        request.event = request.event or PostboxEvent()
        request.event.event = content
    return message


def _write(message: Message[Any]) -> Tree:
    if not isinstance(message, PostboxEvent):
        return to_tree(message)
    content, message.event = message.event, None
    tree = to_tree(message)
    if content is not None:
        tree[EVENT] = {"typeUrl": content.type_url, "value": b64encode(content.value).decode()}
    return tree


CODECS: Final = (RawCodec(), JsonCodec(_read, _write))


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
