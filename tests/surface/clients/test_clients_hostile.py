"""Whatever is sent to the clients' door is answered, tells nothing of the inside, and leaves it as
good as before."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from protobuf import Message

from postbox.clients import wire
from postbox.clients.events.wire import read_event
from postbox.clients.identity.callers import REQUESTS_OF_DEVICE
from postbox.clients.serving.codecs import JSON as JSON_CODEC
from postbox.clients.serving.requests import BOUNDS
from postbox.rpc import fields as raw
from postbox.rpc.codecs import Encoded
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import system_world
from support.asgi_call import GRPC, Call, call, framed
from support.client_door import (
    Device,
    Refused,
    conversation,
    door_at,
    kind_of,
    message,
    value_of,
)
from support.postgres import Server
from support.serving import logged

SYNC, HISTORY = wire.PATHS[wire.SYNC], wire.PATHS[wire.HISTORY]
STREAM = wire.PATHS[wire.SYNC_FROM_SERVER]
WORLD = system_world()
JSON = "application/json"
PROTO = "application/proto"

INSIDE = ("Traceback", ".py", "/tmp", "postbox.clients", "Error:", "object at", "bytearray")
"""What no answer may have in it."""


class Attack(NamedTuple):
    path: str
    body: tuple[bytes, ...] = (b"",)
    content_type: str = GRPC
    status: int = 200
    code: str = ""
    """grpc-status, or Connect's code."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    scope: dict[str, Any] = {}  # noqa: RUF012  (read only)


ATTACKS = {
    "nothing at all": Attack(SYNC, code="12"),
    "half a frame": Attack(SYNC, (b"\0\0",), code="3"),
    "a frame of 4 GiB": Attack(SYNC, (b"\0\xff\xff\xff\xffabc",), code="3"),
    "a frame that is longer than it says": Attack(SYNC, (framed(b"") + b"\1",), code="3"),
    "a compressed frame": Attack(SYNC, (b"\1\0\0\0\1x",), code="13"),
    "a message that is none": Attack(SYNC, (framed(b"\xff"),), code="3"),
    "a message cut off": Attack(SYNC, (framed(b"\x0a\x05ab"),), code="3"),
    "a number beyond all numbers": Attack(
        SYNC, (framed(raw.varint_field(2, 2**64 - 1)),), code="3"
    ),
    "a token that is no text": Attack(SYNC, (framed(raw.bytes_field(3, b"\xff")),), code="3"),
    "a request for a stream that is none": Attack(STREAM, (framed(b"\xff"),), code="3"),
    "a request for history that is none": Attack(HISTORY, (framed(b"\xff"),), code="3"),
    "history of nothing": Attack(HISTORY, (framed(b""),), code="3"),
    "an unknown method": Attack("/postbox.v1.EventService/Steal", status=404),
    "an escaped path": Attack("/postbox.v1.EventService/%53ync", status=404),
    "GET": Attack(SYNC, status=405, scope={"method": "GET"}),
    "gRPC over HTTP/1.1": Attack(SYNC, status=505, scope={"http_version": "1.1"}),
    "plain HTTP from elsewhere": Attack(SYNC, status=403, scope={"client": ("8.8.8.8", 1)}),
    "a body beyond all bounds": Attack(SYNC, (b"x" * 2**20,) * 3, status=413),
    "a deadline in the past": Attack(
        SYNC, (framed(b""),), code="0", headers=((b"grpc-timeout", b"0n"),)
    ),
    "a compression": Attack(
        SYNC, (framed(b""),), code="12", headers=((b"grpc-encoding", b"gzip"),)
    ),
    "a token that is no ASCII": Attack(
        SYNC, (framed(b""),), status=400, headers=((b"authorization", b"Bearer \xff"),)
    ),
    "a second token": Attack(
        SYNC, (framed(b""),), status=400, headers=((b"authorization", b"Bearer x"),)
    ),
    "a device's name that is none": Attack(
        SYNC, (framed(b""),), code="16", headers=((b"postbox-device", b"a:b\x1b[2J"),)
    ),
    "no content type": Attack(SYNC, content_type="", status=415),
    "HTML": Attack(SYNC, content_type="text/html", status=415),
    "Connect with no message": Attack(SYNC, (b"\xff",), PROTO, status=400, code="invalid_argument"),
    "JSON that is too deep": Attack(
        SYNC, (b'{"events":[' * 20_000,), JSON, status=400, code="invalid_argument"
    ),
    "a stream asked as one answer": Attack(STREAM, (b"{}",), JSON, status=415),
}


