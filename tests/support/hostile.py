"""Events and files that mean no good, each with the verdict that `docs/protocol/mesh.md` gives it.

Most are a good event of Ann's with one thing wrong. Where the wrong thing is in the content, the id
and the signature are made for it again, so that nothing but that thing can be what is refused.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from postbox.event import Service
from postbox.trust.authoring import id_of, signable_digest
from postbox.trust.keys import identity_of
from support.mesh import ANN, BOB, NOW_NS, checkpoint, hey_there, observation, tease

TS = NOW_NS - 10**9
SMALL_ORDER = bytes(32)  # the point (0, ...) of order four
NO_POINT = b"\x02" + bytes(31)

Event = dict[str, Any]


class Hostile(NamedTuple):
    name: str
    raw: bytes
    verdict: str


def text_of(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def made(service: Service, content: str, payload: Event, ts: int = TS, **more: Any) -> Event:
    """An event of Ann's whose id and signature fit `content`, whatever the payload is."""
    event_id = id_of(ts, service, content)
    digest = signable_digest(event_id, ts, service, "ann", content)
    event = {
        "id": event_id,
        "ts": ts,
        "svc": service.wire_name,
        "emitter": "ann",
        "sig": base64.b64encode(ANN.sign(digest)).decode(),
        service.wire_name.replace("-", "_"): payload,
    }
    return event | more


def social(ts: int = TS, **payload: Any) -> bytes:
    parts: Event = {"type": "tease", "actor": "ann", "target": "bob", "reason": "random"} | payload
    content = ":".join(str(parts.get(key, "")) for key in ("type", "actor", "target", "reason"))
    return text_of(made(Service.SOCIAL, f"{content}:{parts.get('witness', '')}", parts, ts))


def of_size(size: int) -> bytes:
    return social(reason="x" * (size - len(social(reason=""))))


def ping(rtt: Any) -> bytes:
    shown = f"{rtt:.1f}" if isinstance(rtt, int | float) else str(rtt)
    payload = {"observer": "ann", "target": "bob", "rtt": rtt}
    return text_of(made(Service.PING, f"ann:bob:{shown}", payload))


def observed(kind: str, **payload: Any) -> bytes:
    parts: Event = {"observer": "ann", "subject": "bob", "type": kind, "importance": 3} | payload
    start, number = parts.get("start_time", 0), parts.get("restart_num", 0)
    state = parts.get("online_state", "")
    if kind == "restart":
        content = f"bob:restart:{number}:{start}"
    else:
        content = f"{parts['observer']}:{parts['subject']}:{kind}:{state}:{start}:{number}"
    return text_of(made(Service.OBSERVATION, content, parts))


def seen(**payload: Any) -> bytes:
    parts: Event = {"observer": "ann", "subject": "bob", "via": "zine"} | payload
    content = f"seen:{parts['observer']}:{parts['subject']}:{parts['via']}"
    return text_of(made(Service.SEEN, content, parts))


def hello(name: str = "ann", key: str | None = None, **more: Any) -> bytes:
    key = ANN.public_key_base64 if key is None else key
    payload = {"From": name, "PublicKey": key, "MeshIP": "", "ID": "", "Signature": ""}
    return text_of(made(Service.HEY_THERE, f"hey_there:{name}:{key}:", payload, **more))


def bye(name: str = "ann", key: str = "", **more: Any) -> bytes:
    payload = {"From": name, "PublicKey": key, "ID": "", "Signature": ""}
    return text_of(made(Service.CHAU, f"chau:{name}:{key}", payload, **more))


def tallied(content: str | None = None, **payload: Any) -> bytes:
    parts: Event = {
        "version": 2,
        "subject": "bob",
        "subject_id": "bob-id",
        "observation": {"restarts": 1, "total_uptime": 5, "start_time": 9},
        "as_of_time": 1_790_000_000,
        "round": 1,
        "voter_ids": [],
        "signatures": [],
    } | payload
    tally = parts["observation"]
    if content is None:
        content = (
            f"checkpoint:v2:{parts['subject_id'] or parts['subject']}:{parts['as_of_time']}"
            f":{tally['start_time']}:{tally['restarts']}:{tally['total_uptime']}:"
        )
    return text_of(made(Service.CHECKPOINT, content, parts) | {"emitter": "", "sig": ""})


