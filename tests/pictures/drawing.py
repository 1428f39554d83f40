"""What a terminal shows, as a picture that needs nothing from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text
from textual.app import App

COLUMNS = 84
ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Fonts of a server, and who sends them; whoever looks has a font of fixed width."""


def draw_lines(lines: Sequence[str], path: Path) -> None:
    """`lines`: with the codes by which they have colours."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), highlight=False)
    svg = console.export_svg(title="postbox", unique_id="demo")
    path.write_text(ELSEWHERE.sub("", svg), encoding="utf-8")


def in_svg(app: App[None]) -> str:
    return ELSEWHERE.sub("", app.export_screenshot(title="postbox chat"))
