"""The verdicts of `docs/protocol/mesh.md` in an operator's words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "too_large": "larger than 64 KiB",
        "not_json": "no JSON",
        "too_deep": "nested too deep",
        "duplicate_key": "a key is there twice",
        "miscased_key": "a key in wrong case",
        "wrong_type": "a field of another type or out of its range",
        "missing": "a field that must be there is missing",
        "unknown_service": "of no known service",
        "bad_name": "a name that can be none",
        "bad_time": "a time that can be none",
        "future": "from the future",
        "bad_payload": "what it says cannot be",
        "bad_id": "an id that can be none",
        "id_mismatch": "the id does not fit the content",
        "bad_base64": "a signature or key that can be none",
        "weak_key": "a key with which anybody could sign",
        "wrong_emitter": "presents another than its emitter",
        "cutoff": "a checkpoint that mesh.cutoff drops",
        "bad_signature": "the signature is wrong",
        "key_differs": "another key than the one known for that name",
    }
)


def worded(verdict: str) -> str:
    """In words, and by its name; a text that is no verdict as it is."""
    return f"{WORDS[verdict]} ({verdict})" if verdict in WORDS else verdict
