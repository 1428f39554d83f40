"""Requests to a mesh node that mean no good, each with the answer that `docs/protocol/mesh.md`
gives it. The node knows Ann and Bob, and nobody else; its time is `NOW_NS`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from postbox.mesh.wire import HELLO_PATH, NARA_SYNC_PATH, PING_PATH, REQUEST_BYTES, SYNC_PATH
from postbox.trust.keys import Identity, identity_of
from support.asking import BODY, NOW_MS, request_bytes, signed
from support.hostile_hellos import HELLOS
from support.mesh import ANN, BOB, MALLORY

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of Ed25519's group, L: whoever adds it to S has a second signature, if that is not refused."""


class Hostile(NamedTuple):
    name: str
    said: bytes
    status: int
    text: str  # a part of the answer
    is_signed: bool = False


Headers = list[tuple[str, str | bytes]]


SPELLED = ("name", "timestamp", "signature")


def proof(by: Identity = ANN, **changed: Any) -> Headers:
    """The three headers; `changed`: `name`, `timestamp`, `signature`, or what `signed` takes."""
    spelled = {
        key: changed.pop(key) for key in ("name", "timestamp", "signature") if key in changed
    }
    made = dict(signed(by, **changed))
    made |= {f"X-Nara-{key.title()}": value for key, value in spelled.items()}
    return list(made.items())


def claim(name: str | bytes) -> Headers:
    """Ann's headers, in another's name."""
    return proof(name=name)


SIGNATURE = base64.b64decode(signed(ANN)["X-Nara-Signature"])
R, S = SIGNATURE[:32], int.from_bytes(SIGNATURE[32:], "little")


def spelled(raw: bytes) -> Headers:
    return proof(signature=base64.b64encode(raw).decode())


FAILED, STRANGER = "signature verification failed", "unknown sender: "
NO_NAME = STRANGER + "that is no name"
MISSING, BAD_TIME, BAD_BASE64 = (
    "missing auth headers",
    "invalid timestamp",
    "invalid signature encoding",
)
OFF = "timestamp too old or in future: "


def at(offset_ms: int) -> Headers:
    return proof(at_ms=NOW_MS + offset_ms)


def timed(text: str) -> Headers:
    return proof(timestamp=text)


