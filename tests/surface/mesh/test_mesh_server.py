"""`POST /api/sync` on a real socket: who is answered, with what, and who can check the answer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from nacl.signing import VerifyKey

from postbox.net.client import Answer, Client, open_client
from postbox.node import Node
from postbox.trust.keys import Identity, identity_of
from postbox.trust.signatures import request_headers, response_headers
from support.homes import Imported
from support.mesh import (
    ANN,
    BOB,
    MALLORY,
    NARA,
    NOW_NS,
    REACH,
    Plain,
    believe,
    fixed_world,
    history_lines,
    in_order,
    node_at,
    plain,
    serving,
    take,
    tease,
)

PATH = "/api/sync"
NOW_MS = NOW_NS // 10**6
VECTORS = json.loads((NARA / "vectors.json").read_bytes())


@dataclass
class Asked:
    """A node that serves, and a caller that it knows as Ann."""

    node: Node
    url: str
    http: Client

    async def raw(
        self, body: bytes, headers: Mapping[str, str], method: str = "POST", path: str = PATH
    ) -> Answer:
        return await self.http.request(
            method,
            self.url + path,
            body=body,
            headers=headers,
            max_body_bytes=64 * 2**20,
            deadline_s=60.0,
        )

    async def ask(self, **fields: Any) -> dict[str, Any]:
        """A request of Ann's, whose answer is checked as a stranger would check it."""
        body = json.dumps({"from": "ann", **fields}).encode()
        answer = await self.raw(body, signed(ANN))
        assert answer.status == 200, answer.body[:200]
        assert answer.headers["content-type"] == "application/json"
        return checked(answer, self.node.identity)

    async def events(self, **fields: Any) -> list[str]:
        """The ids of the answer, in its order."""
        return [event["id"] for event in (await self.ask(**fields))["events"] or ()]


def signed(
    who: Identity, at_ms: int = NOW_MS, method: str = "POST", path: str = PATH
) -> dict[str, str]:
    return request_headers(who, method, path, at_ms)


