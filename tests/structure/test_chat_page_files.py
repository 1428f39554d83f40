"""The chat page: what a browser keeps of it is all of it, and its sync module stands alone."""

from __future__ import annotations

import re
from pathlib import Path

CHAT = Path(__file__).parents[2] / "python" / "postbox" / "page" / "chat"


def test_the_worker_keeps_every_file_of_the_page() -> None:
    text = (CHAT / "worker.js").read_text(encoding="utf-8")
    listed = re.findall(r"'\./([^']*)'", text.partition("const FILES = [")[2].partition("]")[0])
    there = {path.name for path in CHAT.iterdir() if path.name != "worker.js"}
    assert sorted(name or "index.html" for name in listed) == sorted(there)


def test_the_sync_module_imports_nothing() -> None:
    text = (CHAT / "sync.js").read_text(encoding="utf-8")
    assert re.findall(r"^import\b.*|\bimport\(", text, re.MULTILINE) == []


def test_the_contents_of_the_sync_module_are_its_sections() -> None:
    text = (CHAT / "sync.js").read_text(encoding="utf-8")
    contents = text.partition(" * From the top")[2]
    told = re.findall(r"^ \*     ([a-z ]+?)  +\S", contents, re.MULTILINE)
    assert told == re.findall(r"^// -- (.+?) -+$", text, re.MULTILINE)
    assert len(told) > 10


def test_no_script_of_the_page_reads_html() -> None:
    ways = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(")
    found = {path.name: ways.findall(path.read_text(encoding="utf-8")) for path in CHAT.iterdir()}
    assert {name: each for name, each in found.items() if each} == {}
