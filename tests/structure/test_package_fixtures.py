"""What is made once for a package ends with it: to pytest only a folder with `__init__.py` is one,
and in any other such a fixture lasts, without a word, to the end of the session."""

from __future__ import annotations

import re

from structure.tree import ROOT, tracked_files

OF_PACKAGE = re.compile(r"""^@pytest\.fixture\(.*scope=["']package["']""", re.MULTILINE)


def test_a_fixture_of_a_package_is_in_a_package() -> None:
    tests = [path for path in tracked_files() if path.is_relative_to(ROOT / "tests")]
    python = [path for path in tests if path.suffix == ".py"]
    folders = {
        path.parent for path in python if OF_PACKAGE.search(path.read_text(encoding="utf-8"))
    }
    assert folders, "the test has lost its way"
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()
