"""What an answer says of each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct


class Stored(Struct, frozen=True, tag=True):
    """A row that is QUEUED is SENT from now on. `is_duplicate`: it was stored before, or changed
    nothing."""

    local: str
    uuid: str
    is_duplicate: bool


class Refused(Struct, frozen=True, tag=True):
    """A row that is QUEUED is REFUSED. `current`: with SUPERSEDED, the Event that counts."""

    local: str
    code: str
    detail: str
    current: bytes = b""


Settlement: TypeAlias = Stored | Refused


class Verdict(Struct, frozen=True):
    """`next_number`: that the host awaits; 0: it did not say. Rows beyond the settlements were not
    answered, and stay as they are."""

    settlements: tuple[Settlement, ...]
    next_number: int
    server_ms: int | None


class NoAnswer(Exception):
    """It is no answer to this batch: nothing is known of any row."""


def settle(batch: Sequence[str], answer: bytes) -> Verdict:
    """`batch`: the local uuids of its rows, in order. `answer`: a SubmitEventOutput. Raises
    NoAnswer."""
    raise NotImplementedError
