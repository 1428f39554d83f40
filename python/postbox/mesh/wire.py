"""What the bodies of the mesh's requests and answers mean. Bytes in, values out; no clock, no
network.

Written against `docs/protocol/mesh.md`. Whatever a request or an answer gets wrong is a
`WireError` whose text says what and what to do.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Meta, Struct

from postbox.core import Ledger, Selection
from postbox.errors import WireError
from postbox.event import is_name
from postbox.mesh.decoding import decoded
from postbox.trust.authoring import go_json

SYNC_PATH = "/api/sync"
NARA_SYNC_PATH = "/events/sync"
"""Where a nara serves and asks the same. The path is part of what is signed."""
SYNC_PATHS = (SYNC_PATH, NARA_SYNC_PATH)
HELLO_PATH = "/api/hello"
ZINE_PATH = "/gossip/zine"
DM_PATH = "/dm"
PING_PATH = "/ping"
URL_HEADER = "x-postbox-url"
"""Beside an introduction: where its sender can be called."""

REQUEST_BYTES = 256 * 2**10
"""Of a sync request: 10,000 subjects of 20 letters. To read one that holds nothing but names takes
6 ms, in which the node does nothing else."""
MSGPACK = "application/msgpack"
MAX_EVENTS = 5_000
"""In one answer: as many as anyone may ask for."""
MODES = ("sample", "page", "recent")

Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Names: TypeAlias = Annotated[list[str], Meta(max_length=10_000)]
"""More subjects than a mesh has nodes; each costs a look-up."""
Word: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"\A[ -~]*\Z")]
"""What another node says of itself, for people: nothing that a terminal obeys."""


class SyncRequest(Struct, omit_defaults=True, rename={"sender": "from"}):
    """As it travels. Null is as good as absent, unknown keys are left alone, as nara does."""

    sender: str | None = None
    services: Names | None = None
    subjects: Names | None = None
    mode: str | None = None
    sample_size: Int64 | None = None
    cursor: str | None = None
    page_size: Int64 | None = None
    limit: Int64 | None = None
    # nara's older code, which knows no modes
    since_time: Int64 | None = None
    slice_index: Int64 | None = None
    slice_total: Int64 | None = None
    max_events: Int64 | None = None


class _PackedAnswer(Struct, rename={"sender": "from"}):
    sender: str
    ts: Int64
    events: Annotated[list[bytes], Meta(max_length=MAX_EVENTS)] | None = None
    next_cursor: str | None = None
    sig: str = ""


class SyncAnswer(NamedTuple):
    """Either form, read. `events` are left as bytes, for the core to judge."""

    sender: str
    ts: int  # Unix seconds
    events: list[bytes]
    next_cursor: str | None
    sig: str


class About(Struct, omit_defaults=True):
    """What a postbox says of itself in `/ping`; how a caller knows that it is none of nara's."""

    version: Word
    modes: list[Word]
    url: Word
    memory_mode: Word
    uptime_s: Int64
    events: Int64 | None = None
    """In its ledger; older ones do not say."""


class Ping(Struct, kw_only=True, rename={"sender": "from"}):
    """The answer to `GET /ping`. A nara sends no `postbox`."""

    sender: str
    mesh_ip: str = ""
    public_key: str
    t: Int64 = 0  # Unix nanoseconds
    postbox: About | None = None


class Draw(NamedTuple):
    """What a sample depends on beside the request and the ledger."""

    seed: bytes  # 16, fresh for each answer
    now_ns: int
    responder: str
    requester: str  # authenticated


_REQUEST = msgspec.json.Decoder(SyncRequest)
_PACKED_ANSWER = msgspec.msgpack.Decoder(_PackedAnswer)
_PING = msgspec.json.Decoder(Ping)


def decode_request(body: bytes) -> SyncRequest:
    request = decoded(_REQUEST, body, "the body is no sync request")
    if not request.sender:
        raise WireError("from is required")
    if request.mode and request.mode not in MODES:
        raise WireError(f"there is no mode {request.mode[:40]!r}: use {', '.join(MODES)}")
    return request


def decode_answer(body: bytes, content_type: str) -> SyncAnswer:
    try:
        if is_msgpack(content_type):
            packed = _PACKED_ANSWER.decode(body)
            events = packed.events or []
            return SyncAnswer(packed.sender, packed.ts, events, packed.next_cursor, packed.sig)
        answer = _json_answer().decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the answer is none to a sync request: {error}") from error
    events = events_in(answer.events)
    return SyncAnswer(answer.sender, answer.ts, events, answer.next_cursor, answer.sig)


@cache
def event_array() -> Any:
    """The type of an array of up to MAX_EVENTS events, of which nothing is read: one field each,
    so that its end is an error where it comes. The length of a list is checked after it was read,
    and 20 MiB of `1,1,1` are 800 MB by then. Made when the first nara is asked, in 40 ms."""
    return msgspec.defstruct(
        "Events",
        [(f"event{n}", msgspec.Raw | msgspec.UnsetType, UNSET) for n in range(MAX_EVENTS)],
        array_like=True,
        forbid_unknown_fields=True,
    )


