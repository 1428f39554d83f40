"""A line on the screen with something at its left and something at its right, and a text that takes
as many lines as it needs."""

from __future__ import annotations

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from postbox.chat.lines import Line, Span, fitted, spread, wrapped
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
        return _strip(spread(*self._line, width) if not y else (), width, self)


class Note(Widget):
    """`least`: lines that it takes even if there is nothing to say. `most`: what is longer ends
    with an ellipsis."""

    DEFAULT_CSS = "Note { height: auto; }"

    def __init__(self, *, id: str | None = None, least: int = 0, most: int = 4) -> None:
        super().__init__(id=id)
        self._least = least
        self._most = most
        self._said = Span("")

    def show(self, said: Span) -> None:
        if said != self._said:
            was, self._said = self._lines(self.size.width), said
            self.refresh(layout=len(was) != len(self._lines(self.size.width)))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(self._least, len(self._lines(width)))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self._lines(width)
        return _strip((Span(lines[y], self._said.look),) if y < len(lines) else (), width, self)

    def _lines(self, width: int) -> list[str]:
        if not (self._said.text and width):
            return []
        lines = wrapped(self._said.text, width)
        if len(lines) > self._most:
            lines[self._most - 1] = fitted(" ".join(lines[self._most - 1 :]), width)
        return lines[: self._most]


def _strip(line: Line, width: int, of: Widget) -> Strip:
    strip = Strip([segment(span) for span in line]).crop(0, width).extend_cell_length(width)
    return strip.apply_style(of.rich_style)
