"""What hostile input gets: each its verdict, and its neighbours nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from postbox.core import Batch, Keys, Ledger, is_weak_key, verdict_names

NOW_NS = 1_795_300_000_000_000_000
AHEAD_NS = 15 * 60 * 10**9
TS = 1_768_780_000_123_456_789

ANN, EVE = SigningKey(b"a" * 32), SigningKey(b"e" * 32)
ANN_KEY = base64.b64encode(bytes(ANN.verify_key)).decode()
EVE_KEY = base64.b64encode(bytes(EVE.verify_key)).decode()

PAYLOADS: dict[str, dict[str, Any]] = {
    "social": {"type": "tease", "actor": "ann", "target": "bob", "reason": "random"},
    "ping": {"observer": "ann", "target": "bob", "rtt": 12.5},
    "restart": {
        "observer": "ann",
        "subject": "bob",
        "type": "restart",
        "importance": 3,
        "start_time": 9,
        "restart_num": 4,
    },
    "first-seen": {
        "observer": "ann",
        "subject": "bob",
        "type": "first-seen",
        "importance": 3,
        "start_time": 9,
    },
    "status": {
        "observer": "ann",
        "subject": "bob",
        "type": "status-change",
        "importance": 2,
        "online_state": "ONLINE",
    },
    "hey-there": {"From": "ann", "PublicKey": ANN_KEY, "MeshIP": "", "ID": "", "Signature": ""},
    "chau": {"From": "ann", "PublicKey": ANN_KEY, "ID": "", "Signature": ""},
    "seen": {"observer": "ann", "subject": "bob", "via": "sync"},
    "checkpoint": {
        "version": 1,
        "subject": "bob",
        "subject_id": "B",
        "observation": {"restarts": 1, "total_uptime": 2, "start_time": 3},
        "as_of_time": 4,
        "round": 1,
        "voter_ids": [],
        "signatures": [],
    },
}
OBSERVATIONS = ("restart", "first-seen", "status")


def content_of(kind: str, p: dict[str, Any]) -> str:
    """nara's content string; whatever is missing or odd is written as it comes."""

    def get(key: str) -> Any:
        value = p.get(key)
        return "" if value is None else value

    match kind:
        case "social":
            return f"{get('type')}:{get('actor')}:{get('target')}:{get('reason')}:{get('witness')}"
        case "ping":
            rtt = get("rtt")
            shown = f"{rtt:.1f}" if isinstance(rtt, int | float) else rtt
            return f"{get('observer')}:{get('target')}:{shown}"
        case "restart":
            return f"{get('subject')}:restart:{get('restart_num')}:{get('start_time')}"
        case "first-seen" | "status":
            start, number = p.get("start_time", 0), p.get("restart_num", 0)
            return (
                f"{get('observer')}:{get('subject')}:{get('type')}:{get('online_state')}"
                f":{start}:{number}"
            )
        case "hey-there":
            return f"hey_there:{get('From')}:{get('PublicKey')}:{get('MeshIP')}"
        case "chau":
            return f"chau:{get('From')}:{get('PublicKey')}"
        case "seen":
            return f"seen:{get('observer')}:{get('subject')}:{get('via')}"
        case _:
            o = p["observation"] if isinstance(p.get("observation"), dict) else {}
            return (
                f"checkpoint:{get('subject_id')}:{get('as_of_time')}"
                f":{o.get('start_time')}:{o.get('restarts')}:{o.get('total_uptime')}"
            )


def event(kind: str = "social", ts: int = TS, **payload: Any) -> dict[str, Any]:
    """A good event of that kind, with these fields of its payload changed and its id to match."""
    svc = "observation" if kind in OBSERVATIONS else kind
    content = PAYLOADS[kind] | payload
    text = f"{ts}:{svc}:{content_of(kind, content)}".encode()
    event_id = hashlib.sha256(text).hexdigest()[:32]
    return {"id": event_id, "ts": ts, "svc": svc, svc.replace("-", "_"): content}


def raw(made: dict[str, Any]) -> bytes:
    return json.dumps(made, ensure_ascii=False).encode()