def events_in(array: Any) -> list[bytes]:
    """Of such an array, or of null."""
    fields = () if array is None else msgspec.structs.astuple(array)
    return [bytes(event) for event in fields if event is not UNSET]


@cache
def _json_answer() -> msgspec.json.Decoder[Any]:
    answer = msgspec.defstruct(
        "JsonAnswer",
        [
            ("sender", str),
            ("ts", Int64),
            ("events", event_array() | None, None),
            ("next_cursor", str | None, None),
            ("sig", str, ""),
        ],
        rename={"sender": "from"},
    )
    return msgspec.json.Decoder(answer)


class CheckpointList(NamedTuple):
    """A page of `GET /api/checkpoints/all`, read. `given`: events of any kind in it."""

    checkpoints: list[bytes]
    given: int
    has_more: bool


def decode_checkpoints(body: bytes) -> CheckpointList:
    """Nobody signs it: what is no checkpoint is left out, since other events may bring keys."""
    try:
        answer = _json_checkpoints().decode(body)
        events = events_in(answer.checkpoints)
        checkpoints = [event for event in events if _KIND.decode(event).svc == "checkpoint"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the answer is no list of checkpoints: {error}") from error
    return CheckpointList(checkpoints, len(events), answer.has_more)


class _Kind(Struct):
    svc: str = ""


_KIND = msgspec.json.Decoder(_Kind)


@cache
def _json_checkpoints() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(
        msgspec.defstruct(
            "JsonCheckpoints",
            [("checkpoints", event_array() | None, None), ("has_more", bool, False)],
        )
    )


def is_msgpack(content_type: str) -> bool:
    """Of an answer's content type, or as what a request accepts."""
    return any(
        kind.partition(";")[0].strip().lower() == MSGPACK for kind in content_type.split(",")
    )


def decode_ping(body: bytes) -> Ping:
    ping = decoded(_PING, body, "the answer is none to a ping")
    if not is_name(ping.sender):
        raise WireError(f"{ping.sender[:80]!r} cannot be a name")
    return ping


class _AsGoHasIt(Struct, omit_defaults=True, rename={"sender": "from"}):
    """A request as a nara writes it: the two filters are always there, null for none."""

    sender: str | None
    services: Names | None
    subjects: Names | None
    mode: str | None = None
    sample_size: Int64 | None = None
    cursor: str | None = None
    page_size: Int64 | None = None
    limit: Int64 | None = None
    since_time: Int64 | None = None
    slice_index: Int64 | None = None
    slice_total: Int64 | None = None
    max_events: Int64 | None = None


def encode_request(request: SyncRequest) -> bytes:
    """Byte for byte as a nara would ask for it."""
    return go_json(_AsGoHasIt(*msgspec.structs.astuple(request)))


Mode: TypeAlias = Literal["sample", "page", "recent", "legacy"]


def mode_of(request: SyncRequest) -> Mode:
    """An omitted mode is `recent`, unless the request is one of nara's older kind."""
    match request.mode:
        case "sample" | "page" | "recent":
            return request.mode
        case _:
            old = (
                request.since_time,
                request.slice_index,
                request.slice_total,
                request.max_events,
            )
            return "recent" if all(field is None for field in old) else "legacy"


SMALL_EVENTS, SMALL_BYTES = 200, 256 * 2**10
"""Found, encoded and signed in a tenth of a millisecond: what it takes to hop to a thread. As many
events of the largest kind take 30 ms."""


def is_small(ledger: Ledger, request: SyncRequest, draw: Draw) -> bool:
    """The newest few, without a filter that might look through everything, and of ordinary size."""
    is_recent = mode_of(request) == "recent" and not (request.services or request.subjects)
    if not is_recent or (request.limit or 0) > SMALL_EVENTS:
        return False
    return sum(map(len, select(ledger, request, draw).bodies())) <= SMALL_BYTES


def select(ledger: Ledger, request: SyncRequest, draw: Draw) -> Selection:
    """The answer's events. Raises WireError for a cursor that is none."""
    services, subjects = request.services or (), request.subjects or ()
    match mode_of(request):
        case "page":
            try:
                return ledger.page(request.cursor, request.page_size, services, subjects)
            except ValueError as error:
                raise WireError(str(error)) from error
        case "recent":
            return ledger.recent(request.limit, services, subjects)
        case "sample":
            return ledger.sample(request.sample_size, services, subjects, **draw._asdict())
        case "legacy":
            return ledger.legacy(
                request.since_time or 0,
                request.slice_index or 0,
                request.slice_total or 0,
                request.max_events or 0,
                services,
                subjects,
            )
        case mode:
            assert_never(mode)
