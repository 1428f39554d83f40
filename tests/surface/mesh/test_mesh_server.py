"""`POST /api/sync` on a real socket: who is answered, with what, and who can check the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from postbox.mesh.wire import MSGPACK, NARA_SYNC_PATH, SYNC_PATHS
from postbox.net.client import Answer
from postbox.trust.keys import identity_of
from support.asking import (
    BODY,
    NOW_MS,
    asking,
    check_headers,
    check_inside,
    checked,
    parsed,
    request_bytes,
    signed,
    spoken,
)
from support.mesh import ANN, BOB, MALLORY, NOW_NS, believe, tease

# -- who is answered ------------------------------------------------------------------------------


async def test_who_does_not_prove_its_name_gets_a_401_that_says_why(tmp_path: Path) -> None:
    good = signed(ANN)
    other = signed(identity_of("ann", b"other".ljust(32, b".")))
    cases: list[tuple[Mapping[str, str], str]] = [
        ({}, "missing auth headers"),
        ({key: good[key] for key in list(good)[:2]}, "missing auth headers"),
        (good | {"X-Nara-Name": ""}, "missing auth headers"),
        (good | {"X-Nara-Timestamp": "soon"}, "invalid timestamp"),
        (good | {"X-Nara-Timestamp": f"0{NOW_MS}"}, "invalid timestamp"),
        (good | {"X-Nara-Timestamp": f"-{NOW_MS}"}, "invalid timestamp"),
        (signed(ANN, NOW_MS - 30_001), "timestamp too old or in future"),
        (signed(ANN, NOW_MS + 30_001), "timestamp too old or in future"),
        (signed(MALLORY), "unknown sender: mallory"),
        (good | {"X-Nara-Name": "bob"}, "unknown sender: bob"),
        (good | {"X-Nara-Name": "a b"}, "unknown sender: that is no name"),
        (good | {"X-Nara-Signature": "!!!"}, "invalid signature encoding"),
        (good | {"X-Nara-Signature": "YWJj"}, "signature verification failed"),
        (good | {"X-Nara-Timestamp": str(NOW_MS + 1)}, "signature verification failed"),
        (other, "signature verification failed"),
        (signed(ANN, path="/events/sync"), "signature verification failed"),
        (signed(ANN, method="GET"), "signature verification failed"),
    ]
    async with asking(tmp_path, [tease(1)]) as asked:
        for headers, reason in cases:
            answer = await asked.raw(BODY, headers)
            said = f"Authentication failed: {reason}"
            assert (answer.status, answer.body.decode()[: len(said)]) == (401, said)
            assert "x-nara-signature" not in answer.headers, "nobody is known to whom to answer"
            assert answer.headers["content-type"].startswith("text/plain")
        assert (await asked.raw(BODY, good)).status == 200


async def test_a_request_is_taken_thirty_seconds_either_way(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        for at_ms in (NOW_MS - 30_000, NOW_MS + 30_000):
            assert (await asked.raw(BODY, signed(ANN, at_ms))).status == 200


async def test_a_request_in_another_s_name_is_refused(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        await believe(asked.node, BOB)
        answer = await asked.raw(b'{"from":"bob","mode":"recent"}', signed(ANN))
        assert (answer.status, answer.body) == (401, b"Authentication failed: from is not ann\n")
        check_headers(answer, asked.node.identity)


async def test_the_node_itself_is_a_known_sender(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        me = asked.node.identity
        body = json.dumps({"from": me.name}).encode()
        assert (await asked.raw(body, signed(me))).status == 200


async def test_a_former_key_does_not_open_the_door_any_more(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        later = identity_of("ann", b"later".ljust(32, b"."))
        await believe(asked.node, later, with_ids=False)
        assert (await asked.raw(BODY, signed(ANN))).status == 401
        assert (await asked.raw(BODY, signed(later))).status == 200


async def test_names_of_any_letters_are_read_as_they_were_signed(tmp_path: Path) -> None:
    """By the server, and by the client in the answer."""
    zoe = identity_of("zoë-ж", b"zoe".ljust(32, b"."))
    async with asking(tmp_path, name="ålesund") as asked:
        await believe(asked.node, zoe)
        answer = await asked.raw('{"from":"zoë-ж"}'.encode(), signed(zoe))
        assert checked(answer, asked.node.identity)["from"] == "ålesund"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_another_method_is_told_which_to_use(tmp_path: Path, method: str) -> None:
    async with asking(tmp_path) as asked:
        answer = await asked.raw(b"", signed(ANN, method=method), method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_a_bad_request_of_a_known_sender_is_a_signed_400_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    bad: list[tuple[bytes, str]] = [
        (b"{", "the body is no sync request"),
        (b'{"mode":"page"}', "from is required"),
        (b'{"from":"ann","mode":"pages"}', "use sample, page, recent"),
        (b'{"from":"ann","mode":"page","page_size":"5"}', "the body is no sync request"),
        (b'{"from":"ann","mode":"page","page_size":9223372036854775808}', "no sync request"),
        (b'{"from":"ann","mode":"page","cursor":"yesterday"}', "send next_cursor back as it came"),
        (b'{"from":"ann","mode":"page","cursor":"5.zz"}', "send next_cursor back as it came"),
        (b'{"from":"ann","mode":"page","cursor":"-5"}', "send next_cursor back as it came"),
    ]
    async with asking(tmp_path) as asked:
        for body, text in bad:
            answer = await asked.raw(body, signed(ANN))
            assert answer.status == 400
            assert text in answer.body.decode()
            check_headers(answer, asked.node.identity)


async def test_another_path_is_a_plain_404(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        for path in ("/", "/events", "/events/sync/", "/api/sync/", "/api", "/ping/x"):
            answer = await asked.raw(b"", {}, "GET", path)
            assert (answer.status, answer.body[:16]) == (404, b"nothing is here:")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await asked.raw(b"", {}, "POST", "/ping")).status == 405


async def test_ping_tells_whoever_asks_name_and_key(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        answer = await asked.raw(b"", {}, "GET", "/ping")
        me = asked.node.identity
        assert json.loads(answer.body) == {
            "from": me.name,
            "mesh_ip": "",
            "public_key": me.public_key_base64,
            "t": NOW_NS,
            "postbox": {
                "version": "1",
                "modes": ["sample", "page", "recent"],
                "url": "",
                "memory_mode": "custom",
                "uptime_s": 0,
            },
        }


# -- two paths, two forms ------------------------------------------------------------------------


EVENTS = [tease(number) for number in range(1, 40)]
MODES: list[dict[str, Any]] = [
    {"mode": "page", "page_size": 7},
    {"mode": "recent"},
    {"mode": "recent", "limit": 3},
    {"mode": "page", "subjects": ["nobody"]},
    {"since_time": 1, "max_events": 5},
]


async def test_both_paths_answer_alike_and_each_wants_its_own_signature(tmp_path: Path) -> None:
    async with asking(tmp_path, EVENTS) as asked:
        for fields in MODES:
            one, other = [await asked.ask(path, **fields) for path in SYNC_PATHS]
            assert one == other
        sample = {"mode": "sample", "services": None, "subjects": None}
        assert len((await asked.ask(NARA_SYNC_PATH, **sample))["events"]) == len(EVENTS)
        for path, other_path in (SYNC_PATHS, SYNC_PATHS[::-1]):
            answer = await asked.raw(BODY, signed(ANN, path=other_path), path=path)
            assert answer.status == 401
            assert answer.body == b"Authentication failed: signature verification failed\n"


ACCEPTED = [
    "application/msgpack",
    "Application/MsgPack",
    "application/json, application/msgpack;q=0.5",
]
NOT_MSGPACK = ["", "*/*", "application/*", "application/json", "msgpack", "x" * 8000, ";,;q=é"]


@pytest.mark.parametrize("accept", ACCEPTED)
async def test_msgpack_is_the_same_answer_with_the_same_bytes(tmp_path: Path, accept: str) -> None:
    """Read by the `msgpack` package; both signatures verify for either form."""
    odd = tease(50).replace(b'"ts":', b'"unknown" : [1.50, "\\u003c"] , "ts" : ')
    async with asking(tmp_path, [odd, *EVENTS]) as asked:
        for fields in MODES:
            body = json.dumps({"from": "ann", **fields}).encode()
            text = await asked.raw(body, signed(ANN))
            packed = await asked.raw(body, signed(ANN) | {"Accept": accept})
            assert packed.headers["content-type"] == MSGPACK
            check_headers(packed, asked.node.identity)
            content = msgpack.unpackb(packed.body)
            events: list[bytes] | None = content["events"]
            ids = [json.loads(event)["id"] for event in events or ()]
            check_inside(content, ids, asked.node.identity)
            in_text = checked(text, asked.node.identity)
            assert list(content) == list(in_text)
            raws = None if events is None else b"[" + b",".join(events) + b"]"
            assert b'"events":' + (raws or b"null") in text.body
            assert content | {"events": None} == in_text | {"events": None}
            assert events is None or {type(event) for event in events} == {bytes}
        assert odd in events_of(await asked.raw(b'{"from":"ann"}', signed(ANN) | MSGPACK_ONLY))


MSGPACK_ONLY = {"Accept": MSGPACK}


def events_of(packed: Answer) -> list[bytes]:
    events: list[bytes] = msgpack.unpackb(packed.body)["events"]
    return events


@pytest.mark.parametrize("accept", NOT_MSGPACK)
async def test_whoever_does_not_name_msgpack_gets_json(tmp_path: Path, accept: str) -> None:
    async with asking(tmp_path, [tease(1)]) as asked:
        headers = [*signed(ANN).items(), ("Accept", accept)]
        answer = parsed(await spoken(asked.url, request_bytes(headers, BODY)))
        assert answer.status == 200
        assert checked(answer, asked.node.identity)["events"]
