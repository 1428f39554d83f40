"""The authority of `tests/surface/conftest.py`, for those who take a file of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"
