"""What travels over a node's socket: HTTP, `POST /admin/COMMAND` with the request as JSON.

The answer is lines of JSON: as many with progress as there is, empty ones to show that the node
lives, and a last one with the result or a fault. What is not carried out at all (no such command, a
request that cannot be read) is answered 4xx with a text. Bytes are base64, as msgspec has them.

Node and verb may be of different versions, between an update and the restart. A request refuses
fields that it does not know, since they would change what is done; an answer ignores them.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from postbox.admin.command import Progress

PREFIX = "/admin/"
VERSION_HEADER = "postbox-version"
HEARTBEAT_S = 5.0
"""A line at least this often, however long a command takes."""

T = TypeVar("T")


class Failure(Struct, frozen=True):
    """`fault`: what the operator is to know. `internal`: a bug, which the node's log shows."""

    kind: Literal["fault", "internal"]
    text: str


class Line(Struct, frozen=True):
    """`result`: empty where there is none."""

    progress: Progress | None = None
    result: msgspec.Raw = msgspec.Raw()
    fault: Failure | None = None


def encode_progress(progress: Progress | None) -> bytes:
    return b"{}\n" if progress is None else _line("progress", progress)


def encode_result(result: Struct) -> bytes:
    return _line("result", result)


def encode_failure(failure: Failure) -> bytes:
    return _line("fault", failure)


def _line(name: str, content: Struct) -> bytes:
    return msgspec.json.encode({name: content}) + b"\n"


def encode(request: Struct) -> bytes:
    """Raises ValueError for text that is none, as a shell may hand it over."""
    return msgspec.json.encode(request)


def decode(raw: bytes | msgspec.Raw, type_: type[T]) -> T:
    """Raises ValueError for what is no JSON, or not of this type."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
