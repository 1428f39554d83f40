"""How often Python looks for garbage in a process that serves.

What nothing refers to is freed at once. Looked for are circles alone: all objects that are new are
gone through, and now and then all that there are. By Python's defaults that was a third of what a
frame to each of a thousand devices cost.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 50_000
"""More than were freed, since it was looked through them last; Python's default is 700. A commit
that a thousand streams wait for makes as many for some milliseconds, and next to no circles."""

LOOKS_AT_NEW = 4
"""Before those that were left are looked through once more, together: some 0.1 s at most, in which
nothing is answered."""

LOOKS_AT_OLD = 10  # before all are, and if they have become a quarter more: as Python has it


def look_rarely() -> None:
    """And never again at what is there now: modules, and what a node was opened with."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, LOOKS_AT_NEW, LOOKS_AT_OLD)
