"""`POST /api/sync` on a real socket: who is answered, with what, and who can check the answer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from postbox.trust.keys import identity_of
from postbox.trust.signatures import request_headers, response_headers
from support.asking import BODY, NOW_MS, asking, signed, spoken
from support.mesh import ANN, BOB, MALLORY, NARA, NOW_NS, believe, node_at, serving, tease

PATH = "/api/sync"
VECTORS = json.loads((NARA / "vectors.json").read_bytes())


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
        for path in ("/", "/events", "/events/sync/", "/api/sync/", "/api", "/ping/x"):
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
            "postbox": {
                "version": "1",
                "modes": ["sample", "page", "recent"],
                "url": "",
                "memory_mode": "custom",
                "uptime_s": 0,
            },
        }


# -- bytes on the wire ----------------------------------------------------------------------------


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
