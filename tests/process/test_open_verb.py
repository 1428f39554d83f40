"""`postbox open`: a link to the page of the node that serves, or why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbox.admin.page import from_here
from support.command import Call, postbox, served


def test_a_serving_node_gives_a_link_and_each_one_is_another(call: Call, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        first, second = (postbox("open", "--home", tmp_path) for _ in range(2))
        as_json = postbox("open", "--home", tmp_path, "--json")
    for done in (first, second):
        assert done.code == 0
        assert done.out.startswith(f"{url}/#")
        assert done.out.count("\n") == 1
        assert done.err == "postbox: open it in a browser; good once, within 10 min\n"
    assert first.out != second.out
    assert as_json.json["url"].startswith(f"{url}/#")
    assert as_json.json["good_s"] == 600
    stopped = call("open", "--home", tmp_path)
    assert (stopped.code, stopped.out) == (1, "")
    assert "postbox serve, then postbox open" in stopped.err


def test_a_node_without_pages_says_how_it_gets_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[page]\nenabled = false\n")
    with served(tmp_path):
        done = postbox("open", "--home", tmp_path)
    assert done.code == 1
    assert "page.enabled" in done.err


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:7433", "http://127.0.0.1:7433"),
        ("http://0.0.0.0:7433", "http://127.0.0.1:7433"),
        ("http://[::]:7433", "http://[::1]:7433"),
        ("https://node.example", "https://node.example"),
        ("http://100.64.0.7:7433", "http://100.64.0.7:7433"),
    ],
)
def test_the_link_is_one_that_a_browser_can_call(url: str, here: str) -> None:
    assert from_here(url) == here
