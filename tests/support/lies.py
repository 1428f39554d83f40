"""What a peer may answer that is not to be believed: one table, told by `support.liars`.

Each lie is told as the second page of a walk whose first page was honest and whose peer is known.
Where `text` is empty, the words are those of the HTTP library.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from gzip import compress
from typing import Any, NamedTuple

import msgspec

from postbox.errors import Fault
from postbox.mesh.calling.client import Lied, PeerFault
from postbox.mesh.wire import MSGPACK
from postbox.net.faults import BadAnswer, TooLarge, Unreachable
from postbox.trust.keys import Identity, identity_of
from postbox.trust.signatures import request_headers, sign_digest
from support.answer_digest import answer_digest
from support.liars import JSON, Answering, Asked, Liar, Reply, Wire, for_ever, honest, pack, raw
from support.mesh import ANN, BOB, MALLORY, NOW_NS, tease

NOW_S = NOW_NS // 10**9
FALSE_BOB = identity_of("bob", b"later".ljust(32, b"."))
MAX_BYTES = 20 * 2**20

FIRST = [tease(2_000 - number) for number in range(500)]
FIRST_CURSOR = str(NOW_NS - 1_501 * 10**9)
GOOD = [tease(12), tease(11)]
IDS = [json.loads(event)["id"] for event in GOOD]
WITH_BOOL_ID = GOOD[0].replace(b'"id":"', b'"id":true,"x":"')
LIST = b",".join(GOOD)
SIG = sign_digest(BOB, answer_digest("bob", NOW_S, IDS))


class Lie(NamedTuple):
    tell: Answering
    fault: type[Fault]
    text: str


def not_believed(tell: Answering, text: str) -> Lie:
    disproves_itself = any(
        words in text for words in ("inside does", "says it is", "no objects", "id of text")
    )
    return Lie(tell, Lied if disproves_itself else PeerFault, text)


# -- who says it, and when ----------------------------------------------------------------------

UNSIGNED = "Authentication failed: missing auth headers"
UNPROVED = "Authentication failed: signature verification failed"
LATE = "Authentication failed: timestamp too old or in future: off by 30 s"


def outside(**how: Any) -> Answering:
    return lambda liar, _: liar.signed(liar.told(GOOD), **how)


def with_headers(change: Callable[[dict[str, str]], Sequence[tuple[str, str]]]) -> Answering:
    """An honest answer whose headers are then changed: a dictionary of them, to pairs."""

    def tell(liar: Liar, _: Asked) -> Reply:
        reply = liar.signed(liar.told(GOOD))
        return reply._replace(headers=change(dict(reply.headers)))

    return tell


def without(name: str) -> Answering:
    return with_headers(lambda all_: [pair for pair in all_.items() if pair[0] != name])


def header(name: str, value: str) -> Answering:
    return with_headers(lambda all_: list((all_ | {name: value}).items()))


def twice(name: str) -> Answering:
    return with_headers(lambda all_: [*all_.items(), (name, all_[name])])


def by(who: Callable[[Liar], Identity]) -> Answering:
    """As `who` would answer, to the letter."""

    def tell(liar: Liar, _: Asked) -> Reply:
        signer = who(liar)
        body = liar.told(GOOD, sender=signer.name, signer=signer)
        return liar.signed(body, by=signer)

    return tell


def the_caller(liar: Liar) -> Identity:
    assert liar.caller is not None
    return liar.caller


def tampered(liar: Liar, _: Asked) -> Reply:
    body = liar.told(GOOD)
    return liar.signed(body, sent=body.replace(b"random", b"comebk"))


def headers_of_a_request(liar: Liar, _: Asked) -> Reply:
    proof = request_headers(BOB, "POST", "/events/sync", liar.now_ns() // 10**6)
    return Reply(200, [("Content-Type", JSON), *proof.items()], liar.told(GOOD))


def headers_of_the_first_page(liar: Liar, _: Asked) -> Reply:
    first = liar.signed(liar.told(FIRST, FIRST_CURSOR))
    return first._replace(body=liar.told(GOOD))


def signers() -> Iterator[tuple[str, Lie]]:
    for name in ("X-Nara-Name", "X-Nara-Timestamp", "X-Nara-Signature"):
        yield f"no header {name}", not_believed(without(name), UNSIGNED)
        yield f"an empty header {name}", not_believed(header(name, ""), UNSIGNED)
    yield "no headers at all", not_believed(with_headers(lambda _: []), UNSIGNED)
    yield "the name twice", not_believed(twice("X-Nara-Name"), "that is no name")
    yield "the time twice", not_believed(twice("X-Nara-Timestamp"), "invalid timestamp")
    yield "two signatures", not_believed(twice("X-Nara-Signature"), "invalid signature encoding")
    for spelled in ("soon", f"{NOW_S}.5", "-1", f"0{NOW_NS // 10**6}", f"+{NOW_NS // 10**6}"):
        wrong = header("X-Nara-Timestamp", spelled)
        yield f"the time {spelled}", not_believed(wrong, "invalid timestamp")
    another = header("X-Nara-Timestamp", str(NOW_NS // 10**6 + 1))
    yield "another time than was signed", not_believed(another, UNPROVED)
    yield "headers of 31 s ago", not_believed(outside(late_ms=30_001), LATE)
    yield "headers of in 31 s", not_believed(outside(late_ms=-30_001), LATE)
    no_base64 = header("X-Nara-Signature", "!!!")
    yield "a signature in no base64", not_believed(no_base64, "invalid signature encoding")
    short = header("X-Nara-Signature", base64.b64encode(bytes(63)).decode())
    yield "a signature of 63 bytes", not_believed(short, UNPROVED)
    yield "a signature by another key", not_believed(outside(by=FALSE_BOB), UNPROVED)
    yield "the name of another", not_believed(header("X-Nara-Name", "ann"), UNPROVED)
    yield "a stranger's answer", not_believed(by(lambda _: MALLORY), "unknown sender: mallory")
    other = not_believed(by(lambda _: ANN), "it is signed by ann, and bob is who is met there")
    yield "another known peer's answer", other
    yield "an answer of our own", not_believed(by(the_caller), "and bob is who is met there")
    yield "a body changed after it was signed", not_believed(tampered, UNPROVED)
    yield "headers of a request", not_believed(headers_of_a_request, UNPROVED)
    yield "headers of the first page", not_believed(headers_of_the_first_page, UNPROVED)


# -- what is inside -----------------------------------------------------------------------------

NO_ANSWER = "the answer is none to a sync request: "
NO_FIT = "the signature inside does not fit the events"
OFF = "its time is off by more than 300 s"


def inside(**told: Any) -> Answering:
    return honest(GOOD, **told)


def body(made: bytes, content_type: str = JSON) -> Answering:
    return lambda liar, _: liar.signed(made, content_type=content_type)


def fields(
    ts: object = NOW_S, sig: object = "", events: bytes = LIST, more: bytes = b""
) -> Answering:
    """An answer by its parts, `ts` and `sig` of any type."""
    said = json.dumps({"from": "bob", "ts": ts, "sig": sig}).encode()
    return body(said[:-1] + b',"events":[' + events + b"]" + more + b"}\n")


def listed(events: bytes, ids: Sequence[str] = ()) -> Answering:
    """With a signature over what ids there are."""
    return fields(sig=sign_digest(BOB, answer_digest("bob", NOW_S, ids)), events=events)


def contents() -> Iterator[tuple[str, Lie]]:
    def inner(signer: Identity, sender: str, ts: int, ids: Sequence[str]) -> Answering:
        return fields(sig=sign_digest(signer, answer_digest(sender, ts, ids)))

    yield "another peer's name inside", not_believed(inside(sender="ann"), "says it is from 'ann'")
    yield "no name inside", not_believed(inside(sender=""), "says it is from ''")
    yield "no signature inside", not_believed(fields(), NO_FIT)
    yield "a signature inside that is null", not_believed(fields(sig=None), "`$.sig`")
    yield "a signature inside in no base64", not_believed(fields(sig="ä!"), NO_FIT)
    yield "another peer's signature inside", not_believed(inside(signer=ANN), NO_FIT)
    yield "a signature inside by another key", not_believed(inside(signer=FALSE_BOB), NO_FIT)
    yield "a signature inside over fewer events", not_believed(inside(ids=IDS[:1]), NO_FIT)
    yield "a signature inside over more events", not_believed(inside(ids=[*IDS, "5"]), NO_FIT)
    yield "a signature inside over other events", not_believed(inside(ids=["1", "2"]), NO_FIT)
    yield "a signature inside over another order", not_believed(inside(ids=IDS[::-1]), NO_FIT)
    yield "a signature inside over another time", not_believed(inner(BOB, "bob", 5, IDS), NO_FIT)
    yield "a signature inside over a name", not_believed(inner(BOB, "ann", NOW_S, IDS), NO_FIT)
    second = fields(sig=SIG, more=b',"events":[' + tease(9) + b"]")
    yield "two lists of events", not_believed(second, NO_FIT)
    yield "a time inside of 5 min ago", not_believed(inside(late_s=301), OFF)
    yield "a time inside of in 5 min", not_believed(inside(late_s=-301), OFF)
    yield "a time inside below 0", not_believed(inside(late_s=2 * NOW_S), OFF)
    for ts in (NOW_S + 0.5, float(NOW_S), 2**63, -(2**70), str(NOW_S), True, None, [NOW_S]):
        yield f"the time {ts!r} inside", not_believed(fields(ts=ts), NO_ANSWER)
    for value in (b"5", b"null", b"true", b'"text"', b"[]", b"[" + GOOD[0] + b"]"):
        name = f"an event that is {value[:9].decode()}"
        yield name, not_believed(listed(LIST + b"," + value, IDS), "no objects with an id of text")
    yield "an event whose id is no text", not_believed(listed(WITH_BOOL_ID), "with an id of text")
    many = listed(b",".join([tease(5)] * 5_001))
    yield "5,001 events", not_believed(many, "at most length 5000")
    tiny = listed(b"1," * (MAX_BYTES // 2 - 200) + b"1")
    yield "ten million events", not_believed(tiny, "at most length 5000")
    for events in (b"{}", b"5", b'"no"', b"true"):
        made = b'{"from":"bob","ts":%d,"sig":"","events":%s}' % (NOW_S, events)
        yield f"events that are {events.decode()}", not_believed(body(made), "`$.events`")
    cursor = fields(more=b',"next_cursor":7')
    yield "a cursor that is a number", not_believed(cursor, "`$.next_cursor`")


def documents() -> Iterator[tuple[str, Lie]]:
    reply = Liar().signed(Liar().told(GOOD))
    deep = b"[" * 1_000_000
    for name, made in {
        "nothing": b"",
        "a page of HTML": b"<!doctype html><title>Welcome</title>",
        "JSON of something else": b'{"ok":true}',
        "an array": b"[" + reply.body + b"]",
        "two answers": reply.body * 2,
        "an answer cut short": reply.body[:-9],
        "an answer behind a byte order mark": b"\xef\xbb\xbf" + reply.body,
        "a name in no UTF-8": reply.body.replace(b'"bob"', b'"\xff"'),
        "half a surrogate pair": reply.body.replace(b'"bob"', b'"\\ud800"'),
        "brackets without end": deep,
        "brackets beside the events": reply.body[:-2] + b',"x":' + deep,
        "objects beside the events": reply.body[:-2] + b',"x":' + b'{"a":' * 1_000_000,
        "brackets in an event": reply.body.replace(LIST, LIST + b"," + deep),
        "balanced brackets in an event": reply.body.replace(LIST, deep + b"]" * len(deep)),
        "MessagePack for JSON": pack({"from": "bob", "ts": NOW_S, "events": [], "sig": ""}),
        "zeros": bytes(1_000),
    }.items():
        yield name, not_believed(body(made), NO_ANSWER)
    yield "JSON for MessagePack", not_believed(body(reply.body, MSGPACK), NO_ANSWER)


def packed() -> Iterator[tuple[str, Lie]]:
    """In MessagePack."""
    plain = {"from": "bob", "ts": NOW_S, "events": GOOD, "sig": ""}
    start = b"\x84" + pack("from") + pack("bob") + pack("ts") + pack(NOW_S) + pack("sig") + pack("")
    huge = b"\xff\xff\xff\xff"
    for name, made in {
        "bytes after the map": pack(plain) + b"\xc0",
        "two maps": pack(plain) * 2,
        "an array": pack(list(plain.values())),
        "a map cut short": pack(plain)[:-3],
        "a map of 2^32 - 1": b"\xdf" + huge + pack("from") + pack("bob"),
        "an array of 2^32 - 1 events": start + pack("events") + b"\xdd" + huge,
        "an event of 2^32 - 1 bytes": start + pack("events") + b"\x91\xc6" + huge,
        "a text of 2^32 - 1": start + pack("events") + b"\xdb" + huge,
        "an array of 2^32 - 1 beside": start + pack("x") + b"\xdd" + huge,
        "an array without end beside": start + pack("x") + b"\x91" * 1_000_000,
        "maps without end beside": start + pack("x") + b"\x81\xa1a" * 1_000_000,
        "an extension as time": pack(plain | {"ts": None}).replace(
            b"ts\xc0", b"ts" + msgspec.msgpack.encode(msgspec.msgpack.Ext(-1, bytes(4)))
        ),
        "an extension as events": start
        + pack("events")
        + msgspec.msgpack.encode(msgspec.msgpack.Ext(4, b"abc")),
        "keys that are numbers": pack({1: 2}),
        "keys that are bytes": pack({key.encode(): value for key, value in plain.items()}),
        "a name in bytes": pack(plain | {"from": b"bob"}),
        "a time with a fraction": pack(plain | {"ts": NOW_S + 0.5}),
        "a time over 64 bits": pack(plain | {"ts": 2**64 - 1}),
        "events as text": pack(plain | {"events": [event.decode() for event in GOOD]}),
        "events as maps": pack(plain | {"events": [json.loads(event) for event in GOOD]}),
        "nil among the events": pack(plain | {"events": [GOOD[0], None]}),
        "events that are one": pack(plain | {"events": GOOD[0]}),
        "5,001 events": pack(plain | {"events": [b""] * 5_001}),
        "a reserved byte": b"\xc1",
        "nothing": b"",
    }.items():
        yield f"packed: {name}", not_believed(body(made, MSGPACK), NO_ANSWER)
    yield "packed: no signature inside", not_believed(body(pack(plain), MSGPACK), NO_FIT)
    other = honest(GOOD, packed=True, ids=IDS[::-1])
    yield "packed: a signature inside over another order", not_believed(other, NO_FIT)
    number = pack(plain | {"events": [GOOD[0], b"5"]})
    yield "packed: an event that is no object", not_believed(body(number, MSGPACK), "no objects")


# -- how it comes -------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ELSEWHERE = [("Location", "http://169.254.169.254/latest/meta-data/")]


def wire(sent: Wire) -> Answering:
    return lambda _liar, _asked: sent


def coded(name: str, code: Callable[[bytes], bytes], *, before: bool) -> Answering:
    """Content-Encoding, though we asked for none; signed before it was coded, or after."""

    def tell(liar: Liar, _: Asked) -> Reply:
        plain = liar.told(GOOD)
        short = code(plain)
        signed = liar.signed(plain if before else short, sent=short)
        return signed._replace(headers=[*signed.headers, ("Content-Encoding", name)])

    return tell


def lengths(*said: str, but: int | None = None) -> Answering:
    """An honest answer with these Content-Lengths, or of `but` bytes more."""

    def tell(liar: Liar, _: Asked) -> Wire:
        reply = liar.signed(liar.told(GOOD))
        told = said or (str(len(reply.body) + (but or 0)),)
        more = [("Content-Length", length) for length in told]
        return raw(reply._replace(headers=[*reply.headers, *more]).raw(has_length=False))

    return tell


def status(code: int, *, signed: bool = False) -> Answering:
    def tell(liar: Liar, _: Asked) -> Reply:
        if not signed:
            return Reply(code, ELSEWHERE, b"oh no\x1b[2J")
        return liar.signed(liar.told(GOOD))._replace(status=code)

    return tell


def codings() -> Iterator[tuple[str, Lie]]:
    bomb = compress(bytes(30 * 2**20))

    def blown(liar: Liar, _: Asked) -> Reply:
        signed = liar.signed(bomb)
        return signed._replace(headers=[*signed.headers, ("Content-Encoding", "gzip")])

    yield "30 MiB in 30 KB of gzip", not_believed(blown, NO_ANSWER)
    codes: dict[str, Callable[[bytes], bytes]] = {"gzip": compress, "deflate": zlib.compress}
    for name, code in codes.items():
        yield f"{name}, then signed", not_believed(coded(name, code, before=False), NO_ANSWER)
        yield f"signed, then {name}", not_believed(coded(name, code, before=True), UNPROVED)


def sizes() -> Iterator[tuple[str, Lie]]:
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    said = OK + b"Content-Length: %d\r\n\r\n"
    yield "a length over 20 MiB", Lie(wire(raw(said % (MAX_BYTES + 1))), TooLarge, "20971521 bytes")
    much = raw(OK + b"\r\n", bytes(MAX_BYTES + 1))
    yield "20 MiB and a byte", Lie(wire(much), TooLarge, "exceeds 20971520 bytes")
    yield "chunks for ever", Lie(wire(for_ever(CHUNKED, chunk)), TooLarge, "exceeds 20971520")
    endless = for_ever(OK + b"\r\n", bytes(65_536))
    yield "zeros for ever", Lie(wire(endless), TooLarge, "exceeds 20971520")
    headers = for_ever(OK, b"X-More: " + b"x" * 1_000 + b"\r\n")
    yield "headers for ever", Lie(wire(headers), BadAnswer, "")
    line = for_ever(OK + b"X-More: ", b"x" * 1_000)
    yield "a header line for ever", Lie(wire(line), BadAnswer, "")
    extension = for_ever(CHUNKED + b"1;x=", b"x" * 1_000)
    yield "a chunk's extension for ever", Lie(wire(extension), BadAnswer, "")
    trailers = for_ever(CHUNKED + b"0\r\n", b"X-More: x\r\n")
    yield "trailers for ever", Lie(wire(trailers), BadAnswer, "")
    yield "a chunk of 2^64", Lie(wire(raw(CHUNKED, b"1" + b"0" * 16, b"\r\n")), Fault, "")
    yield "a chunk of no number", Lie(wire(raw(CHUNKED, b"many\r\n")), BadAnswer, "")
    yield "a chunk of -1", Lie(wire(raw(CHUNKED, b"-1\r\n\r\n")), BadAnswer, "")
    yield "a chunk cut short", Lie(wire(raw(CHUNKED, b"5\r\nab")), Unreachable, "")
    yield "a length of 10 more", Lie(lengths(but=10), Unreachable, "")
    yield "a length of 10 less", not_believed(lengths(but=-10), UNPROVED)
    yield "a length of 0", not_believed(lengths("0"), UNPROVED)
    for text in ("-5", "five", "1e3", "9" * 5_000, "5 5"):
        yield f"the length {text[:9]}", Lie(lengths(text), BadAnswer, "")
    yield "two lengths", Lie(lengths("5", "6"), BadAnswer, "")


def protocols() -> Iterator[tuple[str, Lie]]:
    for name, sent in {
        "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x28",
        "HTTP/2": b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + bytes(6),
        "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
        "a header without a colon": OK + b"oh no\r\n\r\n",
        "a zero byte in a header": OK + b"X-\x00: x\r\n\r\n",
    }.items():
        yield name, Lie(wire(raw(sent)), BadAnswer, "")
    yield "no answer", Lie(wire(raw()), Unreachable, "")
    ssh = raw(b"SSH-2.0-OpenSSH_9.6\r\n")
    yield "another protocol", Lie(wire(ssh), Unreachable, "")
    yield "half a status line", Lie(wire(raw(b"HTTP/1.1 2")), Unreachable, "")
    for code in (201, 203, 301, 302, 307, 308, 400, 401, 403, 404, 429, 500, 503, 599):
        yield f"status {code}", not_believed(status(code), f"answered {code}: 'oh no\\x1b[2J'")
    for code in (204, 205, 304):
        yield f"status {code}", not_believed(wire(raw(b"HTTP/1.1 %d X\r\n\r\n" % code)), "answered")
    yield "status 206, signed", not_believed(status(206, signed=True), "answered 206")
    yield "status 500, signed", not_believed(status(500, signed=True), "answered 500")
    switch = raw(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    yield "status 101", Lie(wire(switch), Fault, "")


LIES: dict[str, Lie] = {}
for _lies in (signers, contents, documents, packed, codings, sizes, protocols):
    for _name, _lie in _lies():
        assert _name not in LIES, _name
        LIES[_name] = _lie
