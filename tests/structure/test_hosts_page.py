"""What other hosts meet is on the protocol's page, word for word."""

from __future__ import annotations

from connectrpc.code import Code

from postbox.config import HostsConfig
from postbox.hosts.keys.fetch_gate import (
    ALL_BURST,
    ALL_PER_MINUTE,
    COOLDOWN_S,
    MAX_COOLDOWN_S,
    SOURCE_PER_MINUTE,
)
from postbox.hosts.keys.fetch_gate import STRANGERS_PER_MINUTE as FIRST_CONTACTS_PER_MINUTE
from postbox.hosts.keys.key_list import MAX_KEYS, MAX_REPLY_BYTES
from postbox.hosts.keys.keys import MAX_PEERS
from postbox.hosts.keys.strangers import AT_ONCE
from postbox.hosts.links.room import ENTRY_BYTES
from postbox.hosts.sending.backoff import FIRST_DELAY_S, LONGEST_DELAY_S
from postbox.hosts.sending.client import FOLLOW_IDLE_S, POST_S
from postbox.hosts.sending.course import MAX_TURNS_BACK
from postbox.hosts.sending.receiver import (
    AFTER_FAILURE_S,
    AFTER_SUCCESS_S,
    ASKED_AT_ONCE,
    PLACE_S,
    POLL_S,
)
from postbox.hosts.sending.sender import PROBING, SENDING, SLOW_S
from postbox.hosts.sending.waking import FIRST_PAUSE_S, LONGEST_PAUSE_S
from postbox.hosts.serving.callers import (
    FOLLOWED_OF_HOST,
    REQUESTS_AT_ONCE,
    REQUESTS_OF_HOST,
    STRANGERS_PER_MINUTE,
    STREAMS_AT_ONCE,
    STREAMS_OF_HOST,
)
from postbox.hosts.serving.server import ALIVE_S, BOUNDS
from postbox.hosts.tables import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from postbox.hosts.wire import (
    CAPABILITIES,
    MAX_REQUEST_BYTES,
    PATHS,
)
from postbox.rpc.postbox.v1.hosts_pb import PostboxEvent
from postbox.trust.host_keys import AHEAD_MS, IN_FLIGHT_MS, KEEP_MS
from postbox.trust.jwt import MAX_CHARACTERS
from postbox.trust.tokens import LEEWAY_S, LIFE_S
from structure.pages import PAGES, unsaid, untold

PAGE = PAGES["hosts"]
DAY_MS = 86_400_000
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


def test_every_path_capability_and_field_of_an_event_is_explained() -> None:
    fields = [field.name for field in PostboxEvent.desc().fields]
    assert unsaid((*PATHS.values(), *CAPABILITIES, *fields), PAGE) == []


def test_every_code_that_a_host_is_given_is_explained() -> None:
    assert [code.name for code in GIVEN if f"| {code.name} |" not in PAGE] == []


def test_every_limit_that_a_host_meets_is_told() -> None:
    limits = (
        f"1 to {MAX_BATCH_EVENTS:,} events, at most {MAX_BATCH_BYTES >> 20} MiB",
        f"An event takes at most {MAX_EVENT_BYTES:,} bytes",
        f"after {ALIVE_S:g} s without anything",
        f"{HostsConfig().requests_per_minute:,} requests a minute (`hosts.requests_per_minute`)",
        f"{REQUESTS_OF_HOST} requests under way, and {REQUESTS_AT_ONCE} of all hosts together",
        f"{STREAMS_OF_HOST} streams of `Sync` that end, and {STREAMS_AT_ONCE} of all hosts",
        f"{FOLLOWED_OF_HOST} streams that stay open",
        f"with {ENTRY_BYTES} bytes an event",
        f"{STRANGERS_PER_MINUTE} requests a minute that prove nothing",
        f"{BOUNDS.large_of_address} bodies of more than {BOUNDS.small_bytes >> 10} KiB, and",
        f"and {BOUNDS.large_at_once}",
        f"{MAX_REQUEST_BYTES / 2**20:g} MiB | a body",
    )
    assert untold(limits, PAGE) == []


def test_every_limit_of_tokens_and_keys_is_told() -> None:
    limits = (
        f"`iat` may have a fraction; at most {LIFE_S} s apart",
        f"`iat` is at most {LEEWAY_S} s ahead, `exp` at most {LEEWAY_S} s ago",
        f"at most {MAX_CHARACTERS:,} characters",
        f"1 to {MAX_KEYS} keys",
        f"An answer has at most {MAX_REPLY_BYTES >> 10} KiB",
        f"| one host | one in {COOLDOWN_S:g} s",
        f"1, 2, 4 ... {MAX_COOLDOWN_S / 60:g} minutes apart",
        f"{SOURCE_PER_MINUTE} at once, {SOURCE_PER_MINUTE} a minute |",
        f"{FIRST_CONTACTS_PER_MINUTE} at once, {FIRST_CONTACTS_PER_MINUTE} a minute |",
        f"{ALL_BURST} at once, {ALL_PER_MINUTE} a minute |",
        f"for at most {MAX_PEERS:,} hosts",
        f"up to {AT_ONCE} a minute are forgotten",
        f"after {KEEP_MS / 2 / DAY_MS:g} days and count for {KEEP_MS / DAY_MS:g}",
        f"withdraws the one before after {IN_FLIGHT_MS // 1000} s",
    )
    assert untold(limits, PAGE) == []
    assert AHEAD_MS == 4 * DAY_MS


def test_every_wait_of_a_sender_and_of_who_asks_is_told() -> None:
    waits = (
        f"no answer within {POST_S:g} s",
        f"{FIRST_DELAY_S:g} s, doubled with each attempt up to {LONGEST_DELAY_S / 3600:g} hour",
        f"At most {SENDING} are sent to at once",
        f"failed or took over {SLOW_S:g} s the last time share {PROBING} places",
        f"at most {MAX_TURNS_BACK} times in a row",
        f"worth one after {FIRST_PAUSE_S:g} s, doubled up to {LONGEST_PAUSE_S / 60:g} minutes",
        f"whoever takes longer than {PLACE_S:g} s",
        f"after {FOLLOW_IDLE_S:g} s without one the stream is opened again",
    )
    assert untold(waits, PAGE) == []
    assert (ASKED_AT_ONCE, AFTER_FAILURE_S, AFTER_SUCCESS_S, POLL_S) == (10, 60, 3600, 60)
