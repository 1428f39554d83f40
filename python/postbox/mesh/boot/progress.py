"""How far a recovery has come, for `postbox status`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Stage(StrEnum):
    IDLE = "idle"  # not begun: another process of this node recovers, or will soon
    LOOKING = "looking for peers"
    ASKING = "asking peers"
    PAUSING = "waiting to ask again"
    CHECKPOINTS = "asking for checkpoints"
    DONE = "done"
    LEFT = "left to the rounds"  # some peers never told all; whoever keeps up asks them


class Progress(Struct):
    """For people. Events of `target` are what the memory mode aims at; `imported`: new ones that
    this recovery brought. Times are Unix nanoseconds, 0 for never."""

    target: int
    stage: Stage = Stage.IDLE
    attempts: int = 0
    peers: int = 0  # asked in the last attempt
    told: int = 0  # of these: told all they were to tell
    missed: int = 0  # are there, and did not; the others are away
    imported: int = 0
    refused: int = 0
    began_ns: int = 0
    ended_ns: int = 0
