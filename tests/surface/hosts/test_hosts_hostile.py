"""Whatever is sent to the hosts' door is answered, tells nothing of the inside, and leaves it as
good as before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIFramework

from postbox.hosts import wire
from postbox.hosts.keys.keys import Caller as CallerOf
from postbox.hosts.serving.callers import REQUESTS_OF_HOST, STRANGERS_PER_MINUTE, Callers
from postbox.hosts.serving.server import BOUNDS
from postbox.net.rates import TooOften
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.world import system_world
from support.asgi_call import GRPC, Call, call, framed
from support.hosts_door import EPOCH, Caller, Door, door_at, note
from support.serving import FixedClock, logged

B = "b.example:2289"
WORLD = system_world()
JSON = "application/json"
PROTO = "application/proto"
POST_EVENT = wire.PATHS[wire.POST_EVENT]
POST_EVENTS = wire.PATHS[wire.POST_EVENTS]
SYNC = wire.PATHS[wire.SYNC]

INSIDE = ("Traceback", ".py", "/tmp", "postbox.hosts", "Error:", "object at", "bytearray")
"""What no answer may have in it."""


@asynccontextmanager
async def opened(home: Path, **how: Any) -> AsyncIterator[tuple[Door, ASGIFramework, Caller]]:
    async with door_at(home, **how) as door:
        caller = Caller(B, WORLD)
        await door.know(caller)
        yield door, door.hosts.make_app(), caller


class Attack(NamedTuple):
    path: str
    body: tuple[bytes, ...] = (b"",)
    content_type: str = GRPC
    status: int = 200
    code: str = ""
    """grpc-status, or Connect's code."""
    scope: dict[str, Any] = {}  # noqa: RUF012  (read only)


def large(size: int) -> bytes:
    return raw.bytes_field(2, b"x" * size)


ATTACKS = {
    "nothing at all": Attack(POST_EVENT, code="12"),
    "half a frame": Attack(POST_EVENT, (b"\0\0",), code="3"),
    "a frame of 4 GiB": Attack(POST_EVENT, (b"\0\xff\xff\xff\xffabc",), code="3"),
    "a frame that is longer than it says": Attack(POST_EVENT, (framed(b"") + b"\1",), code="3"),
    "unknown flags": Attack(POST_EVENT, (b"\x80\0\0\0\0",), code="3"),
    "a compressed frame": Attack(POST_EVENT, (b"\1\0\0\0\1x",), code="13"),
    "two messages": Attack(POST_EVENT, (framed(b""), framed(b"")), code="12"),
    "a message that is none": Attack(POST_EVENT, (framed(b"\xff"),), code="3"),
    "a message cut off": Attack(POST_EVENT, (framed(b"\x12\x05ab"),), code="3"),
    "an event twice": Attack(POST_EVENT, (framed(large(1) * 2),), code="3"),
    "a token that is a number": Attack(SYNC, (framed(b"\x08\x01"),), code="3"),
    "no token": Attack(SYNC, (framed(wire.signed(b"", "", B)),), code="16"),
    "no host": Attack(SYNC, (framed(wire.signed(b"", "a.b.c", "")),), code="16"),
    "a token of 1 MiB": Attack(SYNC, (framed(wire.signed(b"", "x" * 2**20, B)),), code="16"),
    "a host of 1 MiB": Attack(SYNC, (framed(wire.signed(b"", "a.b.c", "x" * 2**20)),), code="16"),
    "a host with escapes": Attack(
        SYNC, (framed(wire.signed(b"", "a.b.c", "\x1b[2J\r\nx: y")),), code="16"
    ),
    "this node's own name": Attack(
        SYNC, (framed(wire.signed(b"", "a.b.c", "a.example:2289")),), code="16"
    ),
    "a body beyond all bounds": Attack(POST_EVENTS, (b"x" * 2**20,) * 2, status=413),
    "an unknown method": Attack("/postbox.v1.PostboxService/Steal", status=404),
    "an unknown service": Attack("/postbox.v1.Other/Sync", status=404),
    "an escaped path": Attack("/postbox.v1.PostboxService/%53ync", status=404),
    "GET": Attack(SYNC, status=405, scope={"method": "GET"}),
    "gRPC over HTTP/1.1": Attack(SYNC, status=505, scope={"http_version": "1.1"}),
    "plain HTTP from elsewhere": Attack(SYNC, status=403, scope={"client": ("8.8.8.8", 1)}),
    "a deadline in the past": Attack(
        SYNC, (framed(b""),), code="16", scope={"headers": ((b"grpc-timeout", b"0n"),)}
    ),
    "a deadline that is none": Attack(
        SYNC, (framed(b""),), code="16", scope={"headers": ((b"grpc-timeout", b"soon"),)}
    ),
    "a header that is no text": Attack(
        SYNC, (framed(b""),), code="16", scope={"headers": ((b"x-thing", b"\xff"),)}
    ),
    "a compression": Attack(
        SYNC, (framed(b""),), code="12", scope={"headers": ((b"grpc-encoding", b"gzip"),)}
    ),
    "no content type": Attack(POST_EVENT, content_type="", status=415),
    "HTML": Attack(POST_EVENT, content_type="text/html", status=415),
    "a content type that is no ASCII": Attack(POST_EVENT, content_type="é", status=400),
    "gRPC in another codec": Attack(POST_EVENT, content_type="application/grpc+thrift", status=415),
    "Connect without a body": Attack(
        POST_EVENT, content_type=PROTO, status=401, code="unauthenticated"
    ),
    "Connect with no message": Attack(
        POST_EVENT, (b"\xff",), PROTO, status=400, code="invalid_argument"
    ),
    "no JSON": Attack(POST_EVENT, (b"{",), JSON, status=400, code="invalid_argument"),
    "JSON that is too deep": Attack(
        POST_EVENT, (b'{"event":' * 20_000,), JSON, status=400, code="invalid_argument"
    ),
    "JSON with the fields of a message": Attack(
        POST_EVENT,
        (b'{"event": {"event": {"@type": "a/google.protobuf.Any"}}}',),
        JSON,
        status=400,
        code="invalid_argument",
    ),
    "JSON with a number for a token": Attack(
        POST_EVENT, (b'{"syncRequest": {"token": 5}}',), JSON, status=400, code="invalid_argument"
    ),
    "a stream asked as one answer": Attack(SYNC, (b"{}",), JSON, status=415),
}


