"""What a client meets is on the protocol's page, word for word."""

from __future__ import annotations

from typing import get_args

import pytest

from postbox.clients.events import checks
from postbox.clients.events.frames import MAX_FRAME_BYTES, MAX_FRAME_EVENTS
from postbox.clients.events.kinds import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_FIRST_MEMBERS,
    MAX_NAME_CHARS,
    MAX_PICTURE_BYTES,
    MAX_REACTION_BYTES,
)
from postbox.clients.identity.callers import (
    REQUESTS_AT_ONCE,
    REQUESTS_OF_DEVICE,
    STRANGERS_PER_MINUTE,
    STREAMS_AT_ONCE,
    STREAMS_OF_DEVICE,
    Code,
    NotKnown,
    TooOften,
)
from postbox.clients.identity.issuers import PAUSE_S
from postbox.clients.identity.tokens import AUDIENCE, TYPE
from postbox.clients.reading.conversation import RECENT_MESSAGES
from postbox.clients.reading.cursors import MOST_BEHIND
from postbox.clients.reading.history import MAX_BYTES, MAX_EVENTS
from postbox.clients.reading.snapshot import (
    AT_ONCE,
    MESSAGE_BYTES,
    PATIENCE_S,
    TURN_S,
    SnapshotBusy,
)
from postbox.clients.reading.stream import ALIVE_S
from postbox.clients.rules import refusals
from postbox.clients.rules.devices import SKEW_MS
from postbox.clients.rules.watermarks import MAX_MEMBERS_TOLD
from postbox.clients.serving import replies
from postbox.clients.serving.codecs import MAX_VALUES
from postbox.clients.serving.replies import Displaced, NotAMember, QueueHole, refusal
from postbox.clients.serving.requests import BOUNDS, HEADERS
from postbox.clients.serving.streams import SPREAD_MS, Why
from postbox.clients.serving.submissions import FAULT
from postbox.clients.tables import (
    MAX_ADDED,
    MAX_ADDED_BY_ONE,
    MAX_CONVERSATIONS,
    MAX_MEMBERS,
    MAX_REACTIONS,
)
from postbox.clients.wire import Malformed, TooLarge
from postbox.config import ClientsConfig
from postbox.errors import Full, Stopped, Unavailable
from postbox.net.requests import HEADERS as CODEC_HEADERS
from postbox.rpc.postbox.v1.clients_pb import Event
from postbox.trust.jwt import MAX_CHARACTERS
from structure.pages import PAGES, unsaid, untold
from support.serving import logged

PAGE = PAGES["clients"]
CODES = (
    checks.INVALID,
    checks.TOO_LARGE,
    checks.UNKNOWN_KIND,
    refusals.NOT_A_MEMBER,
    refusals.UNKNOWN_TARGET,
    refusals.SUPERSEDED,
    refusals.DEPENDENCY_REFUSED,
    refusals.NOT_ALLOWED,
    refusals.QUOTA,
)


def test_every_field_of_an_event_and_every_kind_is_explained() -> None:
    assert unsaid([field.name for field in Event.desc().fields], PAGE) == []


def test_every_code_of_a_refusal_is_explained() -> None:
    assert unsaid(CODES, PAGE) == []


def test_every_limit_of_an_event_is_told() -> None:
    limits = (
        f"An event has at most {MAX_EVENT_BYTES:,} bytes without the picture",
        f"at most {MAX_PICTURE_BYTES:,} bytes",
        f"a batch at most {MAX_BATCH_EVENTS} events and {MAX_BATCH_BYTES >> 20} MiB",
        f"at most {MAX_FIRST_MEMBERS}, each by uuid or by name",
        f"Names have at most {MAX_NAME_CHARS} characters",
        f"1 to {MAX_REACTION_BYTES} bytes",
        f"conversation {MAX_MEMBERS:,} members, a user {MAX_CONVERSATIONS:,} conversations",
        f"while it is in {MAX_ADDED}, and one of them to {MAX_ADDED_BY_ONE}",
        f"A message has {MAX_REACTIONS:,} reactions",
        f"of more than {MAX_MEMBERS_TOLD} members",
        f"after {ALIVE_S:g} s without anything else",
    )
    assert untold(limits, PAGE) == []


ERRORS: tuple[Exception, ...] = (
    *(NotKnown(code, "") for code in get_args(Code)),
    TooOften("", 1),
    SnapshotBusy(),
    QueueHole(1),
    Malformed(),
    TooLarge(),
    NotAMember(),
    Displaced(),
    Stopped(),
    Unavailable(),
    Full(),
    ZeroDivisionError(),
)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_every_error_is_explained_with_its_codes(error: Exception) -> None:
    with logged():
        told = refusal(error)
    assert untold([f"| `{told.name}` | {told.code.name} |"], PAGE) == []
    assert unsaid([*told.metadata], PAGE) == []
    assert told.metadata["postbox-code"] == told.name


def test_what_else_a_request_meets_is_told() -> None:
    config = ClientsConfig()
    told = (
        f"its own time within {SPREAD_MS // 1000} s",
        f"larger than {BOUNDS.max_bytes >> 20} MiB",
        f"in JSON of more than {MAX_VALUES:,} values",
        f"{config.events_per_second} a second in the long run, {config.burst:,} at once",
        f"{REQUESTS_OF_DEVICE}, and {REQUESTS_AT_ONCE} of all together",
        f"{STREAMS_OF_DEVICE}, of which the newest lives, and {STREAMS_AT_ONCE:,} of all together",
        f"{BOUNDS.large_of_address} bodies of more than {BOUNDS.small_bytes >> 10} KiB",
        f"and {BOUNDS.large_at_once} of all together",
    )
    assert untold(told, PAGE) == []
    ours = [name.decode() for name in HEADERS if name not in CODEC_HEADERS]
    assert unsaid([*Why, *replies.METADATA, *ours, FAULT], PAGE) == []


def test_how_streams_and_snapshots_are_bounded_is_told() -> None:
    told = (
        f"more than {MOST_BEHIND:,} events that the user sees",
        f"({MAX_FRAME_EVENTS} at most, {MAX_FRAME_BYTES >> 10} KiB)",
        f"After {ALIVE_S:g} s without a frame",
        f"last {RECENT_MESSAGES} messages",
        f"After {MESSAGE_BYTES >> 20} MiB of messages",
        f"longer than {PATIENCE_S:g} s is told",
        f"A turn ends after {TURN_S:g} s",
        f"{MAX_EVENTS} and {MAX_BYTES >> 20} MiB",
    )
    assert untold(told, PAGE) == []
    assert AT_ONCE == 4
    assert "Four users at once" in " ".join(PAGE.split())


def test_what_a_token_must_say_is_told() -> None:
    told = (
        f"`typ` = `{TYPE}`",
        f"`aud` = `{AUDIENCE}`",
        f"at most {MAX_CHARACTERS:,} characters",
        f"at most {SKEW_MS // 1000} s ahead",
        f"less than {SKEW_MS // 1000} s behind it",
        f"once in {PAUSE_S:g} s",
        f"after {STRANGERS_PER_MINUTE} a minute from an address",
    )
    assert untold(told, PAGE) == []
    assert unsaid(get_args(Code), PAGE) == []
