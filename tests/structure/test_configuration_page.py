"""docs/configuration.md is made from the declaration: nobody edits it."""

from __future__ import annotations

from pathlib import Path

from postbox.cli.config import page, sample
from postbox.config import Config, load
from postbox.config.reading import declared
from structure.tree import ROOT

PAGE = ROOT / "docs" / "configuration.md"


def test_the_page_is_what_the_declaration_makes() -> None:
    again = "python -m postbox.cli.config > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == page(), f"make it again: {again}"


def test_every_key_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    undocumented = [one.path for one in declared().values() if f"\n### {one.name}\n" not in text]
    assert undocumented == []
    assert all(one.key.text and not one.key.text.endswith(".") for one in declared().values())


def test_the_file_on_the_page_sets_every_key_to_its_default(tmp_path: Path) -> None:
    on_the_page = page().split("```toml\n")[1].split("```")[0]
    assert on_the_page == sample()
    assert all(f"\n{one.name} = " in on_the_page for one in declared().values())
    (tmp_path / "config.toml").write_text(on_the_page, encoding="utf-8")
    assert load(tmp_path) == Config()
