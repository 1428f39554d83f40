"""JSON of others as values. Whatever is wrong with it is one kind of error."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from postbox.errors import WireError

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, failing: str) -> T:
    """Raises WireError: `failing`, and what is wrong."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{failing}: {error}") from error
