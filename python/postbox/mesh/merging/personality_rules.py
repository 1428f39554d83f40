"""What this node does not care to keep of what peers send it: nara's rules of taste.

nara has two paths (sync_ledger.go, `facts` of `docs/protocol/mesh.md`): one for social events, one
for observations. Here every event of a peer's goes through both. What is critical by its kind
(restarts, first sightings) is always kept, whatever importance a sender claims for it.
"""

from __future__ import annotations

from msgspec import Struct

from postbox.event import Service
from postbox.mesh.reading import Observation, Payload, Social

NEUTRAL = 50
CASUAL = 1
"""Of an observation's importance, as it claims it: that is signed by nobody."""
JUDGED = frozenset((Service.SOCIAL, Service.OBSERVATION))
"""What a personality looks at; all else it keeps."""


class Personality(Struct, frozen=True):
    """0 to 99 each."""

    agreeableness: int = NEUTRAL
    sociability: int = NEUTRAL
    chill: int = NEUTRAL

    @property
    def keeps_all(self) -> bool:
        """Is there nothing that this one drops? Then no event need be looked at."""
        return self.chill <= 70 and self.agreeableness <= 80 and self.sociability >= 30

    def keeps(self, payload: Payload) -> bool:
        match payload:
            case Social():
                return self._keeps_social(payload)
            case Observation():
                return self._keeps_observation(payload)
            case _:
                return True

    def _keeps_social(self, event: Social) -> bool:
        if self.chill > 70 and event.reason == "random":
            return False
        if event.type == "observation":
            return self._keeps_remark(event.reason)
        if self.chill > 85 and event.reason not in ("comeback", "high-restarts"):
            return False
        if self.agreeableness > 80 and event.reason == "trend-abandon":
            return False
        return not (self.sociability < 20 and event.reason == "random")

    def _keeps_remark(self, reason: str) -> bool:
        """A social event that tells what was observed."""
        if self.chill > 85 and reason in ("online", "offline"):
            return False
        return not (self.sociability < 30 and reason in ("journey-pass", "journey-complete"))

    def _keeps_observation(self, event: Observation) -> bool:
        if event.type in ("restart", "first-seen"):
            return True
        if self.chill > 80 and event.importance <= CASUAL:
            return False
        return self.chill <= 85
