"""Whom the bus knows of: names that were heard there lately, and names that were mentioned.

Nothing is believed of them. A name that was heard is asked by MQTT for what it remembers, which
costs a message; a name that was mentioned is one to ask about.
"""

from __future__ import annotations

from collections.abc import Iterable

from postbox.world import Clock

MAX_NAMES = 1_000
"""Of each sort; who was heard longest ago, or mentioned first, is forgotten first."""
HEARD_S = 3600.0
"""nara's time after which who is silent in a gossiping mesh counts as missing."""


class Heard:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard_s: dict[str, float] = {}  # whoever was heard last is last
        self._mentioned: dict[str, None] = {}

    def hear(self, name: str) -> None:
        self._heard_s.pop(name, None)
        self._heard_s[name] = self._clock.elapsed_s()
        if len(self._heard_s) > MAX_NAMES:
            del self._heard_s[next(iter(self._heard_s))]

    def miss(self, name: str) -> None:
        """It said goodbye."""
        self._heard_s.pop(name, None)

    def mention(self, names: Iterable[str]) -> None:
        for name in names:
            self._mentioned[name] = None
            if len(self._mentioned) > MAX_NAMES:  # one at a time: a dict is slow at its worn end
                del self._mentioned[next(iter(self._mentioned))]

    @property
    def here(self) -> list[str]:
        """Those that were heard within the hour."""
        since_s = self._clock.elapsed_s() - HEARD_S
        return [name for name, heard_s in self._heard_s.items() if heard_s >= since_s]

    @property
    def mentioned(self) -> list[str]:
        return list(self._mentioned)