def changed(kind: str = "social", **top: Any) -> bytes:
    return raw(event(kind) | top)


def without(key: str, kind: str = "social") -> bytes:
    made = event(kind)
    del made[key]
    return raw(made)


def inside(kind: str = "social", **payload: Any) -> bytes:
    return raw(event(kind, **payload))


def edited(old: bytes, new: bytes, kind: str = "social") -> bytes:
    good = raw(event(kind))
    assert good.count(old) >= 1, old
    return good.replace(old, new, 1)


def signed(kind: str, emitter: str, signer: SigningKey, **payload: Any) -> bytes:
    made = event(kind, **payload)
    content = content_of(kind, PAYLOADS[kind] | payload)
    text = f"{made['id']}:{made['ts']}:{made['svc']}:{emitter}:{content}".encode()
    sig = base64.b64encode(signer.sign(hashlib.sha256(text).digest()).signature).decode()
    return raw({"emitter": emitter, "sig": sig} | made)


def unfit(kind: str, emitter: str, signer: SigningKey) -> bytes:
    """Signed over its id alone."""
    made = event(kind)
    sig = base64.b64encode(signer.sign(made["id"].encode()).signature).decode()
    return raw({"emitter": emitter, "sig": sig} | made)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


GOOD = raw(event())
ID = event()["id"]

