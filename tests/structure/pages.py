"""The protocol's pages, and what of the code's words is not on one."""

from __future__ import annotations

from collections.abc import Iterable

from structure.tree import ROOT

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/protocol").iterdir()}


def unsaid(words: Iterable[str], page: str) -> list[str]:
    """Those that do not stand there as code."""
    return [word for word in words if f"`{word}`" not in page]


def untold(phrases: Iterable[str], page: str) -> list[str]:
    """Those that do not stand there, wherever a line ends."""
    told = " ".join(page.split())
    return [phrase for phrase in phrases if phrase not in told]