def checked(answer: Answer, by: Identity) -> dict[str, Any]:
    """The answer's content, after both signatures were checked with PyNaCl and hashlib alone, from
    the words of the specification."""
    key = VerifyKey(by.public_key)
    name, ts = answer.headers["x-nara-name"], answer.headers["x-nara-timestamp"]
    assert (name, ts) == (by.name, str(NOW_MS))
    body_hash = base64.b64encode(hashlib.sha256(answer.body).digest()).decode()
    key.verify(
        f"{name}{ts}{body_hash}".encode(), base64.b64decode(answer.headers["x-nara-signature"])
    )
    content: dict[str, Any] = json.loads(answer.body)
    ids = "".join(event["id"] for event in content["events"] or ())
    digest = hashlib.sha256(f"{content['from']}:{content['ts']}:{ids}".encode()).digest()
    key.verify(digest, base64.b64decode(content["sig"]))
    assert (content["from"], content["ts"]) == (by.name, NOW_NS // 10**9)
    assert answer.body.endswith(b"}\n")
    return content


@asynccontextmanager
async def asking(home: Path, events: Sequence[bytes] = ()) -> AsyncIterator[Asked]:
    async with node_at(home) as node:
        await believe(node, ANN)
        await take(node, events)
        async with serving(node) as url, open_client(fixed_world().net, reach=REACH) as http:
            yield Asked(node, url, http)


# -- who is answered ------------------------------------------------------------------------------


BODY = b'{"from":"ann","mode":"recent"}'


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
            digest = base64.b64encode(hashlib.sha256(answer.body).digest()).decode()
            VerifyKey(asked.node.identity.public_key).verify(
                f"{asked.node.identity.name}{NOW_MS}{digest}".encode(),
                base64.b64decode(answer.headers["x-nara-signature"]),
            )


async def test_another_path_is_a_plain_404(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        for path in ("/", "/events/sync", "/api/sync/", "/api", "/ping/x"):
            answer = await asked.raw(b"", {}, "GET", path)
            assert (answer.status, answer.body) == (404, f"Not Found: {path}\n".encode())
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
        }


async def test_a_query_behind_the_path_is_not_part_of_what_is_signed(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        assert (await asked.raw(BODY, signed(ANN), path=PATH + "?x=1")).status == 200


# -- bytes on the wire ----------------------------------------------------------------------------


async def spoken(url: str, request: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(request)
        answer = bytearray()
        async for part in stream:
            answer += part
        return bytes(answer)


async def test_a_request_as_go_sends_it_is_answered_as_go_reads_it(tmp_path: Path) -> None:
    """Go's header spelling, chunks, nulls; the empty answer is laid out as nara's."""
    body = b'{"from":"ann","services":null,"subjects":null,"mode":"sample","sample_size":5000}\n'
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        async with serving(node) as url:
            head = "".join(f"{key}: {value}\r\n" for key, value in signed(ANN).items())
            request = (
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\n{head}"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                "Connection: close\r\n\r\n"
            ).encode()
            chunked = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
            answer = await spoken(url, request + chunked + b"0\r\n\r\n")
        header, _, content = answer.partition(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 200")
        shape = json.loads(content)
        assert content == json.dumps(shape, separators=(",", ":")).encode() + b"\n"
        assert list(shape) == ["from", "events", "ts", "sig"]
        assert shape["events"] is None
        assert list(json.loads(VECTORS["empty_response_json"])) == list(shape)


def test_signatures_are_nara_s_to_the_byte() -> None:
    """What the server and the client send, at nara's times with nara's souls."""
    alice, bob = (
        identity_of(one["name"], bytes.fromhex(one["seed"])) for one in VECTORS["identities"]
    )
    golden = VECTORS["mesh_request"]
    assert request_headers(bob, "POST", "/events/sync", 1768780001234) == {
        "X-Nara-Name": "bob",
        "X-Nara-Timestamp": "1768780001234",
        "X-Nara-Signature": golden["sig"],
    }
    golden = VECTORS["mesh_response"]
    sent = response_headers(alice, golden["body"].encode(), 1768780001500)
    assert sent["X-Nara-Signature"] == golden["sig"]


# -- what is answered -----------------------------------------------------------------------------


@pytest.fixture
def home(imported: Imported, copy_of: Callable[[Imported], Path]) -> Path:
    """Of a node with nara's history."""
    return copy_of(imported)


@pytest.fixture(scope="module")
def events() -> list[Plain]:
    return [plain(line) for line in history_lines()]


FILTERS: list[tuple[list[str], list[str]]] = [
    ([], []),
    (["ping"], []),
    (["hey-there", "chau"], []),
    (["checkpoint"], []),
    ([], ["brisk-comet"]),
    (["seen", "observation"], ["brisk-comet", "cedar-harbor"]),
    (["social"], ["nobody-at-all"]),
    (["no-such-service"], []),
]


async def test_services_and_subjects_work_in_every_mode(home: Path, events: list[Plain]) -> None:
    """Against a dumb filter over the file."""
    async with asking(home) as asked:
        for services, subjects in FILTERS:
            wanted = [event.id for event in in_order(events, services, subjects)]
            fields = {"services": services, "subjects": subjects}
            page = await asked.events(mode="page", **fields)
            assert page == wanted[:5_000]
            assert await asked.events(mode="recent", limit=5_000, **fields) == wanted[:-5001:-1]
            assert await asked.events(**fields) == wanted[:-101:-1], "an omitted mode is recent"
            assert await asked.events(since_time=0, **fields) == wanted[-5_000:]
            sample = await asked.events(mode="sample", **fields)
            assert len(sample) == min(5_000, len(wanted))
            places = {event_id: place for place, event_id in enumerate(wanted)}
            order = [places[event_id] for event_id in sample]
            assert order == sorted(set(order)), "of those asked for, each once, by time"


async def test_an_older_request_gets_what_nara_would_serve(home: Path, events: list[Plain]) -> None:
    ids = [event.id for event in in_order(events, ["ping", "chau"])]
    times = {event.id: event.ts for event in events}
    since = times[ids[100]]
    later = [event_id for event_id in ids if times[event_id] > since]
    fields: dict[str, Any] = {"services": ["ping", "chau"]}
    async with asking(home) as asked:
        assert await asked.events(since_time=since, **fields) == later
        assert await asked.events(max_events=7, **fields) == ids[-7:]
        assert await asked.events(max_events=-1, **fields) == ids
        for index in range(3):
            sliced = await asked.events(slice_index=index, slice_total=3, **fields)
            assert sliced == ids[index::3]
        assert await asked.events(slice_index=9, slice_total=3, **fields) == ids[0::3]
        assert await asked.events(slice_total=0, **fields) == ids


async def test_sizes_are_what_was_asked_or_the_default(home: Path) -> None:
    async with asking(home) as asked:
        for mode, field, default in (
            ("sample", "sample_size", 5_000),
            ("page", "page_size", 5_000),
            ("recent", "limit", 100),
        ):
            for size, expected in (
                (1, 1),
                (7, 7),
                (5_000, 5_000),
                (5_001, 5_000),
                (0, default),
                (-1, default),
                (-(2**63), default),
                (2**63 - 1, 5_000),
            ):
                assert len(await asked.events(mode=mode, **{field: size})) == expected


async def test_a_sample_holds_every_critical_event_and_differs_from_the_next(
    home: Path,
) -> None:
    critical = {
        event["id"]
        for event in map(json.loads, history_lines())
        if event["svc"] in ("checkpoint", "hey-there", "chau")
        or event.get("observation", {}).get("type") in ("restart", "first-seen")
    }
    assert len(critical) == 3_664
    async with asking(home) as asked:
        first, second = await asked.events(mode="sample"), await asked.events(mode="sample")
    assert critical <= set(first)
    assert critical <= set(second)
    assert first != second


async def test_pages_of_five_thousand_walk_over_everything_once_in_order(
    home: Path, events: list[Plain]
) -> None:
    ids = [event.id for event in in_order(events)]
    async with asking(home) as asked:
        walked, cursors = await walk(asked, 5_000)
    assert walked == ids
    assert len(cursors) == 15


async def test_pages_of_seven_walk_over_what_was_asked_for_once_in_order(
    home: Path, events: list[Plain]
) -> None:
    """Two services of one name: bursts share a timestamp, so pages end inside of them."""
    services, subjects = ["social", "seen"], ["brisk-comet"]
    wanted = list(in_order(events, services, subjects))
    ties = sum(one.ts == other.ts for one, other in pairwise(wanted))
    assert len(wanted) > 1_000
    assert ties > 10, "no tie to end a page in"
    async with asking(home) as asked:
        walked, cursors = await walk(asked, 7, services=services, subjects=subjects)
    assert walked == [event.id for event in wanted]
    check_cursors(wanted, cursors, 7)


async def test_a_page_that_ends_among_equal_times_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    """Fifty events of one time; sizes that end in it, before it and behind it."""
    burst = [tease(10, target=f"t{number}") for number in range(50)]
    all_events = [*[tease(n) for n in range(11, 20)], *burst, *[tease(n) for n in range(1, 9)]]
    wanted = list(in_order([plain(body) for body in all_events]))
    async with asking(tmp_path, all_events) as asked:
        for size in (1, 7, 9, 10, 49, 50, 51, 59, 60, 66, 67, 68):
            walked, cursors = await walk(asked, size)
            assert walked == [event.id for event in wanted]
            check_cursors(wanted, cursors, size)


def check_cursors(wanted: list[Plain], cursors: list[str], size: int) -> None:
    """The last event's time in decimal, unless events of that time remain: then it goes on behind
    that very event. None after the last event (DESIGN, trust)."""
    for number, cursor in enumerate(cursors, 1):
        last, following = wanted[number * size - 1], wanted[number * size]
        ties = last.ts == following.ts
        assert cursor == (f"{last.ts}.{last.id}" if ties else str(last.ts))
    assert len(cursors) == (len(wanted) - 1) // size


async def walk(asked: Asked, size: int, **fields: Any) -> tuple[list[str], list[str]]:
    """As a nara client walks: echoing the cursor until there is none."""
    ids: list[str] = []
    cursors: list[str] = []
    cursor = ""
    while True:
        content = await asked.ask(mode="page", page_size=size, cursor=cursor, **fields)
        ids += [event["id"] for event in content["events"] or ()]
        cursor = content.get("next_cursor", "")
        if not cursor:
            assert "next_cursor" not in content
            return ids, cursors
        cursors.append(cursor)


async def test_a_plain_time_is_a_cursor_and_means_everything_later(tmp_path: Path) -> None:
    bodies = [tease(number) for number in range(5, 0, -1)]
    async with asking(tmp_path, bodies) as asked:
        for at, body in enumerate(bodies):
            ts = plain(body).ts
            later = [plain(one).id for one in bodies[at + 1 :]]
            assert await asked.events(mode="page", cursor=str(ts)) == later
            assert await asked.events(mode="page", cursor=str(ts - 1)) == [plain(body).id, *later]
        assert len(await asked.events(mode="page", cursor="0")) == 5
        assert await asked.ask(mode="page", cursor=str(2**63 - 1)) | {"sig": ""} == {
            "from": asked.node.identity.name,
            "events": None,
            "ts": NOW_NS // 10**9,
            "sig": "",
        }


async def test_events_are_served_as_the_bytes_they_came_as(tmp_path: Path) -> None:
    odd = tease(1).replace(b'"ts":', b'"unknown" : [1.50, "\\u003c"] , "ts" : ')
    async with asking(tmp_path, [odd]) as asked:
        answer = await asked.raw(BODY, signed(ANN))
    assert odd in answer.body


async def test_what_is_committed_while_serving_is_served_at_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        assert await asked.events() == []
        await take(asked.node, [tease(1)])
        assert await asked.events() == [plain(tease(1)).id]