CUTOFFS = [("r2d2", 1_768_774_453)]
HOSTILE: list[tuple[str, bytes, str]] = [
    # size and shape
    ("one byte over 64 KiB", GOOD + b" " * (65_537 - len(GOOD)), "too_large"),
    ("a megabyte of a string", changed(padding="x" * 1_000_000), "too_large"),
    ("nothing", b"", "not_json"),
    ("white space", b" \r\n\t ", "not_json"),
    ("null", b"null", "missing"),
    ("an array", b"[" + GOOD + b"]", "missing"),
    ("a string", b'"event"', "missing"),
    ("a number", b"1", "missing"),
    ("true", b"true", "missing"),
    ("an empty object", b"{}", "missing"),
    ("17 deep", changed(x=json.loads("[" * 16 + "]" * 16)), "too_deep"),
    ("30,000 deep", b"[" * 30_000, "too_deep"),
    ("30,000 objects deep", b'{"a":' * 10_000, "too_deep"),
    # not JSON
    ("cut in the middle", GOOD[: len(GOOD) // 2], "not_json"),
    ("without its last byte", GOOD[:-1], "not_json"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, "not_json"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "not_json"),
    ("trailing garbage", GOOD + b"x", "not_json"),
    ("two values", GOOD + GOOD, "not_json"),
    ("a NUL behind it", GOOD + b"\0", "not_json"),
    ("gzip", gzip.compress(GOOD, mtime=0), "not_json"),
    ("no UTF-8", edited(b"random", b"rand\xff\xfe"), "not_json"),
    ("an overlong encoding", edited(b"random", b"\xc0\xafx"), "not_json"),
    ("a lone high surrogate", edited(b"random", b"\\ud800"), "not_json"),
    ("a lone low surrogate", edited(b"random", b"\\udc00"), "not_json"),
    ("surrogates the wrong way round", edited(b"random", b"\\udc00\\ud800"), "not_json"),
    ("a lone surrogate in a key", edited(b'"id"', b'"\\ud800":1,"id"'), "not_json"),
    ("a bare line break in a string", edited(b"random", b"ran\ndom"), "not_json"),
    ("an unknown escape", edited(b"random", b"\\x41"), "not_json"),
    ("single quotes", GOOD.replace(b'"', b"'"), "not_json"),
    ("a comment", edited(b'{"id"', b'{/**/"id"'), "not_json"),
    ("a trailing comma", GOOD[:-1] + b",}", "not_json"),
    ("NaN", edited(b"12.5", b"NaN", "ping"), "not_json"),
    ("Infinity", edited(b"12.5", b"Infinity", "ping"), "not_json"),
    ("-Infinity", edited(b"12.5", b"-Infinity", "ping"), "not_json"),
    ("1e999", edited(b"12.5", b"1e999", "ping"), "not_json"),
    ("a leading zero", edited(str(TS).encode(), b"01"), "not_json"),
    ("a plus sign", edited(str(TS).encode(), b"+1"), "not_json"),
    ("a hexadecimal number", edited(str(TS).encode(), b"0x10"), "not_json"),
    ("a number with nothing behind its point", edited(b"12.5", b"12.", "ping"), "not_json"),
    # keys
    ("id twice", edited(b'{"id"', b'{"id":"x","id"'), "duplicate_key"),
    ("an unknown key twice", edited(b'{"id"', b'{"x":1,"x":1,"id"'), "duplicate_key"),
    ("a key twice by escapes", edited(b'{"id"', b'{"\\u0069d":1,"id"'), "duplicate_key"),
    ("id and ID", edited(b'{"id"', b'{"ID":"x","id"'), "duplicate_key"),
    ("ts, once with a long s", edited(b'{"id"', '{"t\u017f":1,"id"'.encode()), "duplicate_key"),
    ("twice in the payload", edited(b'"actor"', b'"actor":"eve","actor"'), "duplicate_key"),
    ("twice, deep inside", edited(b'{"id"', b'{"x":{"y":[{"z":1,"Z":2}]},"id"'), "duplicate_key"),
    ("Id", edited(b'"id"', b'"Id"'), "miscased_key"),
    ("SVC", edited(b'"svc"', b'"SVC"'), "miscased_key"),
    ("Emitter", changed(Emitter="eve"), "miscased_key"),
    ("t and a long s", edited(b'"ts"', '"t\u017f"'.encode()), "miscased_key"),
    ("from", edited(b'"From"', b'"from"', "hey-there"), "miscased_key"),
    ("publickey", edited(b'"PublicKey"', b'"publickey"', "chau"), "miscased_key"),
    ("a Kelvin sign", edited(b'"PublicKey"', '"Public\u212aey"'.encode(), "chau"), "miscased_key"),
    ("Restarts", edited(b'"restarts"', b'"Restarts"', "checkpoint"), "miscased_key"),
    ("a payload miscased", changed(Ping={}), "miscased_key"),
    # types, of every kind of field
    ("an id that is a number", changed(id=5), "wrong_type"),
    ("a service that is a list", changed(svc=["social"]), "wrong_type"),
    ("an emitter that is an object", changed(emitter={}), "wrong_type"),
    ("a signature that is true", changed(sig=True), "wrong_type"),
    ("a time in a string", changed(ts=str(TS)), "wrong_type"),
    ("a time with a fraction", edited(str(TS).encode(), b"1768780000.5"), "wrong_type"),
    ("a time that is 1.0", edited(str(TS).encode(), b"1.0"), "wrong_type"),
    ("a time with an exponent", edited(str(TS).encode(), b"1e18"), "wrong_type"),
    ("a time of minus zero", edited(str(TS).encode(), b"-0"), "wrong_type"),
    ("a time that is false", changed(ts=False), "wrong_type"),
    ("a time of 2^63", changed(ts=2**63), "wrong_type"),
    ("a time of 2^64", changed(ts=2**64), "wrong_type"),
    ("a time below -2^63", changed(ts=-(2**63) - 1), "wrong_type"),
    ("a payload that is a list", changed(social=[]), "wrong_type"),
    ("a payload that is a string", changed(social="tease"), "wrong_type"),
    ("another payload of a wrong type", changed(ping=7), "wrong_type"),
    ("another payload with a wrong field", changed(ping={"rtt": "fast"}), "wrong_type"),
    ("a name that is a number", inside(actor=7), "wrong_type"),
    ("a reason that is a list", inside(reason=[]), "wrong_type"),
    ("a round-trip time in a string", inside("ping", rtt="12.5"), "wrong_type"),
    ("an importance with a fraction", inside("status", importance=2.0), "wrong_type"),
    ("a start beyond 2^63", inside("restart", start_time=2**63), "wrong_type"),
    ("a flag that is a number", inside("status", is_backfill=1), "wrong_type"),
    ("a negative uptime", inside("status", observer_uptime=-1), "wrong_type"),
    ("an uptime with a fraction", inside("status", observer_uptime=1.5), "wrong_type"),
    ("an uptime of 2^64", inside("status", observer_uptime=2**64), "wrong_type"),
    ("voters that are an object", inside("checkpoint", voter_ids={}), "wrong_type"),
    ("voters that are a string", inside("checkpoint", voter_ids="B"), "wrong_type"),
    ("a voter that is a number", inside("checkpoint", voter_ids=[1]), "wrong_type"),
    ("a voter that is null", inside("checkpoint", voter_ids=[None]), "wrong_type"),
    ("a checkpoint's list of what was seen", inside("checkpoint", observation=[]), "wrong_type"),
    ("restarts in a string", inside("checkpoint", observation={"restarts": "1"}), "wrong_type"),
    (
        "a ping time in a string",
        inside("checkpoint", observation={"avg_ping_rtt": "1"}),
        "wrong_type",
    ),
    # what must be there
    ("no id", without("id"), "missing"),
    ("no time", without("ts"), "missing"),
    ("no service", without("svc"), "missing"),
    ("no payload", without("social"), "missing"),
    ("an id that is null", changed(id=None), "missing"),
    ("a time that is null", changed(ts=None), "missing"),
    ("a payload that is null", changed(social=None), "missing"),
    ("the payload of another service", changed(svc="ping"), "missing"),
    (
        "a payload under its service's name",
        edited(b'"hey_there"', b'"hey-there"', "hey-there"),
        "missing",
    ),
    ("an unknown service", changed(svc="barrio"), "unknown_service"),
    ("a service in capitals", changed(svc="SOCIAL"), "unknown_service"),
    ("a service by its payload's key", changed("hey-there", svc="hey_there"), "unknown_service"),
    ("an empty service", changed(svc=""), "unknown_service"),
    # names
    ("a name with a colon", inside(actor="a:b"), "bad_name"),
    ("a name with a space", inside(target="a b"), "bad_name"),
    ("a name with a tab", inside(witness="a\tb"), "bad_name"),
    ("a name with a line break", inside("ping", observer="a\nb"), "bad_name"),
    ("a name with NUL", inside("seen", subject="a\0b"), "bad_name"),
    ("a name with DEL", inside("chau", From="a\x7fb"), "bad_name"),
    ("a name with a no-break space", inside("hey-there", From="a\u00a0b"), "bad_name"),
    ("a name with a line separator", inside("status", observer="a\u2028b"), "bad_name"),
    ("a name with a C1 control", inside("checkpoint", subject="a\u0085b"), "bad_name"),
    ("a name of 65", inside("status", subject="x" * 65), "bad_name"),
    ("an emitter with a colon", changed(emitter="a:b"), "bad_name"),
    ("an emitter of 65", changed(emitter="é" * 65), "bad_name"),
    # time
    ("a time of zero", raw(event(ts=0)), "bad_time"),
    ("a time of -1", raw(event(ts=-1)), "bad_time"),
    ("a time of -2^63", raw(event(ts=-(2**63))), "bad_time"),
    ("a nanosecond too far ahead", raw(event(ts=NOW_NS + AHEAD_NS + 1)), "future"),
    ("the end of time", raw(event(ts=2**63 - 1)), "future"),
    # nara's own rules
    ("a social event of no known type", inside(type="insult"), "bad_payload"),
    ("nobody teases", inside(actor=""), "bad_payload"),
    ("nobody is teased", inside(target=None), "bad_payload"),
    ("a round-trip time of zero", inside("ping", rtt=0), "bad_payload"),
    ("a negative round-trip time", inside("ping", rtt=-1.5), "bad_payload"),
    ("a round-trip time of minus zero", inside("ping", rtt=-0.0), "bad_payload"),
    ("nobody pings", inside("ping", observer=""), "bad_payload"),
    ("an observation of no known type", inside("status", type="rumour"), "bad_payload"),
    ("an importance of zero", inside("status", importance=0), "bad_payload"),
    ("an importance of four", inside("status", importance=4), "bad_payload"),
    ("no state", inside("status", online_state=""), "bad_payload"),
    ("a state in small letters", inside("status", online_state="online"), "bad_payload"),
    ("a restart at no time", inside("restart", start_time=0), "bad_payload"),
    ("a negative count of restarts", inside("restart", restart_num=-1), "bad_payload"),
    ("first seen at no time", inside("first-seen", start_time=-1), "bad_payload"),
    ("seen by no way", inside("seen", via=""), "bad_payload"),
    ("a hey-there without key", inside("hey-there", PublicKey=""), "bad_payload"),
    ("a hey-there of nobody", inside("hey-there", From=""), "bad_payload"),
    ("a checkpoint of no time", inside("checkpoint", as_of_time=0), "bad_payload"),
    (
        "a checkpoint of negative restarts",
        inside("checkpoint", observation={"restarts": -1, "total_uptime": 2, "start_time": 3}),
        "bad_payload",
    ),
    ("a voter without signature", inside("checkpoint", voter_ids=["B"]), "bad_payload"),
    ("a signature without voter", inside("checkpoint", signatures=[b64(bytes(64))]), "bad_payload"),
    ("a checkpoint before the cutoff", inside("checkpoint", subject="r2d2"), "cutoff"),
    # ids
    ("another id", changed(id="0" * 32), "id_mismatch"),
    ("a content that the id is not of", edited(b"random", b"randon"), "id_mismatch"),
    ("the id of another time", changed(ts=TS + 1), "id_mismatch"),
    ("an id in capitals", changed(id=ID.upper()), "bad_id"),
    ("a short id", changed(id=ID[:31]), "bad_id"),
    ("a long id", changed(id=ID + "0"), "bad_id"),
    ("an empty id", changed(id=""), "bad_id"),
    ("an id with a suffix", changed(id=ID + "-nara-a"), "bad_id"),
    ("an id of other digits", changed(id="g" + ID[1:]), "bad_id"),
    ("an id of 32 bytes that are no digits", changed(id="é" * 16), "bad_id"),
    # signatures and keys
    ("a signature that is no base64", changed(emitter="ann", sig="!!!!"), "bad_base64"),
    ("a signature without padding", changed(emitter="ann", sig="A" * 86), "bad_base64"),
    ("a signature for URLs", changed(emitter="ann", sig="_" * 86 + "=="), "bad_base64"),
    ("a signature of 63 bytes", changed(emitter="ann", sig=b64(bytes(63))), "bad_base64"),
    ("a signature of 65 bytes", changed(emitter="ann", sig=b64(bytes(65))), "bad_base64"),
    ("stray bits in a signature", changed(emitter="ann", sig="A" * 85 + "B=="), "bad_base64"),
    ("a key of 31 bytes", inside("hey-there", PublicKey=b64(bytes(31))), "bad_base64"),
    ("a key that is no base64", inside("chau", PublicKey="ann's key"), "bad_base64"),
    (
        "a vote of 10 bytes",
        inside("checkpoint", voter_ids=["B"], signatures=[b64(bytes(10))]),
        "bad_base64",
    ),
    ("a key of 32 zeros", inside("hey-there", PublicKey=b64(bytes(32))), "weak_key"),
    ("the neutral key", inside("hey-there", PublicKey=b64(b"\1" + bytes(31))), "weak_key"),
    ("a key of small order in a chau", inside("chau", PublicKey=b64(bytes(32))), "weak_key"),
    ("a key that is no point", inside("chau", PublicKey=b64(b"\2" + bytes(31))), "weak_key"),
    ("a hey-there of another", changed("hey-there", emitter="eve"), "wrong_emitter"),
    ("a chau of another", changed("chau", emitter="eve"), "wrong_emitter"),
    # what only shows when signatures are checked
    ("a signature of zeros", changed(emitter="ann", sig=b64(bytes(64))), "bad_signature"),
    ("signed by another", signed("social", "ann", EVE), "bad_signature"),
    (
        "a signature over something else",
        signed("ping", "ann", ANN)[:-1] + b',"svc":"x"}',
        "duplicate_key",
    ),
    (
        "another key for a known name",
        signed("hey-there", "ann", EVE, PublicKey=EVE_KEY),
        "key_differs",
    ),
    ("another key, unsigned", inside("hey-there", PublicKey=EVE_KEY), "key_differs"),
    ("a chau with another key", inside("chau", PublicKey=EVE_KEY), "key_differs"),
    ("a stranger's own broken proof", signed("hey-there", "new", EVE, From="new"), "bad_signature"),
]


def keys() -> Keys:
    known = Keys()
    known.put("ann", [bytes(ANN.verify_key)], "A")
    return known


def verdicts(bodies: list[bytes]) -> list[str]:
    batch = Batch.decode(bodies, NOW_NS, CUTOFFS)
    batch.verify(keys())
    return [verdict_names[code] for code in batch.verdicts]


def test_the_table_has_sixty_different_hostile_events_and_every_refusal() -> None:
    assert len({body for _, body, _ in HOSTILE}) == len(HOSTILE) >= 60
    refusals = set(verdict_names) - {"ok", "known", "below_retention"}
    assert {verdict for _, _, verdict in HOSTILE} == refusals


@pytest.mark.parametrize(
    ("body", "verdict"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
def test_a_hostile_event_gets_its_verdict_and_its_neighbours_stay(
    body: bytes, verdict: str
) -> None:
    before, after = signed("seen", "ann", ANN), signed("ping", "ann", ANN)
    batch = Batch.decode([before, body, after], NOW_NS, CUTOFFS)
    batch.verify(keys())
    names = [verdict_names[code] for code in batch.verdicts]
    assert names == ["ok", verdict, "ok"]
    assert [row[0] for row in batch.accepted()] == [0, 2]
    assert list(batch.standings) == [2, 255, 2]
    ledger = Ledger(10, b"k" * 16)
    assert ledger.apply([], [(row[0], row[7], row[4]) for row in batch.accepted()]) == []
    assert len(ledger) == 2


def test_all_hostile_events_in_one_batch_get_the_same_verdicts() -> None:
    good = [raw(event(ts=TS + number)) for number in range(len(HOSTILE) + 1)]
    mixed = [good[0]]
    for (_, body, _), after in zip(HOSTILE, good[1:], strict=True):
        mixed += [body, after]
    expected = ["ok"]
    for _, _, verdict in HOSTILE:
        expected += [verdict, "ok"]
    assert verdicts(mixed) == expected


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_events_that_the_table_is_made_from_are_good(kind: str) -> None:
    assert verdicts([raw(event(kind))]) == ["ok"]


@pytest.mark.parametrize(
    "body",
    [
        GOOD + b" " * (65_536 - len(GOOD)),
        changed(x=json.loads("[" * 15 + "]" * 15)),
        raw(event(ts=1)),
        raw(event(ts=NOW_NS + AHEAD_NS)),
        inside(actor="x" * 64),
        inside(actor="é" * 64, target="日本"),
        inside(reason="a:b <é> & \u2028", witness=None),
        inside("status", observer_uptime=2**64 - 1),
        inside("ping", rtt=5e-324),
        inside("ping", rtt=10**30),
        inside("checkpoint", subject="r2d2", as_of_time=1_768_774_454),
        changed(emitter="", sig=""),
        changed(emitter=None, emitter_id=None, ping=None, x={"Id": 1}),
        changed(sig=b64(bytes(64))),  # without an emitter nobody has signed
        inside("chau", PublicKey=""),
        b"\r\n" + GOOD + b"\n",
    ],
)
def test_what_is_at_the_border_is_taken(body: bytes) -> None:
    assert verdicts([body]) == ["ok"]


def test_all_eight_small_order_keys_are_weak() -> None:
    eighths = (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
    points = [
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "00" * 32,
        "00" * 31 + "80",
        *eighths,
        *(one[:-2] + f"{int(one[-2:], 16) | 0x80:02x}" for one in eighths),
    ]
    assert len(set(points)) == 8
    assert all(is_weak_key(bytes.fromhex(point)) for point in points)
    assert not is_weak_key(bytes(ANN.verify_key))


def test_the_protocol_page_states_every_verdict() -> None:
    page = (Path(__file__).parents[3] / "docs/protocol/mesh.md").read_text("utf-8")
    assert [name for name in verdict_names if f"`{name}`" not in page] == []
