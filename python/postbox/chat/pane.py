"""A list of blocks on the screen, of which one can be chosen. Only lines that became others are
drawn again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Blur, Click, Focus, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from postbox.chat.lines import Block, Look, Span, spread
from postbox.chat.view import Row, View

Make: TypeAlias = Callable[[int], list[Block]]
"""The blocks, for a width."""

STYLES = {
    Look.PLAIN: Style(),
    Look.DIM: Style(dim=True),
    Look.STRONG: Style(bold=True),
    Look.OWN: Style(bold=True, italic=True),
    Look.GOOD: Style(color="green"),
    Look.BAD: Style(color="red", bold=True),
    Look.MARK: Style(color="magenta", bold=True),
}
"""Of the terminal's own sixteen colours the three that are read on dark and on light ground."""

CHOSEN = Style(reverse=True)
MORE = (Span("↓", Look.MARK),)
WHEEL_LINES = 3


def segment(span: Span) -> Segment:
    """What strangers wrote is text: nothing of it is read as markup."""
    return Segment(span.text, STYLES[span.look])


class Pane(Widget, can_focus=True):
    """`has_end`: see View."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "start", show=False),
        Binding("end", "end", show=False),
        Binding("enter", "take", show=False),
    ]

    class Said(Message):
        """What somebody did in a pane."""

        def __init__(self, pane: Pane, key: str = "") -> None:
            super().__init__()
            self.pane = pane
            self.key = key

        @property
        def control(self) -> Pane:
            return self.pane

    class Taken(Said):
        """Enter, or a click, on a block."""

    class AtStart(Said):
        """Somebody wants to see what is above the first line."""

    class AtEnd(Said):
        """Somebody wants to see what is below the last one, or is there."""

    def __init__(self, *, id: str | None = None, has_end: bool = False) -> None:
        super().__init__(id=id)
        self._has_end = has_end
        self._make: Make = lambda _: []
        self._drawn: list[Row] = []
        self.view = View(has_end=has_end)

    @property
    def chosen(self) -> str:
        return self.view.chosen if self.has_focus else ""

    @property
    def has_place(self) -> bool:
        """For more lines than there are."""
        return self.view.length < self.size.height

    def show(self, make: Make) -> None:
        self._make = make
        if self.size.width:
            self.view.show(make(self.size.width))
            if self.has_focus:
                self._choose_one()
            self._draw()

    def show_other(self, make: Make) -> None:
        """What has nothing to do with what was shown before."""
        self.view = View(has_end=self._has_end)
        self.view.resize(self.size.height)
        self.show(make)

    def choose(self, key: str) -> None:
        self.view.choose(key)
        self._draw()

    def on_resize(self, event: Resize) -> None:
        self.view.resize(event.size.height)
        self.show(self._make)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._drawn):
            return Strip.blank(width, self.rich_style)
        row = self._drawn[y]
        strip = Strip([segment(span) for span in row.line]).crop(0, width)
        strip = strip.extend_cell_length(width)
        if row.is_chosen and self.has_focus:
            strip = Strip([Segment(each.text, _chosen(each.style)) for each in strip], width)
        return strip.apply_style(self.rich_style)

    def _choose_one(self) -> None:
        if not self.view.chosen:
            self.view.choose_last() if self._has_end else self.view.choose_first()

    def _draw(self) -> None:
        before, self._drawn = self._drawn, self.view.rows()
        if not self.view.is_at_end:
            self._drawn[-1] = _with_more(self._drawn[-1], self.size.width)
        for y in range(max(len(before), len(self._drawn))):
            if before[y : y + 1] != self._drawn[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    # -- keys and the mouse -----------------------------------------------------------------------

    def on_focus(self, _: Focus) -> None:
        self._choose_one()
        self._draw()
        self.refresh()

    def on_blur(self, _: Blur) -> None:
        if self._has_end:
            self.view.choose("")
        self._draw()
        self.refresh()

    def action_move(self, step: int) -> None:
        if not self.view.move(step):
            self.post_message(self.AtStart(self) if step < 0 else self.AtEnd(self))
        self._moved(step)

    def action_page(self, pages: int) -> None:
        was_there = self.view.is_at_start if pages < 0 else self.view.is_at_end
        self.view.page(pages)
        if was_there:
            self.view.to_start() if pages < 0 else self.view.to_end()
        self._moved(pages)

    def action_start(self) -> None:
        self.view.to_start()
        self._moved(-1)

    def action_end(self) -> None:
        self.view.to_end()
        self._moved(1)

    def action_take(self) -> None:
        if self.view.chosen:
            self.post_message(self.Taken(self, self.view.chosen))

    def on_click(self, event: Click) -> None:
        key = self.view.key_at(event.y)
        if key:
            self.choose(key)
            self.post_message(self.Taken(self, key))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.view.scroll(-WHEEL_LINES)
        self._moved(-1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.view.scroll(WHEEL_LINES)
        self._moved(1)

    def _moved(self, step: int) -> None:
        self._draw()
        if step < 0 and self.view.is_at_start:
            self.post_message(self.AtStart(self))
        if step > 0 and self.view.is_at_end:
            self.post_message(self.AtEnd(self))


def _with_more(row: Row, width: int) -> Row:
    """There is more below."""
    return Row(spread(row.line, MORE, width), row.key, row.is_chosen)


def _chosen(style: Style | None) -> Style:
    """Without colours, which turned around are loud."""
    return CHOSEN + Style(bold=style.bold if style else None)