async def test_an_attack_is_refused_and_a_good_request_taken_after_it(tmp_path: Path) -> None:
    wrong = {}
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        for what, attack in ATTACKS.items():
            before = door.node.tail.head
            with logged() as log:
                found = await attacked(ann, attack)
            told = found.body.decode("latin-1") + str(found.headers) + str(found.trailers)
            leaked = [word for word in INSIDE if word in told + log.getvalue()]
            grown = door.node.tail.head - before
            good = await ann.one(message(room))
            seen = (found.status, code_of(found), log.getvalue(), leaked, grown)
            if seen != (attack.status, attack.code, "", [], 0) or len(told) > 2_000:
                wrong[what] = seen
            assert kind_of(good) == "sentNewMessage", what
    assert wrong == {}


async def attacked(device: Device, attack: Attack) -> Call:
    token = (b"authorization", f"Bearer {device.token}".encode())
    return await call(
        device.door.app,
        attack.path,
        *attack.body,
        content_type=attack.content_type,
        headers=(token, *attack.headers),
        **attack.scope,
    )


def code_of(found: Call) -> str:
    told = {**found.headers, **found.trailers}
    if "grpc-status" in told:
        return told["grpc-status"]
    if found.headers.get("content-type") == JSON and found.status != 200:
        return str(json.loads(found.body)["code"])
    return ""


# -- every field of every message ---------------------------------------------------------------