HEADERS: dict[str, tuple[Headers, str]] = {
    "no headers": ([], MISSING),
    "no name": (proof()[1:], MISSING),
    "no timestamp": (proof()[::2], MISSING),
    "no signature": (proof()[:2], MISSING),
    "an empty name": (claim(""), MISSING),
    "a name of spaces": (claim("   "), MISSING),
    "an empty signature": (proof(signature=""), MISSING),
    # who
    "a stranger": (proof(MALLORY), STRANGER + "mallory"),
    "a stranger under a known name": (
        proof(identity_of("ann", b"x" * 32)),
        FAILED,
    ),
    "Bob's signature under Ann's name": (proof(BOB, name="ann"), FAILED),
    "a name in capitals": (claim("ANN"), STRANGER + "ANN"),
    "a name in Cyrillic letters": (claim("аnn"), STRANGER + "аnn"),
    "a name with an accent beside it": (claim("ann\u0301"), STRANGER),
    "a name with an invisible letter": (claim("ann\u200b"), STRANGER),
    "a name with a colon": (claim("ann:x"), NO_NAME),
    "a name with a space": (claim("an n"), NO_NAME),
    "a name with a tab": (claim("an\tn"), NO_NAME),
    "a name with a space that is not ASCII": (claim("ann\u00a0x"), NO_NAME),
    "a name with a control character": (claim("ann\u0085"), NO_NAME),
    "a name that is no UTF-8": (claim(b"ann\xff"), NO_NAME),
    "a name with half a surrogate pair": (claim(b"ann\xed\xa0\x80"), NO_NAME),
    "a name of 65 letters": (claim("a" * 65), NO_NAME),
    "a name of 8,000 letters": (claim("a" * 8_000), NO_NAME),
    "a name of two": (claim("ann, bob"), NO_NAME),
    # when
    "expired": (at(-30_001), OFF + "off by 30 s"),
    "expired by a year": (
        at(-365 * 86_400_000),
        OFF + "off by 31536000 s",
    ),
    "from the future": (at(30_001), OFF),
    "no time": (timed("0"), OFF),
    "the end of time": (timed("9" * 19), OFF),
    "a time of 20 digits": (timed("1" + "0" * 19), BAD_TIME),
    "a time of 5,000 digits": (timed("1" * 5_000), BAD_TIME),
    "a time with a plus": (timed(f"+{NOW_MS}"), BAD_TIME),
    "a time with a minus": (timed(f"-{NOW_MS}"), BAD_TIME),
    "a time with a leading zero": (timed(f"0{NOW_MS}"), BAD_TIME),
    "a time with an exponent": (timed("1e12"), BAD_TIME),
    "a time with a point": (timed(f"{NOW_MS}.0"), BAD_TIME),
    "a time with an underscore": (timed(f"{NOW_MS // 1000}_000"), BAD_TIME),
    "a time with a space": (timed(f"{NOW_MS // 1000} 000"), BAD_TIME),
    "a time in hexadecimal": (timed(hex(NOW_MS)), BAD_TIME),
    "a time in other digits": (
        timed(str(NOW_MS).translate({48 + digit: 0xFF10 + digit for digit in range(10)})),
        BAD_TIME,
    ),
    "a time in words": (timed("now"), BAD_TIME),
    "another time than was signed": (timed(str(NOW_MS + 1)), FAILED),
    # what is signed
    "signed for the other path": (proof(path=NARA_SYNC_PATH), FAILED),
    "signed for the hello": (proof(path=HELLO_PATH), FAILED),
    "signed for the path with a query": (proof(path=SYNC_PATH + "?x"), FAILED),
    "signed for GET": (proof(method="GET"), FAILED),
    "signed for post": (proof(method="post"), FAILED),
    # the signature
    "a signature of words": (proof(signature="please"), BAD_BASE64),
    "a signature without padding": (
        proof(signature=signed(ANN)["X-Nara-Signature"].rstrip("=")),
        BAD_BASE64,
    ),
    "a signature in the alphabet of URLs": (proof(signature="-_" * 43 + "=="), BAD_BASE64),
    "a signature in hexadecimal": (proof(signature=SIGNATURE.hex()), FAILED),
    "a signature with a space": (proof(signature="AA AA"), BAD_BASE64),
    "a signature that is not ASCII": (proof(signature="é" * 88), BAD_BASE64),
    "a signature of 63 bytes": (spelled(SIGNATURE[:63]), FAILED),
    "a signature of 65 bytes": (spelled(SIGNATURE + b"\0"), FAILED),
    "a signature of 6,000 bytes": (spelled(b"s" * 6_000), FAILED),
    "a signature of zeros": (spelled(bytes(64)), FAILED),
    "a signature by the neutral element": (spelled(b"\1" + bytes(63)), FAILED),
    "a signature with S + L": (spelled(R + (S + ORDER).to_bytes(32, "little")), FAILED),
    "a signature with one bit turned": (spelled(R + (S ^ 1).to_bytes(32, "little")), FAILED),
    # twice
    "two names": ([*proof(), ("X-Nara-Name", "bob")], NO_NAME),
    "the name twice": ([*proof(), ("x-nara-name", "ann")], NO_NAME),
    "another name first": ([("X-Nara-Name", "bob"), *proof()], NO_NAME),
    "two times": ([*proof(), ("X-Nara-Timestamp", "1")], BAD_TIME),
    "two signatures": ([*proof(), ("X-Nara-Signature", "AAAA")], BAD_BASE64),
}

WRONG, CURSOR = "the body is no sync request", "no cursor: send next_cursor back as it came"


