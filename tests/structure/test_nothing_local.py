"""A clone builds anywhere: nothing in git names somebody's machine, or where packages come from."""

from __future__ import annotations

import re
from pathlib import Path

from structure.tree import ROOT, tracked_files

LOCAL = re.compile(
    rb"pypi\.(?:org|python)|pythonhosted\.org|(?:index|static)\.crates\.io"
    rb"|--(?:extra-)?index-url|--find-link[s]"
    rb"|/(?:home|Users)/[a-z]|/roo[t]/|/wor[k]/|/op[t]/"
)


def local_words(path: Path) -> set[bytes]:
    return set(LOCAL.findall(path.read_bytes()))


def test_no_file_names_a_machine_or_a_registry() -> None:
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    found = {str(path.relative_to(ROOT)): words for path in files if (words := local_words(path))}
    assert found == {}


def test_local_words_are_seen(tmp_path: Path) -> None:
    note = tmp_path / "note"
    for word in ("https://pypi" + ".org/simple", "/ho" + "me/ann/x", "/ro" + "ot/x"):
        note.write_text(f"see {word} for it")
        assert len(local_words(note)) == 1
    note.write_text("postbox serve --home DIR, /api/sync, crates")
    assert local_words(note) == set()
