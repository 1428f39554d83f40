"""A migration that was released is never changed: databases that ran it are out there."""

from __future__ import annotations

import hashlib

from structure.tree import ROOT

RELEASED = ROOT / "tests" / "data" / "schemas" / "released.sha256"


def test_no_released_migration_was_changed() -> None:
    lines = [line.split() for line in RELEASED.read_text(encoding="utf-8").splitlines()]
    assert len(lines) >= 3
    for digest, path in lines:
        now = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
        assert now == digest, f"{path} was released: write another migration instead"
