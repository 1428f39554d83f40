"""What stands in front of the chat for a moment: a question, a text, a list with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from postbox.chat.bar import Bar
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
    Pane { height: auto; }
"""


@dataclass(frozen=True)
class Field:
    label: str
    value: str = ""


class Ask(ModalScreen[list[str]]):
    """One line for each field; Enter in the last one answers, Escape does not."""

    CSS = "Ask {" + BOX + "}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", show=False)]

    def __init__(self, title: str, *fields: Field) -> None:
        super().__init__()
        self._title = title
        self._fields = fields

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Bar((Span(self._title, Look.STRONG),))
            for field in self._fields:
                yield Bar((Span(field.label, Look.DIM),))
                typed = Input(field.value)
                typed.cursor_blink = False
                yield typed
            yield Bar((Span("Enter go on  Esc leave it", Look.DIM),))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        inputs = list(self.query(Input))
        at = inputs.index(event.input)
        if at + 1 < len(inputs):
            inputs[at + 1].focus()
        else:
            self.dismiss([each.value for each in inputs])


class Confirm(ModalScreen[bool]):
    CSS = "Confirm {" + BOX + "}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape", "answer(False)", show=False),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Bar((Span(self._question, Look.STRONG),))
            yield Bar((Span("y yes  n no", Look.DIM),))

    def action_answer(self, is_yes: bool) -> None:
        self.dismiss(is_yes)


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
    """Something to read, or a list in which keys do something."""

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

    def __init__(self, title: str, make: Make, acts: Sequence[Act] = ()) -> None:
        super().__init__()
        self._title = title
        self._acts = acts
        self._make = make
        self.pane = Pane()

    def compose(self) -> ComposeResult:
        keys = [f"{act.key} {act.name}" for act in self._acts]
        with Vertical(id="box"):
            yield Bar((Span(self._title, Look.STRONG),))
            yield self.pane
            yield Bar((Span("  ".join([*keys, "Esc back"]), Look.DIM),))

    def on_mount(self) -> None:
        for act in self._acts:
            self._bindings.bind(act.key, f"do('{act.key}')", show=False)
        self.pane.focus()
        self.show(self._make)

    def show(self, make: Make) -> None:
        self.pane.show(make)

    def action_do(self, key: str) -> None:
        act = next(each for each in self._acts if each.key == key)
        if self.pane.chosen or not act.is_of_one:
            self.dismiss(Answer(act.name, self.pane.chosen))