def paged(cursor: str) -> bytes:
    return json.dumps({"from": "ann", "mode": "page", "cursor": cursor}).encode()


def fields(**fields: Any) -> bytes:
    return json.dumps({"from": "ann", **fields}).encode()


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", WRONG),
    "a line break": (b"\n", WRONG),
    "no JSON": (b"from=ann&mode=page", WRONG),
    "half of it": (BODY[:-5], WRONG),
    "two documents": (BODY + b"\n" + BODY, WRONG),
    "something behind it": (BODY + b"]", WRONG),
    "zero bytes behind it": (BODY + bytes(10), WRONG),
    "a byte order mark": (b"\xef\xbb\xbf" + BODY, WRONG),
    "UTF-16": (BODY.decode().encode("utf-16"), WRONG),
    "MessagePack": (b"\x81\xa4from\xa3ann", WRONG),
    "null": (b"null", WRONG),
    "a number": (b"7", WRONG),
    "an array": (b'["ann"]', WRONG),
    "an array of 10,000 levels": (b"[" * 10_000 + b"]" * 10_000, WRONG),
    "10,000 levels where nobody looks": (
        b'{"from":"ann","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        WRONG,
    ),
    "10,000 objects where nobody looks": (
        b'{"from":"ann","x":' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001,
        WRONG,
    ),
    "250 KB of open brackets": (b"[" * 250_000, WRONG),
    "half a surrogate pair": (b'{"from":"ann","subjects":["\\ud800"]}', WRONG),
    "NaN": (b'{"from":"ann","limit":NaN}', WRONG),
    "Infinity": (b'{"from":"ann","x":-Infinity}', WRONG),
    "single quotes": (b"{'from':'ann'}", WRONG),
    "a comment": (b'{"from":"ann"/**/}', WRONG),
    # from
    "of nobody": (b"{}", "from is required"),
    "from null": (b'{"from":null}', "from is required"),
    "from nothing": (b'{"from":""}', "from is required"),
    "from a number": (b'{"from":7}', WRONG),
    "from a list": (b'{"from":["ann"]}', WRONG),
    "From in a capital": (b'{"From":"ann"}', "from is required"),
    # modes and numbers
    "an unknown mode": (fields(mode="all"), "there is no mode 'all': use sample, page, recent"),
    "a mode in capitals": (fields(mode="PAGE"), "there is no mode 'PAGE'"),
    "a mode with a space": (fields(mode=" page"), "there is no mode"),
    "a mode of 100,000 letters": (fields(mode="p" * 100_000), "there is no mode 'ppp"),
    "a mode that is a number": (fields(mode=1), WRONG),
    "a limit with a point": (fields(limit=1.0), WRONG),
    "a limit as text": (fields(limit="5"), WRONG),
    "a limit that is true": (fields(limit=True), WRONG),
    "a limit of 2^63": (fields(limit=2**63), WRONG),
    "a limit of -2^63 - 1": (fields(limit=-(2**63) - 1), WRONG),
    "a limit of 10^400": (fields(limit=10**400), WRONG),
    "a page size of 1e400": (b'{"from":"ann","page_size":1e400}', WRONG),
    "a time of 10^30": (fields(since_time=10**30), WRONG),
    # cursors
    "a cursor that is a number": (fields(mode="page", cursor=5), WRONG),
    "a cursor with a point": (paged("5.0"), CURSOR),
    "a negative cursor": (paged("-1"), CURSOR),
    "a cursor with a plus": (paged("+1"), CURSOR),
    "a cursor of 2^63": (paged(str(2**63)), CURSOR),
    "a cursor of 1,000 digits": (paged("9" * 1_000), CURSOR),
    "a cursor with an exponent": (paged("1e18"), CURSOR),
    "a cursor with a space": (paged(" 1"), CURSOR),
    "a cursor in other digits": (paged("５"), CURSOR),
    "a cursor in words": (paged("yesterday"), CURSOR),
    "a cursor with half an id": (paged("1." + "0" * 31), CURSOR),
    "a cursor with more than an id": (paged("1." + "0" * 33), CURSOR),
    "a cursor with an id in capitals": (paged("1." + "A" * 32), CURSOR),
    "a cursor with an id and no time": (paged("." + "0" * 32), CURSOR),
    "a cursor with two ids": (paged("1." + "0" * 32 + "." + "0" * 32), CURSOR),
    "a cursor with a zero byte": (paged("1\0"), CURSOR),
    "a cursor of SQL": (paged("1' OR '1'='1"), CURSOR),
    "a cursor of 250 KB": (paged("1" * 250_000), CURSOR),
    # lists
    "10,001 services": (fields(services=["ping"] * 10_001), WRONG),
    "10,001 subjects": (fields(subjects=["bob"] * 10_001), WRONG),
    "services that are one text": (fields(services="ping"), WRONG),
    "services by number": (fields(services=[1]), WRONG),
    "a service that is null": (fields(services=[None]), WRONG),
    "subjects that are an object": (fields(subjects={"bob": True}), WRONG),
}

