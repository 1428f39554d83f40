"""Numbers that look random and follow from a text: the same on every machine and Python."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

_BLOCK = struct.Struct("<8192Q")


class Draws:
    """SHAKE-256 of the text and a block number, read as little-endian 64-bit numbers."""

    def __init__(self, text: str) -> None:
        self._next = _numbers(text.encode()).__next__

    def below(self, limit: int) -> int:
        """0 <= n < limit. Uneven by less than limit / 2**64, which nobody sees up to 2**50."""
        return self._next() * limit >> 64

    def fraction(self) -> float:
        """0 <= x < 1, in steps of 2**-53."""
        return (self._next() >> 11) * 2.0**-53

    def shuffle(self, items: bytearray) -> None:
        """Fisher and Yates."""
        below = self.below
        for last in range(len(items) - 1, 0, -1):
            other = below(last + 1)
            items[last], items[other] = items[other], items[last]


def _numbers(text: bytes) -> Iterator[int]:
    block = 0
    while True:
        stream = hashlib.shake_256(text + block.to_bytes(8, "little"))
        yield from _BLOCK.unpack(stream.digest(_BLOCK.size))
        block += 1
