"""The pictures of the README and the pages: all there, all used, small, and whole in themselves."""

from __future__ import annotations

import re

from structure.tree import ROOT

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
PAGES = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    shown = {name for text in texts for name in re.findall(r"pictures/([\w-]+\.(?:png|svg))", text)}
    assert shown == {path.name for path in FOLDER.iterdir()}, "make pictures makes them"


def test_pictures_are_small() -> None:
    large = [path.name for path in FOLDER.iterdir() if path.stat().st_size > MOST_BYTES]
    assert large == []


def test_a_drawn_picture_loads_nothing_from_elsewhere() -> None:
    drawn = list(FOLDER.glob("*.svg"))
    assert drawn
    for path in drawn:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert not re.search(r"https?:|url\((?!#)", re.sub(r"<text.*?</text>", "", text)), path.name