async def test_an_attack_is_refused_and_a_good_request_taken_after_it(tmp_path: Path) -> None:
    wrong = {}
    async with opened(tmp_path) as (door, app, caller):
        for number, (what, attack) in enumerate(ATTACKS.items(), 1):
            before = await door.log_size()
            with logged() as log:
                found = await call(
                    app, attack.path, *attack.body, content_type=attack.content_type, **attack.scope
                )
            told = found.body.decode() + str(found.headers) + str(found.trailers)
            leaked = [word for word in INSIDE if word in told + log.getvalue()]
            grown = await door.log_size() - before
            good = await call(app, POST_EVENT, framed(caller.post(note(number))))
            seen = (found.status, code_of(found), log.getvalue(), leaked, grown, code_of(good))
            if seen != (attack.status, attack.code, "", [], 0, "0") or len(told) > 2_000:
                wrong[what] = seen
    assert wrong == {}


def code_of(found: Call) -> str:
    told = {**found.headers, **found.trailers}
    if "grpc-status" in told:
        return told["grpc-status"]
    if found.headers.get("content-type") == JSON and found.status != 200:
        return str(json.loads(found.body)["code"])
    return ""


BAD_EVENTS = {
    "no event": pb.PostboxEvent(epoch=EPOCH, seq=1, first=1).to_binary(),
    "a sign of life": pb.PostboxEvent(alive=True).to_binary(),
    "an epoch of 3 bytes": note(1, epoch=b"abc"),
    "a first number beyond it": note(1)[:-2] + raw.varint_field(19, 9),
    "a tombstone without a number": pb.PostboxEvent(
        tombstone=pb.Tombstone(upto=9, reason="lost")
    ).to_binary(),
    "a tombstone to the end of all numbers": pb.PostboxEvent(
        epoch=EPOCH, seq=1, first=1, tombstone=pb.Tombstone(upto=2**64 - 1, reason="lost")
    ).to_binary(),
    "an event that is too large": note(1, b"x" * (2**20 - 512)),
    "no protobuf": b"\xff\xff",
}


async def test_an_event_that_can_never_be_taken_is_called_that(tmp_path: Path) -> None:
    """INVALID_ARGUMENT: its sender buries it, and the link goes on."""
    codes = {}
    async with opened(tmp_path) as (door, app, caller):
        for what, event in BAD_EVENTS.items():
            one = await call(app, POST_EVENT, framed(caller.post(event)))
            together = await call(app, POST_EVENTS, framed(caller.posts(event)))
            codes[what] = (code_of(one), code_of(together))
        assert await door.inbox(B) == []
    assert codes == dict.fromkeys(BAD_EVENTS, ("3", "3"))


async def test_events_without_numbers_do_not_come_together(tmp_path: Path) -> None:
    async with opened(tmp_path) as (door, app, caller):
        found = await call(app, POST_EVENTS, framed(caller.posts(note(1), note(0))))
        assert code_of(found) == "3"
        assert await door.inbox(B) == []


