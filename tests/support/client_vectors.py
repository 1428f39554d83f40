"""The conformance vectors of clients (tests/data/conformance/clients), as those who run them read
them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from postbox.client.facts import Conversation, Invite, Member, Message, Profile

VECTORS: Final = Path(__file__).parents[1] / "data" / "conformance" / "clients"
SHAPES: Final[dict[str, Any]] = {
    "made message": Message,
    "message": Message | None,
    "made conversation": Conversation,
    "conversation": Conversation | None,
    "members": list[Member],
    "profile": Profile,
    "invite": Invite,
}
"""What is seen, by `view`."""


def vectors(name: str) -> Any:
    """All of a file."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def plain(value: object) -> Any:
    """As in a vector: bytes are base64."""
    return json.loads(msgspec.json.encode(value))
