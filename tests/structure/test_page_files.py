"""What others wrote is as they published it, and pages have nothing that their policy forbids."""

from __future__ import annotations

import hashlib
import re

from structure.tree import PACKAGE

VENDOR = PACKAGE / "page" / "vendor"
OURS = ("*.html", "*.j2", "*.js", "*.css")

INLINE = re.compile(
    r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\bhx-on\b|https?://(?!www\.w3\.org/)"
)
"""Scripts and styles inside of a page, and what would be fetched from elsewhere."""


def test_every_file_of_others_is_the_one_that_was_looked_at() -> None:
    listed = (VENDOR / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in listed)}
    lying = {path.name: path.read_bytes() for path in VENDOR.iterdir()}
    del lying["SHA256SUMS"], lying["README.md"]
    assert {name: hashlib.sha256(body).hexdigest() for name, body in lying.items()} == sums


def test_every_file_of_others_is_named_with_its_licence() -> None:
    text = (VENDOR / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in VENDOR.iterdir() if f"`{path.name}`" not in text] == ["README.md"]


def test_no_page_has_a_script_or_a_style_inside_or_anything_from_elsewhere() -> None:
    files = [path for shape in OURS for path in (PACKAGE / "page").rglob(shape)]
    found = {
        path.name: INLINE.findall(path.read_text(encoding="utf-8"))
        for path in files
        if VENDOR not in path.parents and path.suffix in (".html", ".j2")
    }
    assert {name: words for name, words in found.items() if words} == {}


def test_what_is_inside_of_a_page_is_seen() -> None:
    for bad in ("<script>1", '<p style="x">', '<p onclick="x">', '<img src="https://a.example">'):
        assert INLINE.search(bad), bad
    assert not INLINE.search(
        '<script src="/assets/page.js"></script><svg xmlns="http://www.w3.org/2000/svg">'
    )