LARGE = b'{"from":"ann","x":"' + b"x" * 5_000_000 + b'"}'
FULL = b'{"from":"ann","x":"' + b"x" * (REQUEST_BYTES - 21) + b'"}'
NAMES = b'{"from":"ann","subjects":[' + b'"ab",' * 700_000 + b'"ab"]}'
CHUNKED = ("Transfer-Encoding", "chunked")
NOTHING = "nothing is here"


def chunked(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


def unmeasured(headers: Headers, body: bytes) -> bytes:
    """Without a Content-Length."""
    return request_bytes(headers).replace(b"Content-Length: 0\r\n", b"") + body


WRONG_PATHS = (
    *("/", "//api/sync", "/api/sync/", "/api//sync", "/api/../api/sync", "/api/./sync", "/api"),
    *("/%2fapi/sync", "/api%2fsync", "%2fapi%2fsync", "/%61pi/sync", "/api/sync%00", "/API/SYNC"),
    *("/api/sync;x", "/api/sync\\", "/api/sync.json", "/events", "/static/server.py", "*"),
    *("/static/../server.py", "/api/hello/x", "/ping/x", "http://other/api/sync", "/.git/config"),
    "/api/sync%3f",
)
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")


def as_http() -> Iterator[Hostile]:
    """Where the request is wrong, and not its headers for us or its body."""
    good = proof()
    yield Hostile("5 MB", request_bytes(good, LARGE), 413, "larger than 4194304 bytes")
    too_large = {
        "256 KB and a byte": request_bytes(good, FULL + b" "),
        "256 KB and a byte in chunks": unmeasured([*good, CHUNKED], chunked(FULL + b" ")),
        "700,000 names": request_bytes(good, NAMES),
        "5 MB in chunks": unmeasured([*good, CHUNKED], chunked(LARGE)),
    }
    for name, said in too_large.items():
        yield Hostile(name, said, 413, f"larger than {REQUEST_BYTES} bytes", is_signed=True)
    yield Hostile("5 MB of a stranger", request_bytes([], LARGE), 413, "larger than 4194304")
    yield Hostile(
        "a gzip", request_bytes([*good, ("Content-Encoding", "gzip")], BODY), 415, "without a"
    )
    yield Hostile(
        "headers of 100 KB", request_bytes([*good, ("X-More", "x" * 100_000)], BODY), 431, ""
    )
    yield Hostile(
        "a length and chunks",
        request_bytes([*good, CHUNKED], chunked(BODY)),
        400,
        "told in two ways",
    )
    yield Hostile("a name with a zero byte", request_bytes(claim(b"a\0b"), BODY), 400, "")
    for path in WRONG_PATHS:
        for_path = request_bytes(proof(path=path), BODY, path=path)
        yield Hostile(f"the path {path}", for_path, 404, NOTHING)
        yield Hostile(f"GET {path}", request_bytes(method="GET", path=path), 404, NOTHING)
    for path in (SYNC_PATH, NARA_SYNC_PATH, HELLO_PATH):
        for method in METHODS:
            said = request_bytes(proof(method=method, path=path), BODY, method, path)
            yield Hostile(f"{method} {path}", said, 405, f"use POST {path}")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"):
        said = request_bytes(method=method, path=PING_PATH, body=b"x" * 3_000_000)
        yield Hostile(f"{method} {PING_PATH}", said, 405, "use GET or HEAD /ping")
    yield Hostile("CONNECT", request_bytes(method="CONNECT", path="a:443"), 501, "no proxy")


def requests() -> Iterator[Hostile]:
    for name, (headers, reason) in HEADERS.items():
        said = request_bytes(headers, BODY)
        yield Hostile(name, said, 401, f"Authentication failed: {reason}")
    for name, (body, text) in BODIES.items():
        yield Hostile(f"a body: {name}", request_bytes(proof(), body), 400, text, is_signed=True)
    for sender in ("bob", "mallory", "Ann", "ann ", "ann\0"):
        said = request_bytes(proof(), json.dumps({"from": sender}).encode())
        yield Hostile(f"from {sender!r}", said, 401, "from is not ann", is_signed=True)
    twice = request_bytes(proof(), b'{"from":"ann","from":"bob"}')
    yield Hostile("from ann, from bob", twice, 401, "from is not ann", is_signed=True)
    yield from as_http()
    for name, (body, status, text) in HELLOS.items():
        yield Hostile(f"a hello: {name}", request_bytes([], body, path=HELLO_PATH), status, text)


REQUESTS = list(requests())


ODD: dict[str, bytes] = {
    "headers in small letters": request_bytes(
        [(name.lower(), value) for name, value in proof()], BODY
    ),
    "headers in capitals": request_bytes([(name.upper(), value) for name, value in proof()], BODY),
    "a method in small letters": request_bytes(proof(), BODY, "post"),
    "blanks around a name": request_bytes(claim("  ann \t "), BODY),
    "30 s ago": request_bytes(at(-30_000), BODY),
    "30 s ahead": request_bytes(at(30_000), BODY),
    "a query behind the path": request_bytes(proof(), BODY, path=SYNC_PATH + "?x=1&y=%00"),
    "the other path": request_bytes(proof(path=NARA_SYNC_PATH), BODY, path=NARA_SYNC_PATH),
    "chunks": unmeasured([*proof(), CHUNKED], chunked(BODY)),
    "a wish to go on": request_bytes([*proof(), ("Expect", "100-continue")], BODY),
    "another type of content": request_bytes([*proof(), ("Content-Type", "image/png")], BODY),
    "no compression, and says so": request_bytes(
        [*proof(), ("Content-Encoding", "identity")], BODY
    ),
    "an answer in no form that there is": request_bytes([*proof(), ("Accept", "image/png")], BODY),
    "a key twice, the last one right": request_bytes(proof(), b'{"from":"bob","from":"ann"}'),
    "escapes in a name": request_bytes(proof(), b'{"from":"\\u0061nn"}'),
    "a number nobody looks at": request_bytes(proof(), b'{"from":"ann","x":1e400}'),
    "10,000 subjects": request_bytes(
        proof(), fields(subjects=["bob", *(str(n) for n in range(9_999))])
    ),
    "services that are none": request_bytes(proof(), fields(services=["", "social", "\0"])),
    "numbers out of their range": request_bytes(proof(), fields(limit=-(2**63), page_size=0)),
    "a cursor of an event that is not there": request_bytes(proof(), paged("1." + "0" * 32)),
    "a cursor with zeros before it": request_bytes(proof(), paged("0005")),
    "nulls": request_bytes(
        proof(),
        fields(mode=None, services=None, subjects=None, cursor=None, limit=None, slice_index=None),
    ),
    "256 KB": request_bytes(proof(), FULL),
}
"""Unusual, and answered like any other."""
