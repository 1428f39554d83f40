"""ARCHITECTURE.md is a map: what it names is there."""

from __future__ import annotations

import re

from structure.tree import PACKAGE, ROOT

PLACES = (ROOT, PACKAGE, ROOT / "rust")
"""What a path may be relative to."""

SUFFIXES = (".py", ".rs", ".md", ".toml", ".proto", ".sql", ".txt", ".pyi")


def named_paths(text: str) -> set[str]:
    """What stands in backticks and is a path: it has a slash inside or at its end, or a suffix of
    ours. Routes (`/api/sync`), addresses and commands (with blanks) are none."""
    quoted = re.findall(r"`([^`\s]+)`", text)
    return {
        word
        for word in quoted
        if not word.startswith(("/", "-")) and ":" not in word and "<" not in word
        if "/" in word or word.endswith(SUFFIXES)
    }


def is_there(path: str) -> bool:
    return any(
        (place / path).exists() or ("*" in path and next(place.glob(path), None) is not None)
        for place in PLACES
    )


def test_every_path_that_the_map_names_exists() -> None:
    named = named_paths((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(named) >= 10, "a map of ten places at least, each in backticks"
    assert {path for path in named if not is_there(path)} == set()


def test_paths_are_told_from_other_words() -> None:
    text = "`store/runner.py`, `mesh/`, `core.py`; `POST /api/sync`, `/ping`, `world`, `make test`"
    assert named_paths(text) == {"store/runner.py", "mesh/", "core.py"}
    assert is_there("net/server.py")
    assert is_there("net/*.py")
    assert not is_there("net/nowhere.py")
