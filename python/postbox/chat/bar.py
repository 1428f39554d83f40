"""One line on the screen, with something at its left and something at its right."""

from __future__ import annotations

from textual.strip import Strip
from textual.widget import Widget

from postbox.chat.lines import Line, spread
from postbox.chat.pane import segment


class Bar(Widget):
    def __init__(self, left: Line = (), right: Line = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._line = (left, right)

    def show(self, left: Line, right: Line = ()) -> None:
        if (left, right) != self._line:
            self._line = (left, right)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        line = spread(*self._line, width) if not y else ()
        strip = Strip([segment(span) for span in line]).crop(0, width).extend_cell_length(width)
        return strip.apply_style(self.rich_style)