ROOM, OTHER = "00000000-0000-4000-8000-0000000000f1", "00000000-0000-4000-8000-0000000000f2"
TEXTS = [
    b"",
    b"\0",
    b"a\0b",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\x1b[2J",
    "\u202e\U0010ffff\ufeff".encode(),
    b"x" * 300,
    b"x" * 70_000,
    ROOM.encode(),
    OTHER.upper().encode(),
    b"00000000-0000-0000-0000-000000000000",
    b"{" + ROOM[1:].encode(),
    b"' or 1=1 --",
    b"\x08\x96\x01",  # a message
    b"\x0a\xff\xff\xff\xff\x0f",  # one that is cut off
    b"\x9b\x03" * 200,  # groups
]
CONTENTS = range(2, 31)
NUMBERS = [0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def spellings(number: int) -> Iterator[bytes]:
    """A field with all that may stand in it."""
    for text in TEXTS:
        yield raw.bytes_field(number, text)
    for value in NUMBERS:
        yield raw.varint_field(number, value)
    yield raw.varint(number << 3 | raw.FIXED64) + b"\xff" * 8
    yield raw.varint(number << 3 | raw.FIXED32) + b"\xff" * 4


def numbers_of(kind: type[Message[Any]]) -> list[int]:
    return [field.number for field in kind.desc().fields]


def bad_events(room: str) -> Iterator[bytes]:
    """One field of an event each, at the top or in its content; as part of an event that has a uuid
    and a conversation, and alone."""
    for number in (*numbers_of(pb.Event), 64, 5_000, 2**29 - 1):
        for spelling in spellings(number):
            yield spelling
            yield event_with(spelling, room)
    for content in CONTENTS:
        for number in range(1, 7):
            for spelling in spellings(number):
                yield event_with(raw.bytes_field(content, spelling), room)
    sending = raw.bytes_field(1, b"")
    for number in (1, 2, 3, 4, 63, 64):
        for spelling in spellings(number):
            said = sending + raw.bytes_field(2, spelling)
            yield event_with(raw.bytes_field(4, said), room)


made = iter(range(1, 2**31))


def event_with(field: bytes, room: str) -> bytes:
    uuid = f"00000000-0000-4000-9000-{next(made):012x}".encode()
    return raw.bytes_field(1, uuid) + raw.bytes_field(41, room.encode()) + field


def in_batches(events: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Each with room for one more."""
    batch: list[bytes] = []
    for event in events:
        if len(batch) == 99 or sum(map(len, batch)) + len(event) > 2**20 - 2**12:
            yield batch
            batch = []
        batch.append(event)
    yield batch


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_no_field_of_an_event_harms_more_than_that_event(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "sqlite":
        await fuzz(tmp_path, "", 1)
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database() as url:
        await fuzz(tmp_path, url, 5)


@dataclass
class Hasty:
    """Each look at it is an hour after the one before: whatever is limited by time is not."""

    hours: Iterator[int] = field(default_factory=count)

    def now_ns(self) -> int:
        return WORLD.clock.now_ns()

    def elapsed_s(self) -> float:
        return next(self.hours) * 3600.0


async def fuzz(home: Path, store: str, step: int) -> None:
    """With one in so many events."""
    world = replace(WORLD, clock=Hasty())
    async with door_at(home, world, store=store, burst=1_000_000) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room, safe = await conversation(ann, bob), await conversation(ann, bob)
        number = 1
        with logged() as log:
            for batch in in_batches(islice(bad_events(room), 0, None, step)):
                good = ann.event(message(safe, "still here")).to_binary()
                answer = await submitted(ann, [*batch, good], number)
                assert len(answer.events) == len(batch) + 1
                assert not answer.events[-1].duplicate
                assert kind_of(answer.events[-1]) == "sentNewMessage"
                number = answer.nextQueueNumber
            for device in (ann, bob):
                await read_all(device, safe)
            await read_all(bob, room)
        assert log.getvalue() == ""


async def submitted(device: Device, batch: list[bytes], number: int) -> pb.SubmitEventOutput:
    asked = b"".join([raw.bytes_field(1, event) for event in batch])
    found = await device.ask(wire.SYNC, asked + raw.varint_field(2, number))
    told = found.decode("latin-1")
    assert [word for word in INSIDE if word in told] == []
    JSON_CODEC.encode(Encoded(pb.SubmitEventOutput, found))
    return pb.SubmitEventOutput.from_binary(found)


async def read_all(device: Device, room: str) -> None:
    """Whatever was taken of it can be read, in either spelling."""
    for frame in await device.caught_up(eventsPerFrame=100):
        JSON_CODEC.encode(Encoded(pb.Event, frame.to_binary()))
    before = 0
    while (page := await device.history(room, before=before, limit=200)).events:
        JSON_CODEC.encode(Encoded(pb.HistoryPage, page.to_binary()))
        before = page.events[0].conversationSeq


REQUESTS: dict[str, type[Message[Any]]] = {
    wire.SYNC: pb.SubmitEventInput,
    wire.HISTORY: pb.HistoryRequest,
    wire.SYNC_FROM_SERVER: pb.SyncFromServerRequest,
}


@pytest.mark.parametrize("rpc", wire.RPCS)
async def test_no_field_of_a_request_does_harm(tmp_path: Path, rpc: str) -> None:
    kind = REQUESTS[rpc]
    until_caught_up = raw.varint_field(4, 1) if rpc == wire.SYNC_FROM_SERVER else b""
    async with door_at(tmp_path, events_per_second=100_000, burst=1_000_000) as door:
        ann = door.device("ann")
        await conversation(ann)
        with logged() as log:
            for number in (*numbers_of(kind), 9, 2**29 - 1):
                for spelling in spellings(number):
                    answer = await door.call(rpc, spelling + until_caught_up, ann.token)
                    assert code_of(answer) in ("0", "3", "7", "9"), (number, spelling[:40])
                    told = f"{answer.headers} {answer.trailers}"
                    assert [word for word in INSIDE if word in told] == []
        assert log.getvalue() == ""


# -- bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rpc", "part", "code"),
    [
        (wire.SYNC, b"\x0a\x00", "TOO_LARGE"),
        (wire.SYNC, b"\x10\x01", "INVALID"),
        (wire.SYNC, b"\xfa\x01\x00", "INVALID"),
    ],
)
async def test_of_a_million_fields_no_more_is_looked_at_than_a_request_has(
    tmp_path: Path, rpc: str, part: bytes, code: str
) -> None:
    """All of them would take ten seconds, in which the node does nothing else."""
    huge = part * (BOUNDS.max_bytes // len(part) - 16)
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        await ann.sync()
        with pytest.raises(Refused) as refused:
            await ann.ask(rpc, huge)
        assert refused.value.code == code
        with few_steps():
            with pytest.raises((wire.Malformed, wire.TooLarge)):
                wire.read_batch(huge)


async def test_what_is_larger_than_any_event_is_not_read(tmp_path: Path) -> None:
    members = raw.bytes_field(9, b"\x1a\x00" * 900_000)
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        named = ann.event().to_binary() + members
        answer = await submitted(ann, [named], 1)
        assert value_of(answer.events[0]).code == "TOO_LARGE"
        assert answer.events[0].clientUuid == "00000000-0000-4000-8000-000000000001"
        assert kind_of((await submitted(ann, [members], 2)).events[0]) == "eventRefused"
        with few_steps():
            read_event(named, b"a" * 16)


async def test_of_a_stranger_no_json_is_read(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        stranger = replace(door.device("ann"), token="none")
        huge = b'{"events":[%b]}' % b",".join([b"{}"] * 600_000)
        with few_steps():
            told = await post_json(stranger, SYNC, huge)
        assert (told.status, told.headers["postbox-code"]) == (401, "NO_SESSION")
        known = door.device("ann")
        await known.sync()
        told = await post_json(known, SYNC, huge)
        assert (told.status, told.headers["postbox-code"]) == (400, "INVALID")


@contextmanager
def few_steps() -> Iterator[None]:
    """A time would depend on the machine: steps of the interpreter do not."""
    steps = 0

    def count_one(_frame: Any, _event: str, _arg: Any) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count_one)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert steps < 50_000


async def post_json(device: Device, path: str, body: bytes) -> Call:
    return await attacked(device, Attack(path, (body,), content_type=JSON))


async def test_large_bodies_of_one_address_are_bounded(tmp_path: Path) -> None:
    """They are in memory before it is known who sent them."""
    async with door_at(tmp_path) as door, trio.open_nursery() as nursery:
        ann = door.device("ann")
        room = await conversation(ann)
        unfinished = partial(call, door.app, SYNC, b"x" * 2 * BOUNDS.small_bytes, None)
        for _ in range(BOUNDS.large_of_address):
            nursery.start_soon(unfinished)
        await trio.testing.wait_all_tasks_blocked()
        event = ann.event(message(room, "x" * BOUNDS.small_bytes)).to_binary()
        large = Attack(SYNC, (framed(raw.bytes_field(1, event)),))
        found = await attacked(ann, large)
        assert (found.status, found.headers["retry-after"]) == (429, "1")
        elsewhere = await attacked(ann, large._replace(scope={"client": ("127.0.0.2", 1)}))
        assert code_of(elsewhere) == "0"
        assert kind_of(await ann.one(message(room))) == "sentNewMessage"
        nursery.cancel_scope.cancel()


async def test_requests_of_one_device_under_way_are_bounded(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door, trio.open_nursery() as nursery:
        ann, bob = door.device("ann"), door.device("bob")
        await conversation(ann, bob)
        caller = await door.clients.callers.known(f"Bearer {ann.token}", None)

        async def hold() -> None:
            with door.clients.callers.one(caller):
                await trio.sleep_forever()

        for _ in range(REQUESTS_OF_DEVICE):
            nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Refused) as refused:
            await ann.sync()
        assert (refused.value.code, refused.value.metadata["retry-after"]) == ("RATE_LIMITED", "1")
        await bob.sync()
        nursery.cancel_scope.cancel()


async def test_a_fault_of_ours_is_told_as_one_and_no_more(tmp_path: Path) -> None:
    """The node is being closed: its writer is gone."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        await ann.sync()
        event = ann.event(pb.DisplayNameChanged(newName="Ann"))
    with logged(), pytest.raises(Refused) as refused:
        await ann.sync(event)
    assert refused.value.code in ("STOPPING", "UNAVAILABLE", "INTERNAL")
    assert [word for word in INSIDE if word in refused.value.text] == []
