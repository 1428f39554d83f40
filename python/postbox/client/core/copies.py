"""Whether this device is live elsewhere, too, on a copy of its file: a host serves the newest one
that asks for a stream, and a device cannot see who that was.

One of its own that was given up, and lay in a proxy until its next one was open, displaces it once.
A copy that lives comes back and does it again.
"""

from __future__ import annotations

from postbox.client.core.actions import WakeAt

COPY_S = 600.0
"""In which a second DISPLACED is a proof. Two that live meet again within the longest pause, a
minute; one alone has no two requests that come so late in ten."""


class Copies:
    def __init__(self) -> None:
        self.is_likely = False  # the timer "copy" runs, which forgives

    def suspect(self) -> list[WakeAt]:
        self.is_likely = True
        return [WakeAt("copy", COPY_S)]

    def forget(self) -> list[WakeAt]:
        was_likely, self.is_likely = self.is_likely, False
        return [WakeAt("copy", None)] if was_likely else []

    def forgive(self) -> None:
        """It has run."""
        self.is_likely = False
