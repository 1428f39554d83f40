"""What the browsers see: rendered once a look, and shared by all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from postbox.errors import Fault
from postbox.page.figures import Point
from postbox.page.gathering import Gathering, Sight
from postbox.page.rendering import SECTIONS, Pages
from postbox.page.view import View, unseen, view_of


class Section(NamedTuple):
    """A part that changes by itself; the very same object as long as it does not. `lines`: its
    HTML as an event stream has it."""

    name: str
    html: str
    lines: bytes


class Shown(NamedTuple):
    """`points`: events a second, the newest last; `head`: the last position of the log."""

    view: View
    sections: Sequence[Section]
    points: Sequence[Point]
    head: int


class Showing:
    def __init__(self, gathering: Gathering, pages: Pages) -> None:
        self._gathering = gathering
        self._pages = pages
        self._sight: Sight | None = None
        self._why = ""  # the node could not be looked at since
        self._shown: Shown | None = None
        self._sections: dict[str, Section] = {}

    async def look(self) -> Shown:
        """Raises faults if nothing was seen yet. Later ones are shown, above what was seen last."""
        try:
            sight = await self._gathering.look()
        except Fault as fault:
            if self._shown is None:
                raise
            return self._blind(self._shown, fault)
        if self._shown is None or self._why or sight is not self._sight:
            self._sight, self._why = sight, ""
            self._shown = self._render(view_of(sight), sight.points, sight.head)
        return self._shown

    def _blind(self, shown: Shown, fault: Fault) -> Shown:
        if str(fault) != self._why:
            self._why = str(fault)
            shown = self._shown = self._render(unseen(shown.view, fault), shown.points, shown.head)
        return shown

    def _render(self, view: View, points: Sequence[Point], head: int) -> Shown:
        for name in SECTIONS:
            html = self._pages.section(name, view)
            had = self._sections.get(name)
            if had is None or had.html != html:
                self._sections[name] = Section(name, html, lines_of(html))
        return Shown(view, list(self._sections.values()), points, head)


def lines_of(html: str) -> bytes:
    """Whatever stands in it never ends its message (WHATWG HTML, 9.2.6)."""
    return "".join(f"data: {line}\n" for line in html.splitlines() if line.strip()).encode()
