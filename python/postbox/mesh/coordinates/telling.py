"""`GET /coordinates`: where this node is, in nara's words, and what peers answer there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from postbox.mesh.coordinates.coordinates import Coordinates
from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.decoding import decoded
from postbox.mesh.serving.routes import Query
from postbox.net.asgi import JSON, Reply

PATH = "/coordinates"
MAX_BYTES = 4_096
"""Of a peer's answer: a name and four numbers."""


class Told(Struct):
    """Both ways. A peer that does not know yet where it is says null."""

    name: Annotated[str, Meta(max_length=256)]
    coordinates: Coordinate | None = None


_TOLD = msgspec.json.Decoder(Told)


def decode(body: bytes) -> Told:
    """Raises WireError for what is none. Whether anybody could be there is for others to say."""
    return decoded(_TOLD, body, "the answer tells no coordinates")


class Telling:
    def __init__(self, me: str, coordinates: Coordinates) -> None:
        self._me = me
        self._coordinates = coordinates

    async def answer(self, query: Query) -> Reply:
        known = self._coordinates
        told = Told(self._me, known.own if known.is_kept else None)
        return Reply(200, msgspec.json.encode(told) + b"\n", JSON)
