"""What stands in front of the chat for a moment: a question, a text, a list with keys.

What is answered is done while it stands there: if it cannot be done it says why and stays, with all
that was typed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from postbox.chat.bar import Bar, Note
from postbox.chat.lines import Look, Span
from postbox.chat.pane import Make, Pane

BOX = """
    align: center middle;
    #box {
        width: 64;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        border: round ansi_default;
        padding: 0 1;
    }
    Bar { height: 1; }
    Input { border: none; height: 1; padding: 0; margin-bottom: 1; }
    &.-narrow Input { margin-bottom: 0; }
    Pane { height: auto; }
"""

Do: TypeAlias = Callable[..., Awaitable[str]]
"""Does what was answered; why that cannot be done, or nothing."""


@dataclass(frozen=True)
class Field:
    label: str
    value: str = ""


class Ask(ModalScreen[None]):
    """One line for each field; Enter in the last one answers, Escape does not. `do`: is given what
    was typed."""

    CSS = "Ask {" + BOX + "}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", show=False)]

    def __init__(self, title: str, fields: Sequence[Field], do: Do) -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._doing = Doing(self, do)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Bar((Span(self._title, Look.STRONG),))
            for field in self._fields:
                yield Bar((Span(field.label, Look.DIM),))
                typed = Input(field.value)
                typed.cursor_blink = False
                yield typed
            yield self._doing.note
            yield Bar((Span("Enter go on  Esc leave it", Look.DIM),))

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        inputs = list(self.query(Input))
        at = inputs.index(event.input)
        if at + 1 < len(inputs):
            inputs[at + 1].focus()
        else:
            await self._doing.do(*(each.value for each in inputs))


class Confirm(ModalScreen[None]):
    CSS = "Confirm {" + BOX + "}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", show=False),
        Binding("n,escape", "app.pop_screen", show=False),
    ]

    def __init__(self, question: str, do: Do) -> None:
        super().__init__()
        self._question = question
        self._doing = Doing(self, do)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Bar((Span(self._question, Look.STRONG),))
            yield self._doing.note
            yield Bar((Span("y yes  n no", Look.DIM),))

    async def action_agree(self) -> None:
        await self._doing.do()


class Doing:
    """What was answered, once: the dialog goes when it is done."""

    def __init__(self, screen: ModalScreen[None], do: Do) -> None:
        self._screen = screen
        self._do = do
        self._is_done = False
        self.note = Note()

    async def do(self, *answered: str) -> None:
        if self._is_done:  # Enter was pressed twice
            return
        self._is_done = True
        why_not = await self._do(*answered)
        self._is_done = not why_not
        self.note.show(Span(why_not, Look.BAD))
        if self._is_done and self._screen.is_current:
            self._screen.dismiss()


@dataclass(frozen=True)
class Answer:
    """Which key was pressed on which block."""

    act: str
    key: str


@dataclass(frozen=True)
class Act:
    """`is_of_one`: it takes something that is chosen."""

    key: str
    name: str
    is_of_one: bool = False


class Listed(ModalScreen[Answer]):
    """Something to read, or a list in which keys do something. `do`: is given the answer, and the
    list stays; without it the list ends with the answer."""

    CSS = (
        "Listed {"
        + BOX
        + """
    #box { height: 100%; max-height: 24; }
    Pane { height: 1fr; }
}"""
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", show=False),
    ]

    def __init__(
        self, title: str, make: Make, acts: Sequence[Act] = (), do: Do | None = None
    ) -> None:
        super().__init__()
        self._title = title
        self._acts = acts
        self._make = make
        self._do = do
        self.pane = Pane()
        self.note = Note()

    def compose(self) -> ComposeResult:
        keys = [f"{act.key} {act.name}" for act in self._acts]
        with Vertical(id="box"):
            yield Bar((Span(self._title, Look.STRONG),))
            yield self.pane
            yield self.note
            yield Bar((Span("  ".join([*keys, "Esc back"]), Look.DIM),))

    def on_mount(self) -> None:
        for act in self._acts:
            self._bindings.bind(act.key, f"do('{act.key}')", show=False)
        self.pane.focus()
        self.show(self._make)

    def show(self, make: Make) -> None:
        self.pane.show(make)

    async def action_do(self, key: str) -> None:
        act = next(each for each in self._acts if each.key == key)
        answer = Answer(act.name, self.pane.chosen)
        if act.is_of_one and not answer.key:
            return
        if self._do is None:
            self.dismiss(answer)
        else:
            self.note.show(Span(await self._do(answer), Look.BAD))
