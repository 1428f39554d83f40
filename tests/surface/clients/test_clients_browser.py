"""What a page in a browser is answered: JSON, leave to read it, and a stream that it can follow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.clients import wire
from postbox.clients.serving.browser import EVENT_STREAM, MAX_AGE_S
from postbox.clients.serving.streams import Why
from postbox.net.asgi import TEXT
from support.asgi_call import Call, call
from support.client_door import Device, conversation, door_at, message

JSON = "application/json"
APP = "https://app.example"
OTHER = "https://other.example"
SYNC, STREAM = wire.PATHS[wire.SYNC], wire.PATHS[wire.SYNC_FROM_SERVER]
LIMIT_S = 30


def headers(device: Device | None, **more: str) -> tuple[tuple[bytes, bytes], ...]:
    token = {} if device is None else {"authorization": f"Bearer {device.token}"}
    return tuple(
        (name.replace("_", "-").encode(), value.encode())
        for name, value in {**token, **more}.items()
    )


async def post(
    device: Device, path: str, document: Any, content_type: str = JSON, **more: str
) -> Call:
    """As a page does it."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    app, sent = device.door.app, headers(device, **more)
    return await call(app, path, body, content_type=content_type, headers=sent)


class Page:
    """That follows a stream of server-sent events."""

    def __init__(self) -> None:
        self.answer = Call()
        self._taken = 0

    async def next(self) -> dict[str, str]:
        """The fields of the next event."""
        with trio.fail_after(LIMIT_S):
            while len(self._events()) == self._taken:
                await self.answer.moved.wait()
        self._taken += 1
        lines = self._events()[self._taken - 1].split("\n")
        return dict(line.split(": ", 1) for line in lines)

    async def until(self, kind: str) -> dict[str, str]:
        while kind not in json.loads((event := await self.next())["data"]):
            pass
        return event

    def _events(self) -> list[str]:
        return self.answer.body.decode().split("\n\n")[:-1]


@asynccontextmanager
async def followed(device: Device, document: Any = None, **more: str) -> AsyncIterator[Page]:
    page = Page()
    body = b"" if document is None else json.dumps(document).encode()
    sent = headers(device, accept=EVENT_STREAM, **more)

    async def run() -> None:
        app = device.door.app
        await call(app, STREAM, body, answer=page.answer, content_type=JSON, headers=sent)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield page
        nursery.cancel_scope.cancel()


# -- JSON ---------------------------------------------------------------------------------------


async def test_a_page_sends_and_reads_with_json_alone(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        event = {
            "uuid": "00000000-0000-4000-8000-0000000000aa",
            "conversationUuid": room,
            "sendingNewMessage": {"message": {"text": "grüezi"}},
            "unheardOf": {"a": [1]},
        }
        answer = await post(ann, SYNC, {"events": [event], "firstQueueNumber": "1"})
        assert (answer.status, answer.headers["content-type"]) == (200, JSON)
        said = json.loads(answer.body)
        assert said["nextQueueNumber"] == "2"
        (told,) = said["events"]
        assert told["clientUuid"] == event["uuid"]
        assert told["sentNewMessage"] == {"uuid": told["uuid"]}
        path = wire.PATHS[wire.HISTORY]
        page = json.loads((await post(ann, path, {"conversationUuid": room})).body)
        assert page["events"][-1]["newMessage"]["message"]["text"] == "grüezi"


async def test_a_refusal_is_told_in_json_with_its_code_first(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        answer = await post(ann, SYNC, {"events": [{}], "firstQueueNumber": "9"})
        assert answer.status == 400
        assert json.loads(answer.body)["code"] == "failed_precondition"
        assert json.loads(answer.body)["message"].startswith("QUEUE_HOLE: next=1")
        assert answer.headers["postbox-code"] == "QUEUE_HOLE"
        assert answer.headers["postbox-next-queue-number"] == "1"


NO_JSON = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"events":5}',
    b'{"events":{"uuid":5}}',
    b'{"events":"abc"}',
    b'{"events":[null],"firstQueueNumber":"x"}',
    b"\xff",
    b"[" * 90_000,
    b'{"events":[' * 10_000,
    b'{"firstQueueNumber":"99999999999999999999"}',
]


