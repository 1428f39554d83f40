"""What peers and operators meet is on the protocol's page, word for word."""

from __future__ import annotations

import pytest

from postbox.core import service_names, verdict_names
from postbox.mesh.wire import HELLO_PATH, MODES, PING_PATH, SYNC_PATHS, About, Ping, SyncRequest
from structure.tree import ROOT

PAGE = ROOT / "docs" / "protocol" / "mesh.md"
SECTIONS = ("Purpose", "Invariants", "Messages", "Algorithms", "Failure modes")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def unsaid(words: tuple[str, ...], page: str) -> list[str]:
    """Those that do not stand there as code."""
    return [word for word in words if f"`{word}`" not in page]


def test_every_verdict_is_explained(page: str) -> None:
    assert unsaid(verdict_names, page) == []


def test_every_mode_service_and_field_of_a_request_is_explained(page: str) -> None:
    fields = tuple(SyncRequest.__struct_encode_fields__)
    assert unsaid((*MODES, *service_names, *fields), page) == []
    assert [path for path in (*SYNC_PATHS, HELLO_PATH, PING_PATH) if path not in page] == []


def test_every_field_of_a_ping_is_explained(page: str) -> None:
    fields = (*Ping.__struct_encode_fields__, *About.__struct_encode_fields__)
    assert [field for field in fields if f'"{field}":' not in page] == []


def test_the_page_has_the_sections_of_a_protocol_page(page: str) -> None:
    assert [name for name in SECTIONS if f"\n## {name}" not in page] == []
