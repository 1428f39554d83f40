"""What peers and operators meet is on the protocol's page, word for word."""

from __future__ import annotations

from postbox.config import MeshConfig
from postbox.core import service_names, verdict_names
from postbox.mesh.calling.client import (
    DEADLINE_S,
    MAX_ANSWER_BYTES,
    MAX_CLOCK_DIFFERENCE_S,
    MAX_WAIT_S,
)
from postbox.mesh.calling.introductions import HELLOS_PER_MINUTE
from postbox.mesh.calling.pull import MIN_BYTES, MIN_EVENTS
from postbox.mesh.serving.callers import ANSWERS_AT_ONCE, ANSWERS_OF_ADDRESS, STRANGERS_PER_MINUTE
from postbox.mesh.wire import (
    HELLO_PATH,
    MAX_EVENTS,
    MODES,
    PING_PATH,
    REQUEST_BYTES,
    SYNC_PATHS,
    About,
    Ping,
    SyncRequest,
)
from postbox.net.limits import DEFAULT_LIMITS as HTTP
from postbox.trust.hello import HELLO_BYTES, HELLO_WINDOW_MS
from postbox.trust.signatures import WINDOW_MS
from postbox.trust.tables import LIMITS, Group
from structure.pages import PAGES, unsaid, untold

PAGE = PAGES["mesh"]


def test_every_verdict_is_explained() -> None:
    assert unsaid(verdict_names, PAGE) == []


def test_every_mode_service_and_field_of_a_request_is_explained() -> None:
    fields = tuple(SyncRequest.__struct_encode_fields__)
    assert unsaid((*MODES, *service_names, *fields), PAGE) == []
    assert [path for path in (*SYNC_PATHS, HELLO_PATH, PING_PATH) if path not in PAGE] == []


def test_every_field_of_a_ping_is_explained() -> None:
    fields = (*Ping.__struct_encode_fields__, *About.__struct_encode_fields__)
    assert [field for field in fields if f'"{field}":' not in PAGE] == []


def test_every_limit_that_a_caller_or_a_peer_meets_is_told() -> None:
    limits = (
        f"at most {MAX_EVENTS:,} events",
        # of who calls
        f"the body is larger than {REQUEST_BYTES >> 10} KiB",
        f"JSON, at most {REQUEST_BYTES >> 10} KiB",
        f"larger than {HTTP.max_body_bytes >> 20} MiB; of `/api/hello`, than {HELLO_BYTES:,} bytes",
        f"headers are larger than {HTTP.max_header_bytes >> 10} KiB",
        f"did not come within {HTTP.body_s:g} s",
        f"{MeshConfig().requests_per_minute} requests a minute and",
        f"{MeshConfig().concurrent_requests} at once (`mesh.requests_per_minute`",
        f"{STRANGERS_PER_MINUTE} requests a minute that prove nothing",
        f"{HELLOS_PER_MINUTE} introductions a minute, {ANSWERS_OF_ADDRESS} answers",
        f"at once, {ANSWERS_AT_ONCE} for all addresses together",
        f"{HTTP.max_connections_per_address} connections",
        f"is closed after {HTTP.idle_s:g} s",
        f"of an answer in {HTTP.send_s:g} s",
        f"The time may be off by at most {WINDOW_MS // 1000} s",
        f"`ts` is within {HELLO_WINDOW_MS // 1000} s of the receiver's time",
        # of who answers
        f"its time is within {WINDOW_MS // 1000} s of when we asked",
        f"`ts` is within {MAX_CLOCK_DIFFERENCE_S} s of now",
        f"at most {MAX_ANSWER_BYTES >> 20} MiB, complete within {DEADLINE_S:g} s",
        f"up to {MAX_WAIT_S:g} s each",
        f"the page has {MIN_EVENTS} events at least, or {MIN_BYTES >> 20} MiB",
        f"make {LIMITS[Group.INTRODUCED]:,} names known at most",
        f"another {LIMITS[Group.TOLD]:,}, and {LIMITS[Group.WAITING]:,} may wait",
    )
    assert untold(limits, PAGE) == []
