"""What the signature inside an answer of a nara is over, by another way than the core's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def answer_digest(sender: str, ts_s: int, ids: Iterable[str]) -> bytes:
    """32 bytes: who, when (Unix seconds), and the ids of the events in order."""
    return hashlib.sha256(f"{sender}:{ts_s}:{''.join(ids)}".encode()).digest()
