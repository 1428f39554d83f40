"""How devices spell messages: protobuf, or JSON, of which they are told what is wrong with it."""

from __future__ import annotations

from typing import Any, Final

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from protobuf import Message

from postbox.rpc.codecs import Encoded, JsonCodec, Kind, RawCodec

JSON: Final = JsonCodec()


class _ToldJson:
    """An error here is told as it is raised, and not through `replies.py`: the request is not read
    yet."""

    def name(self) -> str:
        return JSON.name()

    def encode(self, message: Message[Any] | Encoded) -> bytes:
        return JSON.encode(message)

    def decode(self, data: bytes | bytearray, message_class: Kind) -> bytes:
        try:
            return JSON.decode(data, message_class)
        except ValueError as error:
            text = f"INVALID: this is no JSON of a {message_class.__name__}: {error}"
            raise ConnectError(Code.INVALID_ARGUMENT, text) from error


CODECS: Final = (RawCodec(), _ToldJson())