NO_VALUES = [
    {"sendingNewMessage": {"message": {"text": "half of an emoji: \ud83d"}}},
    {"sendingNewMessage": {"message": {"text": 5}}},
    {"clientTime": "yesterday"},
    {"profilePictureChanged": {"pngImage": "@@"}},
    {"unheardOf": [[]] * 600},
    {"memberLeft": {}, "sendingNewMessage": {"message": {"text": "two contents"}}},
]


@pytest.mark.parametrize("value", NO_VALUES)
async def test_an_event_whose_json_cannot_be_read_does_not_stop_the_queue_behind_it(
    tmp_path: Path, value: dict[str, Any]
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        uuids = [f"00000000-0000-4000-8000-0000000000{number}" for number in ("aa", "bb")]
        said = {"message": {"text": "behind"}}
        events = [
            {"uuid": uuids[0], "conversationUuid": room, **value},
            {"uuid": uuids[1], "conversationUuid": room, "sendingNewMessage": said},
        ]
        answer = await post(ann, SYNC, {"firstQueueNumber": "1", "events": events})
        told = json.loads(answer.body)
        assert told["nextQueueNumber"] == "3"
        assert [event["clientUuid"] for event in told["events"]] == uuids
        assert told["events"][0]["eventRefused"]["code"] == "INVALID"
        assert told["events"][1]["sentNewMessage"]


@pytest.mark.parametrize("event", [None, 5, "text", [], {"uuid": 5}, {"uuid": "\ud83d"}, {}])
async def test_what_is_no_event_or_has_no_uuid_is_refused_in_its_place(
    tmp_path: Path, event: Any
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        uuid = "00000000-0000-4000-8000-0000000000aa"
        said = {"message": {"text": "between"}}
        good = {"uuid": uuid, "conversationUuid": room, "sendingNewMessage": said}
        batch = {"firstQueueNumber": "1", "events": [event, good, event]}
        for is_again in (False, True):
            told = json.loads((await post(ann, SYNC, batch)).body)
            assert told["nextQueueNumber"] == "4"
            first, second, third = told["events"]
            assert first == third
            assert (first["eventRefused"]["code"], "clientUuid" in first) == ("INVALID", False)
            assert (second["clientUuid"], second.get("duplicate", False)) == (uuid, is_again)


async def test_a_transitory_event_that_cannot_be_read_has_no_number_either(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        typing = {"userIsTyping": {"conversationUuid": 5}}
        batch = {"firstQueueNumber": "1", "events": [typing, {"uuid": 5}]}
        told = json.loads((await post(ann, SYNC, batch)).body)
        assert told["nextQueueNumber"] == "2"
        assert [event["eventRefused"]["code"] for event in told["events"]] == ["INVALID"] * 2


@pytest.mark.parametrize("body", NO_JSON)
async def test_what_is_no_json_of_the_message_is_refused(tmp_path: Path, body: bytes) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        answer = await post(ann, SYNC, body)
        assert answer.status == 400
        said = json.loads(answer.body)
        assert said["code"] == "invalid_argument"
        assert said["message"].startswith("INVALID: ")


@pytest.mark.parametrize(
    ("path", "content_type", "spoken"),
    [
        (SYNC, "", JSON),
        (SYNC, "text/html", "application/proto"),
        (SYNC, "application/connect+json", "application/grpc-web+proto"),
        (SYNC, "application/grpc+thrift", "application/grpc"),
        (STREAM, JSON, "application/connect+json"),
    ],
)
async def test_a_content_type_that_is_not_spoken_is_refused_with_those_that_are(
    tmp_path: Path, path: str, content_type: str, spoken: str
) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        answer = await post(ann, path, {}, content_type)
        assert (answer.status, answer.headers["content-type"]) == (415, TEXT)
        types = answer.headers["accept-post"].split(", ")
        assert spoken in types
        assert content_type not in types
        assert answer.body.decode() == (
            f"this content type is not spoken here: use one of {', '.join(types)}\n"
        )
        for each in types:
            assert (await post(ann, path, b"", each)).status != 415


async def test_where_nothing_is_compressed_nothing_is_said_of_it(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        for answer in (await post(ann, SYNC, {}), await post(ann, SYNC, b"{")):
            assert not {"vary", "content-encoding"} & answer.headers.keys()


# -- leave to call ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "origin", "is_let_in"),
    [((APP,), APP, True), ((APP,), OTHER, False), ((), APP, False), (("*",), OTHER, True)],
)
async def test_pages_of_the_named_origins_may_call(
    tmp_path: Path, origins: tuple[str, ...], origin: str, is_let_in: bool
) -> None:
    async with door_at(tmp_path, origins=origins) as door:
        ann = door.device("ann")
        asked = headers(None, origin=origin, access_control_request_method="POST")
        before = await call(door.app, SYNC, headers=asked, method="OPTIONS")
        assert before.status == (204 if is_let_in else 403)
        answer = await post(ann, SYNC, {}, origin=origin)
        refusal = await call(door.app, SYNC, b"{}", content_type=JSON, headers=asked)
        assert (answer.status, refusal.status) == (200, 401)
        for one in (before, answer, refusal):
            allowed = one.headers.get("access-control-allow-origin")
            assert allowed == (origin if is_let_in else None)


async def test_a_page_is_told_what_it_may_send_and_read(tmp_path: Path) -> None:
    async with door_at(tmp_path, origins=(APP,)) as door:
        asked = headers(None, origin=APP)
        before = await call(door.app, SYNC, headers=asked, method="OPTIONS")
        may_send = before.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "last-event-id", "connect-timeout-ms"} <= {
            *may_send
        }
        assert before.headers["access-control-allow-methods"] == "POST"
        assert before.headers["access-control-max-age"] == str(MAX_AGE_S)
        answer = await call(door.app, SYNC, b"{}", content_type=JSON, headers=asked)
        assert "postbox-code" in answer.headers["access-control-expose-headers"].split(", ")
        assert answer.headers["vary"].lower() == "origin"


async def test_who_is_no_page_is_told_nothing_of_origins(tmp_path: Path) -> None:
    async with door_at(tmp_path, origins=(APP,)) as door:
        answer = await post(door.device("ann"), SYNC, {})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await call(door.app, SYNC, method="OPTIONS")).status == 405


# -- the stream ---------------------------------------------------------------------------------


async def test_a_page_follows_its_stream_and_comes_back_by_the_last_id(tmp_path: Path) -> None:
    async with door_at(tmp_path, origins=(APP,)) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        async with followed(bob, origin=APP) as page:
            token = (await page.until("caughtUp"))["id"]
            assert page.answer.headers["content-type"] == EVENT_STREAM
            assert page.answer.headers["access-control-allow-origin"] == APP
            sent = await ann.one(message(room, "two\nlines"))
            event = await page.until("newMessage")
            assert json.loads(event["data"])["newMessage"]["message"]["text"] == "two\nlines"
        async with followed(bob, last_event_id=token) as again:
            assert json.loads((await again.next())["data"])["uuid"] == sent.uuid
        async with followed(bob, {"resumeToken": event["id"]}) as again:
            assert "caughtUp" in json.loads((await again.next())["data"])
        async with followed(bob, {"resumeToken": "an old one"}, last_event_id=token) as again:
            assert json.loads((await again.next())["data"])["uuid"] == sent.uuid


async def test_a_page_is_told_why_its_stream_ends(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        async with followed(ann) as page:
            await page.until("caughtUp")
            door.clients.streams.end(ann.id, Why.DISPLACED)
            said = json.loads((await page.until("goAway"))["data"])
            assert said["goAway"]["code"] == "DISPLACED"
            last = await page.next()
            assert last["event"] == "error"
            assert json.loads(last["data"])["code"] == "aborted"
            assert json.loads(last["data"])["message"].startswith("DISPLACED: ")


async def test_a_stream_that_is_through_ends_without_an_error(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        answer = await post(
            door.device("ann"), STREAM, {"untilCaughtUp": True}, accept=EVENT_STREAM
        )
        assert answer.status == 200
        assert b"event: error" not in answer.body
        assert answer.body.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("token", "body", "status", "code"),
    [
        ("", b"{}", 401, "NO_SESSION"),
        ("Bearer x", b"{}", 401, "NO_SESSION"),
        (None, b"{", 400, "INVALID"),
        (None, b'{"resumeToken": 5}', 400, "INVALID"),
        (None, b"[" * 90_000, 400, "INVALID"),
    ],
)
async def test_a_stream_that_is_refused_has_a_status(
    tmp_path: Path, token: str | None, body: bytes, status: int, code: str
) -> None:
    async with door_at(tmp_path) as door:
        more = {} if token is None else {"authorization": token}
        answer = await post(door.device("ann"), STREAM, body, accept=EVENT_STREAM, **more)
        assert (answer.status, answer.headers["postbox-code"]) == (status, code)
        assert json.loads(answer.body)["message"].startswith(f"{code}: ")