def changed(**fields: Any) -> bytes:
    """A good event with these fields instead of its own; None takes one away."""
    event = json.loads(tease(1)) | fields
    return text_of({key: value for key, value in event.items() if value is not None})


def inside(**fields: Any) -> bytes:
    event = json.loads(tease(1))
    event["social"] |= fields
    return text_of(event)


def replaced(old: bytes, new: bytes) -> bytes:
    raw = tease(1)
    assert old in raw
    return raw.replace(old, new)


def nested(depth: int) -> bytes:
    return b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"," + tease(1)[1:]


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def forged_votes() -> bytes:
    event = json.loads(checkpoint([ANN, BOB]))
    event["checkpoint"]["signatures"][1] = event["checkpoint"]["signatures"][0]
    return text_of(event)


EVENTS = [
    # no JSON, or more than JSON allows
    Hostile("nothing but a word", b"garbage", "not_json"),
    Hostile("half an event", tease(1)[:-20], "not_json"),
    Hostile("two events in one line", tease(1) + tease(2), "not_json"),
    Hostile("an event and a comma", tease(1) + b",", "not_json"),
    Hostile("a comma too many", replaced(b"}}", b",}}"), "not_json"),
    Hostile("NaN for a number", replaced(b'"ts":', b'"x":NaN,"ts":'), "not_json"),
    Hostile("Infinity for a number", replaced(b'"ts":', b'"x":Infinity,"ts":'), "not_json"),
    Hostile("a number beyond a float", replaced(b'"ts":', b'"x":1e999,"ts":'), "not_json"),
    Hostile("a number with a leading zero", replaced(b'"ts":', b'"ts":0'), "not_json"),
    Hostile("bytes that are no UTF-8", replaced(b"random", b"\xff\xfe"), "not_json"),
    Hostile("half a surrogate pair", replaced(b"random", b"\\ud800"), "not_json"),
    Hostile("the wrong half first", replaced(b"random", b"\\udc00\\ud800"), "not_json"),
    Hostile("a half in a name", replaced(b'"bob"', b'"\\udfff"'), "not_json"),
    Hostile("a control character in a string", replaced(b"random", b"a\x00b"), "not_json"),
    Hostile("an escape that is none", replaced(b"random", b"\\q"), "not_json"),
    Hostile("single quotes", tease(1).replace(b'"', b"'"), "not_json"),
    Hostile("a comment", b"/* hi */" + tease(1), "not_json"),
    Hostile("nested to seventeen", nested(17), "too_deep"),
    Hostile("nested to ten thousand", nested(10_000), "too_deep"),
    Hostile("brackets without end", b"[" * 60_000, "too_deep"),
    Hostile("one byte over 64 KiB", of_size(65_537), "too_large"),
    Hostile("a megabyte of reason", social(reason="x" * 2**20), "too_large"),
    # objects that readers would read differently
    Hostile("a key twice", replaced(b'"ts":', b'"ts":5,"ts":'), "duplicate_key"),
    Hostile("an unknown key twice", replaced(b'"ts":', b'"x":5,"x":6,"ts":'), "duplicate_key"),
    Hostile("a key twice but for case", replaced(b'"ts":', b'"TS":5,"ts":'), "duplicate_key"),
    Hostile("a key twice inside", replaced(b'"actor":', b'"actor":"x","actor":'), "duplicate_key"),
    Hostile("a key twice by escape", replaced(b'"ts":', b'"\\u0074s":5,"ts":'), "duplicate_key"),
    Hostile("the long s of Go", replaced(b'"ts":', '"tſ":5,"ts":'.encode()), "duplicate_key"),
    Hostile("a key in capitals", replaced(b'"ts":', b'"TS":'), "miscased_key"),
    Hostile("a key in capitals inside", replaced(b'"actor":', b'"Actor":'), "miscased_key"),
    # wrong types
    Hostile("a number", b"5", "missing"),
    Hostile("null", b"null", "missing"),
    Hostile("a string", b'"event"', "missing"),
    Hostile("an array of an event", b"[" + tease(1) + b"]", "missing"),
    Hostile("an empty object", b"{}", "missing"),
    Hostile("a time in a string", changed(ts=str(TS)), "wrong_type"),
    Hostile("a time with a fraction", replaced(b',"svc"', b'.0,"svc"'), "wrong_type"),
    Hostile("a time with an exponent", changed(ts=1.7e18), "wrong_type"),
    Hostile("a time of 2^63", changed(ts=2**63), "wrong_type"),
    Hostile("a time below -2^63", changed(ts=-(2**63) - 1), "wrong_type"),
    Hostile("a time of 2^64", changed(ts=2**64), "wrong_type"),
    Hostile("an id that is a number", changed(id=7), "wrong_type"),
    Hostile("a service that is a list", changed(svc=["social"]), "wrong_type"),
    Hostile("an emitter that is an object", changed(emitter={"name": "ann"}), "wrong_type"),
    Hostile("a signature that is true", changed(sig=True), "wrong_type"),
    Hostile("a payload that is a string", changed(social="tease"), "wrong_type"),
    Hostile("a payload that is a list", changed(social=[]), "wrong_type"),
    Hostile("an actor that is a number", inside(actor=5), "wrong_type"),
    Hostile("a foreign payload of another type", changed(ping=5), "wrong_type"),
    Hostile("a round trip in a string", ping("5"), "wrong_type"),
    Hostile("an importance of 2^63", observed("restart", importance=2**63), "wrong_type"),
    Hostile("an uptime below zero", observed("restart", observer_uptime=-1), "wrong_type"),
    Hostile("voters that are numbers", tallied(voter_ids=[1], signatures=[2]), "wrong_type"),
    # what is not there
    Hostile("no id", changed(id=None), "missing"),
    Hostile("no time", changed(ts=None), "missing"),
    Hostile("no service", changed(svc=None), "missing"),
    Hostile("no payload", changed(social=None), "missing"),
    Hostile("a payload of null", replaced(b'"social":{', b'"social":null,"x":{'), "missing"),
    Hostile("another service's payload", changed(svc="ping"), "missing"),
    Hostile("a service nobody knows", changed(svc="barrio"), "unknown_service"),
    Hostile("a service in capitals", changed(svc="Social"), "unknown_service"),
    # names, which nara joins with colons
    Hostile("a colon in a name", social(actor="ann:bob"), "bad_name"),
    Hostile("a space in a name", social(target="b ob"), "bad_name"),
    Hostile("a line break in a name", social(target="b\nob"), "bad_name"),
    Hostile("a no-break space in a name", social(target="b\u00a0ob"), "bad_name"),
    Hostile("a name of 65 characters", social(target="x" * 65), "bad_name"),
    Hostile("a zero byte in a witness", social(witness="w\0"), "bad_name"),
    Hostile("an emitter with a colon", changed(emitter="ann:"), "bad_name"),
    Hostile("a hey-there of a name with a colon", hello("an:n", emitter=""), "bad_name"),
    # times
    Hostile("a time of zero", social(ts=0), "bad_time"),
    Hostile("a negative time", social(ts=-5), "bad_time"),
    Hostile("the least time there is", social(ts=-(2**63)), "bad_time"),
    Hostile("16 minutes ahead", social(ts=NOW_NS + 16 * 60 * 10**9), "future"),
    Hostile("a nanosecond beyond 15 minutes", social(ts=NOW_NS + 900 * 10**9 + 1), "future"),
    Hostile("the greatest time there is", social(ts=2**63 - 1), "future"),
    # payloads that nara refuses
    Hostile("a social event of no known type", social(type="insult"), "bad_payload"),
    Hostile("a social event without an actor", social(actor=""), "bad_payload"),
    Hostile("a round trip of zero", ping(0), "bad_payload"),
    Hostile("a round trip below zero", ping(-1.5), "bad_payload"),
    Hostile("an observation of no known type", observed("gossip"), "bad_payload"),
    Hostile(
        "an importance of zero", observed("restart", importance=0, start_time=1), "bad_payload"
    ),
    Hostile(
        "an importance of four", observed("restart", importance=4, start_time=1), "bad_payload"
    ),
    Hostile("a restart without a start", observed("restart"), "bad_payload"),
    Hostile(
        "a restart of number -1", observed("restart", start_time=1, restart_num=-1), "bad_payload"
    ),
    Hostile("a first sight without a start", observed("first-seen"), "bad_payload"),
    Hostile("a state nobody knows", observed("status-change", online_state="AWAY"), "bad_payload"),
    Hostile("seen by no way", seen(via=""), "bad_payload"),
    Hostile("a hey-there without a key", hello(key=""), "bad_payload"),
    Hostile("more voters than votes", tallied(voter_ids=["a"]), "bad_payload"),
    Hostile("a checkpoint of no time", tallied(as_of_time=0), "bad_payload"),
    Hostile(
        "a checkpoint before the cutoff",
        tallied(subject="r2d2", as_of_time=1_768_774_453),
        "cutoff",
    ),
    # ids
    Hostile("an id of another event", changed(id=json.loads(tease(2))["id"]), "id_mismatch"),
    Hostile("another content under the id", inside(target="cat"), "id_mismatch"),
    Hostile("another time under the id", changed(ts=TS + 1), "id_mismatch"),
    Hostile("an id of 31 digits", changed(id="0" * 31), "bad_id"),
    Hostile("an id in capitals", changed(id=json.loads(tease(1))["id"].upper()), "bad_id"),
    Hostile("an empty id", changed(id=""), "bad_id"),
    # keys and signatures
    Hostile("a signature that is no base64", changed(sig="!!!!"), "bad_base64"),
    Hostile("a signature without its padding", changed(sig="YQ"), "bad_base64"),
    Hostile("a signature of 63 bytes", changed(sig=base64_of(bytes(63))), "bad_base64"),
    Hostile("a key of 31 bytes", hello(key=base64_of(bytes(31))), "bad_base64"),
    Hostile("a vote that is no base64", tallied(voter_ids=["a"], signatures=["!"]), "bad_base64"),
    Hostile("a key of small order", hello(key=base64_of(SMALL_ORDER)), "weak_key"),
    Hostile("a key that is no point", hello(key=base64_of(NO_POINT)), "weak_key"),
    Hostile("a hey-there for another", hello("bob", BOB.public_key_base64), "wrong_emitter"),
    Hostile("a chau for another", bye("bob"), "wrong_emitter"),
    Hostile("a signature of zeros", changed(sig=base64_of(bytes(64))), "bad_signature"),
    Hostile(
        "a signature of another event", changed(sig=json.loads(tease(2))["sig"]), "bad_signature"
    ),
    Hostile("another's signature", tease(1, signer=identity_of("ann", b"x" * 32)), "bad_signature"),
    Hostile("a known voter's vote for something else", forged_votes(), "bad_signature"),
    Hostile("a hey-there with another key", hello(key=BOB.public_key_base64), "key_differs"),
    Hostile("an unsigned one, too", hello(key=BOB.public_key_base64, sig=""), "key_differs"),
]
"""To a node that knows Ann and Bob with their keys and ids. All are refused."""


