"""The drafts that wait for the writer, in one line a payer; batches are taken fairly from them.

Everything that waits goes into the next batch, in order of arrival, while it fits. When it does
not, payers take turns,
so that one who submits a hundred thousand drafts delays another by one batch and not by all of
them. The order of one payer's drafts is kept. Plain state: nothing here waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from postbox.rules import Draft, Outcome, Payer, Rules

# A batch's time is what everybody waits for: 1,024 small drafts take about 10 ms, and larger
# batches cost no less a draft. A batch that has begun takes its first draft whatever its size.
MAX_BATCH_DRAFTS = 1_024
MAX_BATCH_BYTES = 2**20
TURN_DRAFTS = 16
"""At most so many of one payer at a time, while others wait: few enough that 64 share a batch."""


class Failed:
    """Stands where an outcome would, if there is none but a fault."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class Call:
    """One `submit`: its drafts, what became of each so far, and who waits for it."""

    __slots__ = ("drafts", "has_failed", "left", "outcomes", "pieces", "rules", "task")

    def __init__(self, rules: Rules[Any], drafts: Sequence[Draft], task: Any) -> None:
        self.rules = rules
        self.drafts = drafts
        self.outcomes: list[Outcome | Failed | None] = [None] * len(drafts)
        self.left = len(drafts)
        self.has_failed = False
        self.pieces: list[Piece] = []
        self.task = task  # None: cancelled, nobody waits any more


class Piece:
    """The drafts `start` to `stop` of a call, all of one payer."""

    __slots__ = ("call", "size_bytes", "start", "stop", "taken")

    def __init__(self, call: Call, start: int, stop: int) -> None:
        self.call = call
        self.start = start
        self.stop = stop
        self.taken = False
        first = call.drafts[start]
        # Most calls have one draft, and this runs once a call.
        self.size_bytes = first.size_bytes if stop - start == 1 else _size_bytes(call, start, stop)

    def split(self, count: int) -> Piece:
        """Takes the first `count` drafts off into a piece of their own."""
        first = Piece(self.call, self.start, self.start + count)
        self.start += count
        self.size_bytes -= first.size_bytes
        return first

    def is_empty(self) -> bool:
        """All of it was dropped."""
        return self.start == self.stop


class Waiting:
    def __init__(self) -> None:
        self._lines: dict[Payer, deque[Piece]] = {}
        self._arrived: list[Piece] = []  # the same pieces, in order of arrival
        self.drafts = 0
        self.bytes = 0

    def add(self, call: Call) -> None:
        for piece in _pieces(call):
            payer = call.drafts[piece.start].payer
            line = self._lines.get(payer)
            if line is None:
                line = self._lines[payer] = deque()
            line.append(piece)
            self._arrived.append(piece)
            call.pieces.append(piece)
            self.drafts += piece.stop - piece.start
            self.bytes += piece.size_bytes

    def drop(self, call: Call) -> None:
        """Takes out what no batch has taken yet."""
        for piece in call.pieces:
            if not piece.taken:
                self.drafts -= piece.stop - piece.start
                self.bytes -= piece.size_bytes
                piece.stop = piece.start
                piece.size_bytes = 0
        if not self.drafts:
            self._clear()

    def take(self) -> list[Piece]:
        """The next batch."""
        if self.drafts <= MAX_BATCH_DRAFTS and self.bytes <= MAX_BATCH_BYTES:
            batch = self._arrived
            self._clear()
        else:
            batch = list(self._turns())
        for piece in batch:
            piece.taken = True
        self._arrived = [piece for piece in self._arrived if not piece.taken]
        return batch

    def _clear(self) -> None:
        self._lines.clear()
        self._arrived = []
        self.drafts = self.bytes = 0

    def _turns(self) -> Iterator[Piece]:
        room_drafts, room_bytes = MAX_BATCH_DRAFTS, MAX_BATCH_BYTES
        while self._lines and room_drafts > 0:
            payer = next(iter(self._lines))
            line = self._lines[payer]
            turn_drafts = room_drafts if len(self._lines) == 1 else min(TURN_DRAFTS, room_drafts)
            count = _fitting(line[0], turn_drafts, room_bytes)
            if count == 0 and room_drafts < MAX_BATCH_DRAFTS and not line[0].is_empty():
                return  # full; this payer is the first of the next batch
            piece = _shift(line, max(count, 1))
            del self._lines[payer]
            if line:
                self._lines[payer] = line  # behind all others
            drafts = piece.stop - piece.start
            room_drafts -= drafts
            room_bytes -= piece.size_bytes
            self.drafts -= drafts
            self.bytes -= piece.size_bytes
            yield piece


def _size_bytes(call: Call, start: int, stop: int) -> int:
    return sum([call.drafts[at].size_bytes for at in range(start, stop)])


def _pieces(call: Call) -> list[Piece]:
    """Stretches of one payer: nearly always the whole call."""
    drafts = call.drafts
    if len(drafts) == 1:
        return [Piece(call, 0, 1)]
    payers = [draft.payer for draft in drafts]
    starts = [at for at in range(1, len(payers)) if payers[at] != payers[at - 1]]
    return [Piece(call, start, stop) for start, stop in pairwise([0, *starts, len(drafts)])]


def _fitting(piece: Piece, max_drafts: int, room_bytes: int) -> int:
    """How many drafts of a piece there is room for."""
    if piece.stop - piece.start <= max_drafts and piece.size_bytes <= room_bytes:
        return piece.stop - piece.start
    count = 0
    for at in range(piece.start, min(piece.stop, piece.start + max_drafts)):
        room_bytes -= piece.call.drafts[at].size_bytes
        if room_bytes < 0:
            break
        count += 1
    return count


def _shift(line: deque[Piece], count: int) -> Piece:
    """The first `count` drafts off a line, or the whole of its first piece if it has no more."""
    piece = line[0]
    if count >= piece.stop - piece.start:
        return line.popleft()
    first = piece.split(count)
    piece.call.pieces.append(first)
    return first
