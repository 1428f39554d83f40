"""Devices that are not ours: grpcio, and plain HTTP with JSON, on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from postbox.clients import wire
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import system_world
from structure.tree import ROOT
from support.client_door import Device, Door, conversation, door_at, kind_of, message, value_of
from support.grpc_host import GrpcHost, GrpcStream, Refusal, grpc_host
from support.serving import Served, served

WORLD = system_world()
SYNC, STREAM = wire.PATHS[wire.SYNC], wire.PATHS[wire.SYNC_FROM_SERVER]


@asynccontextmanager
async def asked(home: Path) -> AsyncIterator[tuple[Door, GrpcHost, Served]]:
    async with door_at(home) as door, served(door.app, world=WORLD) as where:
        with grpc_host(where.url) as host:
            yield door, host, where


def as_(device: Device) -> dict[str, Any]:
    return {"metadata": (("authorization", f"Bearer {device.token}"),)}


async def event(stream: GrpcStream) -> pb.Event:
    found = await stream.next()
    assert isinstance(found, bytes), found
    return pb.Event.from_binary(found)


async def test_grpcio_sends_a_queue_and_follows_a_stream(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, _):
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        heard = host.streamed(STREAM, b"", **as_(bob))
        assert kind_of(await event(heard)) == "snapshotBegin"
        while kind_of(await event(heard)) != "caughtUp":
            pass
        asking = pb.SubmitEventInput(events=[ann.event(message(room, "hi"))], firstQueueNumber=1)
        found = await host.ask(SYNC, asking.to_binary(), **as_(ann))
        assert isinstance(found, bytes), found
        answer = pb.SubmitEventOutput.from_binary(found)
        assert answer.nextQueueNumber == 2
        came = await event(heard)
        assert (came.uuid, value_of(came).message.text) == (answer.events[0].uuid, "hi")
        door.clients.end_streams()
        assert kind_of(await event(heard)) == "goAway"
        end = await heard.next()
        assert isinstance(end, Refusal)
        assert (end.code, end.trailers["postbox-code"]) == ("UNAVAILABLE", "STOPPING")


async def test_grpcio_is_told_why_it_is_refused(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, _):
        refused = await host.ask(SYNC, b"")
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.trailers["postbox-code"]) == ("UNAUTHENTICATED", "NO_SESSION")
        hole = pb.SubmitEventInput(events=[pb.Event()], firstQueueNumber=4).to_binary()
        refused = await host.ask(SYNC, hole, **as_(door.device("ann")))
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.text[:19]) == ("FAILED_PRECONDITION", "QUEUE_HOLE: next=1:")
        assert refused.trailers["postbox-next-queue-number"] == "1"


async def test_the_readmes_queue_is_stored_once_however_often_it_is_sent(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    queue = text.partition("queue.json <<END\n")[2].partition("\nEND\n")[0].encode()
    async with asked(tmp_path) as (door, _, where):
        ann = door.device("ann")
        headers = {"authorization": f"Bearer {ann.token}", "content-type": "application/json"}
        answers = [json.loads((await where.post(SYNC, queue, **headers))[1]) for _ in range(2)]
    once, again = (answer["events"] for answer in answers)
    assert [event["uuid"] for event in again] == [event["uuid"] for event in once]
    assert "sentNewMessage" in once[1]
    assert all(event["duplicate"] for event in again)
    assert not any("duplicate" in event for event in once)


async def test_plain_http_with_json_sends_a_queue_and_reads_a_stream(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, _, where):
        ann = door.device("ann")
        room = await conversation(ann)
        said = {"sendingNewMessage": {"message": {"text": "hi"}}}
        document = {"events": [{"uuid": ann.event().uuid, "conversationUuid": room, **said}]}
        headers = {"authorization": f"Bearer {ann.token}", "content-type": "application/json"}
        status, body = await where.post(SYNC, json.dumps(document).encode(), **headers)
        assert status == 200
        uuid = json.loads(body)["events"][0]["sentNewMessage"]["uuid"]
        status, body = await where.post(
            STREAM, b'{"untilCaughtUp": true}', accept="text/event-stream", **headers
        )
        assert status == 200
        data = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
        assert uuid in [json.loads(line).get("uuid") for line in data]
        envelope = b"\0" + len(b'{"untilCaughtUp":true}').to_bytes(4, "big")
        headers["content-type"] = "application/connect+json"
        status, body = await where.post(STREAM, envelope + b'{"untilCaughtUp":true}', **headers)
        assert status == 200
        assert uuid.encode() in body
