"""The README's pictures: all there, all used, small, and whole in themselves."""

from __future__ import annotations

import re

from structure.tree import ROOT

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_every_picture_that_is_there() -> None:
    shown = set(re.findall(r"docs/pictures/([\w.-]+)", README))
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
