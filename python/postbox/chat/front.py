"""How the chat asks the user and tells it what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from textual.app import App
from textual.screen import ModalScreen
from textual.timer import Timer

from postbox.chat.dialogs import Ask, Confirm, Field
from postbox.chat.plain import plain_line
from postbox.chat.wording import NOT_BY_ITSELF
from postbox.client import CallFailed, NotByItself
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

    async def why_not(self, doing: Awaitable[object]) -> str:
        """Does it; why it cannot be done, or nothing."""
        try:
            await doing
        except CallFailed as failed:
            return plain_line(failed.text)
        except NotByItself:
            return NOT_BY_ITSELF
        except (ValueError, Fault) as error:
            return plain_line(str(error)) or type(error).__name__
        return ""

    async def do(self, doing: Awaitable[object]) -> bool:
        """Whether it was done; if not, the user is told why."""
        why_not = await self.why_not(doing)
        if why_not:
            self.tell(why_not)
        return not why_not

    def ask(self, then: Callable[..., Awaitable[object]], title: str, *fields: Field) -> None:
        async def do(*values: str) -> str:
            return await self.why_not(then(*values))

        self.show(Ask(title, fields, do))

    def confirm(
        self, then: Callable[[], Awaitable[object]], question: str, *, is_over: bool = False
    ) -> None:
        """`is_over`: in front of the list that stands there."""

        async def do() -> str:
            return await self.why_not(then())

        if is_over:
            self._app.push_screen(Confirm(question, do))
        else:
            self.show(Confirm(question, do))

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
