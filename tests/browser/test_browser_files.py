"""A browser takes the scripts of the pages from a node, under their policy."""

from __future__ import annotations

from pathlib import Path

from browser.conftest import Serve, Visit


def test_a_browser_shows_a_file_of_a_serving_node(
    serve: Serve, visitor: Visit, tmp_path: Path
) -> None:
    url = serve(tmp_path / "home")
    page = visitor().open(f"{url}/assets/icon.svg")
    assert page.locator("svg").count() == 1
