"""Proposals that were voted on, pure. Whoever is on the broker can say them again, and another vote
of ours on each would use up what their subject has of our votes.
"""

from __future__ import annotations

from typing import NamedTuple

from postbox.mesh.checkpoints.attestations import Proposal
from postbox.mesh.checkpoints.consensus import Value, value_of


class _What(NamedTuple):
    """What a proposal says. Its round is not signed: either of two is voted on once."""

    subject: str
    subject_id: str
    as_of_s: int
    value: Value
    nth: int


class Answered:
    def __init__(self, memory_s: float) -> None:
        """`memory_s`: for how long a proposal could be taken for a new one."""
        self._memory_s = memory_s
        self._at_s: dict[_What, float] = {}  # oldest first

    def __contains__(self, proposal: Proposal) -> bool:
        return _what(proposal) in self._at_s

    def __len__(self) -> int:
        return len(self._at_s)

    def add(self, proposal: Proposal, now_s: float) -> None:
        for what, at_s in list(self._at_s.items()):
            if now_s - at_s <= self._memory_s:
                break
            del self._at_s[what]
        self._at_s[_what(proposal)] = now_s


def _what(of: Proposal) -> _What:
    return _What(of.subject, of.subject_id, of.as_of_time, value_of(of), of.round)
