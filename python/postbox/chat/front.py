"""How the chat asks the user and tells it what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.app import App
from textual.screen import ModalScreen
from textual.timer import Timer

from postbox.chat.dialogs import Ask, Confirm, Field
from postbox.chat.plain import plain_line
from postbox.client import CallFailed
from postbox.errors import Fault

T = TypeVar("T")
NOTICE_S = 8.0
"""That it stands there: long enough to be read twice."""


class Front:
    """`draw`: the line where the notice stands."""

    def __init__(self, app: App[None], draw: Callable[[], None]) -> None:
        self._app = app
        self._draw = draw
        self._over: Timer | None = None
        self.notice = ""

    @property
    def is_busy(self) -> bool:
        """Something stands in front of the chat."""
        return isinstance(self._app.screen, ModalScreen)

    async def do(self, doing: Awaitable[object]) -> bool:
        """Whether it was done; if not, the user is told why."""
        try:
            await doing
        except CallFailed as failed:
            self.tell(failed.text)
        except (ValueError, Fault) as error:
            self.tell(str(error))
        else:
            return True
        return False

    def ask(self, then: Callable[..., Awaitable[object]], title: str, *fields: Field) -> None:
        async def go_on(values: list[str] | None) -> None:
            if values is not None:
                await self.do(then(*values))

        if not self.is_busy:
            self._app.push_screen(Ask(title, *fields), go_on)

    def confirm(self, then: Callable[[], Awaitable[object]], question: str) -> None:
        async def go_on(is_yes: bool | None) -> None:
            if is_yes:
                await self.do(then())

        if not self.is_busy:
            self._app.push_screen(Confirm(question), go_on)

    def show(
        self, screen: ModalScreen[T], then: Callable[[T | None], Awaitable[None]] | None = None
    ) -> None:
        if not self.is_busy:
            self._app.push_screen(screen, then)

    def tell(self, text: str) -> None:
        self.notice = plain_line(text)
        if self._over is not None:
            self._over.stop()
        self._over = self._app.set_timer(NOTICE_S, self._forget)
        self._draw()

    def _forget(self) -> None:
        self.notice = ""
        self._draw()