Pack = Callable[[bytes, list[bytes], bytes], bytes]
"""A file made of a good event, bad ones in between, and another good one."""

FILES: dict[str, Pack] = {
    "lines": lambda a, bad, b: b"\n".join([a, *bad, b, b""]),
    "lines of Windows": lambda a, bad, b: b"\r\n".join([a, *bad, b, b""]),
    "packed lines": lambda a, bad, b: gzip.compress(b"\n".join([a, *bad, b])),
    "bad lines first": lambda a, bad, b: b"\n".join([*bad, a, b]),
    "bad lines last": lambda a, bad, b: b"\n".join([a, b, *bad]),
}


def million_lines(count: int = 1_000_000) -> bytes:
    """Garbage, packed: short lines that all differ."""
    block = b"".join(b"%s\n" % hashlib.md5(b"%d" % n).hexdigest()[:6].encode() for n in range(1000))
    return gzip.compress(block * (count // 1000), compresslevel=1)


GOOD = {
    "at the bound of size": of_size(65_536),
    "nested to sixteen": nested(16),
    "exactly 15 minutes ahead": social(ts=NOW_NS + 900 * 10**9),
    "the first time there is": social(ts=1),
    "a name of 64 characters": social(target="x" * 64),
    "unknown keys of every type": changed(a=1, b=[None], c={"d": 1.5}, e=10**300),
    "nulls for what may be absent": changed(emitter_id=json.loads("null"), ping=None),
    "a round trip in a whole number": ping(42),
    "a checkpoint of nobody": tallied(),
    "a checkpoint after the cutoff": tallied(subject="r2d2", as_of_time=1_768_774_454),
    "an observation that claims nothing": observation(5),
    "a hey-there again": hey_there(ANN),
    "a chau without a key": bye(),
}
"""As close to the edge, and good."""
