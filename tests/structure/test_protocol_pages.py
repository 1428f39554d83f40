"""A door's protocol has a page, and every page tells the same things in the same order."""

from __future__ import annotations

import re

import pytest

from structure.pages import PAGES

SECTIONS = ["Purpose", "Invariants", "Messages", "Algorithms", "Failure modes"]


@pytest.mark.parametrize("door", PAGES)
def test_a_protocols_page_has_its_sections_in_their_order(door: str) -> None:
    assert re.findall(r"^## (.*)$", PAGES[door], re.MULTILINE) == SECTIONS


def test_each_door_that_is_there_has_its_page() -> None:
    assert PAGES.keys() >= {"mesh", "hosts", "clients"}
