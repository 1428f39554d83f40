"""The words about mesh events that more than one folder needs.

Codes and names are those of the Rust core (`postbox.core.service_names`) and of nara's wire; a
test holds the two lists equal.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum

NAME_MAX = 64
"""Characters in a name. nara sets no limit; names come from strangers and are index keys."""


class Service(IntEnum):
    """What an event is about; the code is stored, `wire_name` travels."""

    SOCIAL = 0
    PING = 1
    OBSERVATION = 2
    HEY_THERE = 3
    CHAU = 4
    SEEN = 5
    CHECKPOINT = 6

    @property
    def wire_name(self) -> str:
        return _WIRE_NAMES[self]


_WIRE_NAMES = ("social", "ping", "observation", "hey-there", "chau", "seen", "checkpoint")


class Standing(IntEnum):
    """How well an event is vouched for: our note, no part of its bytes."""

    HEARSAY = 0  # unsigned
    UNPROVEN = 1  # signed, its signer's key not known yet, or another's than the actor's
    ATTESTED = 2  # signed, and the signature verifies


def is_name(text: str) -> bool:
    """May this stand where a name stands: 1 to 64 characters, none of them a colon (nara joins
    names with colons and escapes nothing), white space, a control character or half a surrogate
    pair (which no UTF-8 holds)?"""
    return 0 < len(text) <= NAME_MAX and not any(map(_is_forbidden, text))


def _is_forbidden(char: str) -> bool:
    return char == ":" or char.isspace() or unicodedata.category(char) in ("Cc", "Cs")