async def test_an_event_of_a_registered_type_with_anything_in_it_is_refused_and_noted(
    tmp_path: Path,
) -> None:
    joined = pb.PostboxEvent.from_binary(note(1, b"\xff\xff\xff"))
    assert joined.event is not None
    joined.event.type_url = "type.googleapis.com/postbox.v1.GuildJoined"
    async with opened(tmp_path) as (door, app, caller):
        found = await call(app, POST_EVENT, framed(caller.post(joined.to_binary())))
        reply = pb.PostReply.from_binary(found.messages[0])
        assert reply.refused is not None
        assert reply.refused.seq == 1
        assert await door.inbox(B) == []


async def test_an_event_is_posted_in_json_by_whoever_signs_its_protobuf(tmp_path: Path) -> None:
    async with opened(tmp_path) as (door, app, caller):
        event = pb.PostboxEvent.from_binary(note(1))
        token = caller.token(wire.POST_EVENT, event.to_binary())
        assert event.event is not None
        document = {
            "syncRequest": {"token": token, "host": B},
            "event": {
                "event": {"typeUrl": event.event.type_url, "value": "aGVsbG8="},
                "epoch": "ZWVlZWVlZWVlZWVlZWVlZQ==",
                "seq": "1",
                "first": 1,
            },
        }
        body = json.dumps(document).encode()
        found = await call(app, POST_EVENT, body, content_type=JSON, http_version="1.1")
        assert found.status == 200, found.body
        assert json.loads(found.body)["received"]["seq"] == "1"
        assert await door.texts(B) == [b"hello"]


async def test_a_stream_is_given_in_json(tmp_path: Path) -> None:
    async with opened(tmp_path) as (door, app, caller):
        await door.post(B, b"hello")
        token = caller.token(wire.SYNC, b"")
        body = framed(json.dumps({"token": token, "host": B}).encode())
        found = await call(
            app, SYNC, body, content_type="application/connect+json", http_version="1.1"
        )
        event, end = found.messages
        assert json.loads(event)["event"]["value"] == "aGVsbG8="
        assert json.loads(end) == {}


async def test_a_fault_of_ours_is_told_as_one_and_no_more(tmp_path: Path) -> None:
    """The node is being closed: its writer is gone."""
    async with opened(tmp_path) as (_, app, caller):
        message = framed(caller.post(note(1)))
    with logged():
        found = await call(app, POST_EVENT, message)
    assert code_of(found) in ("13", "14")
    told = f"{found.headers} {found.trailers}"
    assert [word for word in INSIDE if word in told] == []


async def test_an_address_whose_tokens_are_refused_is_told_to_wait(tmp_path: Path) -> None:
    async with opened(tmp_path, world=replace(WORLD, clock=FixedClock())) as (_, app, _caller):
        asker = framed(wire.signed(b"", "a.b.c", B))
        codes = Counter([code_of(await call(app, SYNC, asker)) for _ in range(310)])
        assert codes == {"16": STRANGERS_PER_MINUTE, "8": 310 - STRANGERS_PER_MINUTE}
        elsewhere = await call(app, SYNC, asker, client=("127.0.0.2", 1))
        assert code_of(elsewhere) == "16"


async def test_requests_of_one_host_under_way_are_bounded(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        hosts, heard = door.hosts, list[str]()
        callers = Callers(
            WORLD.clock, hosts.keys, hosts.contacts, str, heard.append, requests_per_minute=1
        )
        with ExitStack() as under_way:
            for _ in range(REQUESTS_OF_HOST):
                under_way.enter_context(callers.one(CallerOf(B, False, b"")))
            with pytest.raises(TooOften), callers.one(CallerOf(B, False, b"")):
                pass
            with callers.one(CallerOf("c.example:2289", False, b"")):
                pass


async def test_large_bodies_of_one_address_are_bounded(tmp_path: Path) -> None:
    """They are in memory before it is known who sent them."""
    async with opened(tmp_path) as (_, app, caller), trio.open_nursery() as nursery:
        unfinished = partial(call, app, POST_EVENT, b"x" * 2 * BOUNDS.small_bytes, None)
        for _ in range(BOUNDS.large_of_address):
            nursery.start_soon(unfinished)
        await trio.testing.wait_all_tasks_blocked()
        large = framed(caller.post(note(1, b"x" * 2 * BOUNDS.small_bytes)))
        found = await call(app, POST_EVENT, large)
        assert (found.status, found.headers["retry-after"]) == (429, "1")
        elsewhere = await call(app, POST_EVENT, large, client=("127.0.0.2", 1))
        assert code_of(elsewhere) == "0"
        small = await call(app, POST_EVENT, framed(caller.post(note(2))))
        assert code_of(small) == "0"
        nursery.cancel_scope.cancel()
