"""What of a list of blocks is seen: the part that fits, where it begins, and which block is chosen.

It stays where the reader is: blocks that come above or change do not move what is seen, and who is
at the end of a conversation stays at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbox.chat.lines import Block, Line


@dataclass(frozen=True)
class Row:
    """A line on the screen. `key`: of its block."""

    line: Line
    key: str
    is_chosen: bool


class View:
    """`has_end`: the end is where one begins to read, as in a conversation."""

    def __init__(self, *, has_end: bool = False) -> None:
        self._has_end = has_end
        self._rows: list[tuple[str, int, Line]] = []  # key, line of its block, line
        self._keys: list[str] = []
        self._height = 1
        self.top = 0
        self.chosen = ""

    @property
    def length(self) -> int:
        return len(self._rows)

    @property
    def is_at_start(self) -> bool:
        return self.top == 0

    @property
    def is_at_end(self) -> bool:
        return self.top >= self._last_top

    def rows(self) -> list[Row]:
        """That are seen, from the top."""
        seen = self._rows[self.top : self.top + self._height]
        return [Row(line, key, bool(key) and key == self.chosen) for key, _, line in seen]

    # -- what there is ----------------------------------------------------------------------------

    def show(self, blocks: Sequence[Block]) -> None:
        stays_at_end, anchor, chosen_at = self._stays_at_end(), self._anchor(), self._chosen_at()
        self._rows = [
            (block.key, at, line) for block in blocks for at, line in enumerate(block.lines)
        ]
        self._keys = list(dict.fromkeys(block.key for block in blocks if block.key))
        if self.chosen and self.chosen not in self._keys:  # it is gone: the one in its place
            self.chosen = self._keys[min(chosen_at, len(self._keys) - 1)] if self._keys else ""
        self._go(self._last_top if stays_at_end else self._place_of(anchor))

    def resize(self, height: int) -> None:
        """`show` again behind it, if the width is another one."""
        stays_at_end = self._stays_at_end()
        self._height = max(1, height)
        self._go(self._last_top if stays_at_end else self.top)
        self._reveal()

    def _stays_at_end(self) -> bool:
        return self._has_end and self.is_at_end

    def _anchor(self) -> list[tuple[str, int, int]]:
        """The blocks that are seen: key, line of the block, line of the screen."""
        seen = self._rows[self.top : self.top + self._height]
        return [(key, of_block, at) for at, (key, of_block, _) in enumerate(seen) if key]

    def _place_of(self, anchor: list[tuple[str, int, int]]) -> int:
        """The top with which the first of them that is still there stands where it stood."""
        places: dict[str, int] = {}
        for at, (key, _, _) in enumerate(self._rows):
            places.setdefault(key, at)
        for key, of_block, on_screen in anchor:
            if key in places:
                return places[key] + of_block - on_screen
        return self.top

    # -- moving -----------------------------------------------------------------------------------

    def scroll(self, lines: int) -> None:
        self._go(self.top + lines)

    def page(self, pages: int) -> None:
        """Of what one saw, a line stays. What is chosen comes along."""
        self._go(self.top + pages * max(1, self._height - 1))
        if self.chosen:
            seen = [row.key for row in self.rows() if row.key]
            if seen and self.chosen not in seen:
                self.chosen = seen[0] if pages < 0 else seen[-1]

    def to_end(self) -> None:
        self.choose(self._keys[-1] if self._keys and self.chosen else "")
        self._go(self._last_top)

    def to_start(self) -> None:
        self.choose(self._keys[0] if self._keys and self.chosen else "")
        self._go(0)

    def choose(self, key: str) -> None:
        """Empty: none."""
        self.chosen = key if key in self._keys else ""
        self._reveal()

    def choose_last(self) -> None:
        self.choose(self._keys[-1] if self._keys else "")

    def choose_first(self) -> None:
        self.choose(self._keys[0] if self._keys else "")

    def move(self, step: int) -> bool:
        """To the block before (-1) or behind (1); what does not fit is scrolled through first.
        False: there is none."""
        first, last = self._lines_of(self.chosen)
        if step < 0 and first < self.top:
            self._go(max(first, self.top - self._height + 1))
            return True
        if step > 0 and last >= self.top + self._height:
            self._go(min(last - self._height + 1, self.top + self._height - 1))
            return True
        if not self._keys:  # something to read
            self._go(self.top + step)
            return not (self.is_at_start if step < 0 else self.is_at_end)
        at = self._chosen_at() + step
        if not 0 <= at < len(self._keys):
            self._go(0 if step < 0 else self._last_top)
            return False
        self.choose(self._keys[at])
        return True

    def key_at(self, row: int) -> str:
        """Of the block on that line of the screen."""
        rows = self.rows()
        return rows[row].key if 0 <= row < len(rows) else ""

    # -- how it is done ---------------------------------------------------------------------------

    @property
    def _last_top(self) -> int:
        return max(0, len(self._rows) - self._height)

    def _go(self, top: int) -> None:
        self.top = max(0, min(top, self._last_top))

    def _chosen_at(self) -> int:
        return self._keys.index(self.chosen) if self.chosen in self._keys else len(self._keys)

    def _lines_of(self, key: str) -> tuple[int, int]:
        """First and last; where nothing is chosen, what is seen."""
        of_block = [at for at, row in enumerate(self._rows) if row[0] == key and key]
        if not of_block:
            return self.top, self.top + self._height - 1
        return of_block[0], of_block[-1]

    def _reveal(self) -> None:
        if not self.chosen:
            return
        first, last = self._lines_of(self.chosen)
        if last >= self.top + self._height:
            self._go(last - self._height + 1)
        if first < self.top or last - first >= self._height:
            self._go(first)
