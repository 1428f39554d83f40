"""What other hosts meet is on the protocol's page, word for word."""

from __future__ import annotations

import pytest
from connectrpc.code import Code

from postbox.config import HostsConfig
from postbox.hosts.callers import REQUESTS_AT_ONCE, REQUESTS_OF_HOST, STRANGERS_PER_MINUTE
from postbox.hosts.requests import LARGE_AT_ONCE, LARGE_OF_ADDRESS, SMALL_BODY_BYTES
from postbox.hosts.server import ALIVE_S
from postbox.hosts.tables import MAX_EVENT_BYTES
from postbox.hosts.wire import (
    CAPABILITIES,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_REQUEST_BYTES,
    PATHS,
)
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from structure.tree import ROOT

PAGE = ROOT / "docs" / "protocol" / "hosts.md"
SECTIONS = ("Purpose", "Invariants", "Messages", "Algorithms", "Failure modes")
GIVEN = (
    Code.UNAUTHENTICATED,
    Code.PERMISSION_DENIED,
    Code.RESOURCE_EXHAUSTED,
    Code.INVALID_ARGUMENT,
    Code.FAILED_PRECONDITION,
    Code.UNIMPLEMENTED,
    Code.UNAVAILABLE,
    Code.INTERNAL,
)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_sections_of_a_protocol_page(page: str) -> None:
    assert [name for name in SECTIONS if f"\n## {name}" not in page] == []


def test_every_path_capability_and_field_of_an_event_is_explained(page: str) -> None:
    fields = [field.name for field in PostboxEvent.desc().fields]
    told = (*PATHS.values(), *CAPABILITIES, *fields)
    assert [word for word in told if f"`{word}`" not in page] == []


def test_every_code_that_a_host_is_given_is_explained(page: str) -> None:
    assert [code.name for code in GIVEN if f"| {code.name} |" not in page] == []


def test_every_limit_that_a_host_meets_is_told(page: str) -> None:
    told = " ".join(page.split())
    limits = (
        f"1 to {MAX_BATCH_EVENTS:,} events, at most {MAX_BATCH_BYTES >> 20} MiB",
        f"An event takes at most {MAX_EVENT_BYTES:,} bytes",
        f"after {ALIVE_S:g} s without anything",
        f"{HostsConfig().requests_per_minute:,} requests a minute (`hosts.requests_per_minute`)",
        f"{REQUESTS_OF_HOST} requests under way, and {REQUESTS_AT_ONCE} of all hosts together",
        f"{STRANGERS_PER_MINUTE} requests a minute that prove nothing",
        f"{LARGE_OF_ADDRESS} bodies of more than {SMALL_BODY_BYTES >> 10} KiB, and {LARGE_AT_ONCE}",
        f"{MAX_REQUEST_BYTES / 2**20:g} MiB | a body",
    )
    assert [limit for limit in limits if limit not in told] == []
