"""Events as nara 0.2.0 reads, judges and writes them: written from the facts about its source, and
with nothing of ours in it but the spelling of floats. What it would choke on is a `Choked`.

nara keeps no bytes: what it passes on it writes anew, in the order of its structs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from postbox.trust.authoring import go_float

Event: TypeAlias = dict[str, Any]

PAYLOADS = {
    "social": "social",
    "ping": "ping",
    "observation": "observation",
    "hey-there": "hey_there",
    "chau": "chau",
    "seen": "seen",
    "checkpoint": "checkpoint",
}
# In the structs' order. A question mark: left out when it is empty. i, u, b, f, s: what it must be.
_EVENT = "id:s ts:i svc:s emitter:s? emitter_id:s? sig:s?"
_OBSERVED = (
    "restarts:i? total_uptime:i? start_time:i? online:s? last_seen:i? last_restart:i?"
    " cluster_name:s? cluster_emoji:s? last_ping_rtt:f? avg_ping_rtt:f? last_ping_time:i?"
)
_STRUCTS = {
    "social": "type:s actor:s? actor_id:s? target:s? target_id:s? reason:s? witness:s?",
    "ping": "observer:s? observer_id:s? target:s? target_id:s? rtt:f",
    "observation": "observer:s? observer_id:s? subject:s? subject_id:s? type:s importance:i"
    " is_backfill:b? start_time:i? restart_num:i? last_restart:i? online_state:s? cluster_name:s?"
    " observer_uptime:u?",
    "hey_there": "From:s PublicKey:s MeshIP:s ID:s Signature:s",
    "chau": "From:s PublicKey:s ID:s Signature:s",
    "seen": "observer:s? observer_id:s? subject:s? subject_id:s? via:s",
    "checkpoint": "version:i subject:s subject_id:s previous_checkpoint_id:s? observation:o"
    " as_of_time:i round:i voter_ids:l? signatures:l?",
}
_SOCIAL = {"tease", "observed", "gossip", "observation", "service"}


class Choked(Exception):
    """nara would fail here, by an error for all of the body, or by the end of its process."""


# -- reading ------------------------------------------------------------------------------------


def read_event(event: object) -> Event:
    """As decoded JSON. Raises Choked for what ends a pulling nara, or would not be kept by it."""
    if not isinstance(event, dict):
        raise Choked(f"no object: {event!r}")
    _check(event, _EVENT)
    key = PAYLOADS.get(event.get("svc", ""))
    if key is None:
        raise Choked(f"no service: {event.get('svc')!r}")
    payload = event.get(key)
    if not isinstance(payload, dict):
        raise Choked(f"{event['svc']} without its payload: a nil pointer")
    _check(payload, _STRUCTS[key])
    if key == "checkpoint":
        _check(payload.get("observation") or {}, _OBSERVED)
    if len(event.get("id", "")) < 8:
        raise Choked(f"the id {event.get('id')!r} is cut to 8 characters: a panic")
    if not _is_valid(event["svc"], payload):
        raise Choked(f"not valid: {event}")
    if id_of(event) != event["id"]:
        raise Choked(f"the id is not that of the event: {event}")
    return event


def _check(value: Event, fields: str) -> None:
    for name, kind, _ in _fields(fields):
        if name in value and value[name] is not None and not _fits(value[name], kind):
            raise Choked(f"{name} cannot be {value[name]!r}")


def _fits(value: object, kind: str) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    match kind:
        case "s":
            return isinstance(value, str)
        case "i":
            return is_whole and -(2**63) <= value < 2**63  # type: ignore[operator]
        case "u":
            return is_whole and 0 <= value < 2**64  # type: ignore[operator]
        case "b":
            return isinstance(value, bool)
        case "f":
            return is_whole or isinstance(value, float)
        case "l":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case _:
            return isinstance(value, dict)


def _fields(fields: str) -> list[tuple[str, str, bool]]:
    parts = ([*field.rstrip("?").split(":"), field[-1:]] for field in fields.split())
    return [(name, kind, last == "?") for name, kind, last in parts]


def _is_valid(service: str, of: Event) -> bool:
    def has(*names: str) -> bool:
        return all(of.get(name) for name in names)

    match service:
        case "social":
            return of.get("type") in _SOCIAL and has("actor", "target")
        case "ping":
            return has("observer", "target") and of.get("rtt", 0) > 0
        case "observation":
            return has("observer", "subject", "type") and _is_observation(of)
        case "hey-there":
            return has("From", "PublicKey")
        case "chau":
            return has("From")
        case "seen":
            return has("observer", "subject", "via")
        case _:
            votes = len(of.get("voter_ids") or ()), len(of.get("signatures") or ())
            return has("subject") and of.get("as_of_time", 0) > 0 and votes[0] == votes[1]


def _is_observation(of: Event) -> bool:
    started = of.get("start_time", 0) > 0
    of_type = {
        "restart": started and of.get("restart_num", 0) >= 0,
        "first-seen": started,
        "status-change": of.get("online_state") in ("ONLINE", "OFFLINE", "MISSING"),
    }
    return of_type.get(of["type"], False) and of.get("importance") in (1, 2, 3)


# -- ids and signatures -------------------------------------------------------------------------


def content_of(event: Event) -> str:
    of = event[PAYLOADS[event["svc"]]]

    def text(*names: str) -> str:
        return ":".join(str(of.get(name) or "") for name in names)

    def number(*names: str) -> str:
        return ":".join(str(of.get(name) or 0) for name in names)

    match event["svc"]:
        case "social":
            return text("type", "actor", "target", "reason", "witness")
        case "ping":
            return f"{text('observer', 'target')}:{of['rtt']:.1f}"
        case "observation" if of["type"] == "restart":
            return f"{of['subject']}:restart:{number('restart_num', 'start_time')}"
        case "observation":
            words = text("observer", "subject", "type", "online_state")
            return f"{words}:{number('start_time', 'restart_num')}"
        case "hey-there":
            return f"hey_there:{text('From', 'PublicKey', 'MeshIP')}"
        case "chau":
            return f"chau:{text('From', 'PublicKey')}"
        case "seen":
            return f"seen:{text('observer', 'subject', 'via')}"
        case _:
            return _checkpoint_content(of)


def _checkpoint_content(of: Event) -> str:
    seen = of.get("observation") or {}
    counts = [str(seen.get(name) or 0) for name in ("start_time", "restarts", "total_uptime")]
    parts = [of.get("subject_id") or of["subject"], str(of["as_of_time"]), *counts]
    if of.get("version", 0) < 2:
        return ":".join(["checkpoint", *parts])
    return ":".join(["checkpoint:v2", *parts, of.get("previous_checkpoint_id") or ""])


def id_of(event: Event) -> str:
    text = f"{event['ts']}:{event['svc']}:{content_of(event)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def verifies(event: Event, key: bytes) -> bool:
    text = f"{event['id']}:{event['ts']}:{event['svc']}:{event['emitter']}:{content_of(event)}"
    return is_signed(key, hashlib.sha256(text.encode()).digest(), event["sig"])


def is_signed(key: bytes, message: bytes, signature: str) -> bool:
    try:
        VerifyKey(key).verify(message, base64.b64decode(signature, validate=True))
    except (BadSignatureError, ValueError):
        return False
    return True


def set_digest(sender: str, ts_s: int, events: Sequence[Event]) -> bytes:
    """What is signed of an answer, and of a zine."""
    ids = "".join(event["id"] for event in events)
    return hashlib.sha256(f"{sender}:{ts_s}:{ids}".encode()).digest()


# -- writing ------------------------------------------------------------------------------------


def go(value: object) -> bytes:
    """Go's JSON of what is in Go's order already; a float must be a `Number`."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def written(event: Event) -> Event:
    """The event as its struct is written."""
    key = PAYLOADS[event["svc"]]
    payload = _struct(event[key], _STRUCTS[key])
    if key == "checkpoint":
        payload["observation"] = _struct(event[key].get("observation") or {}, _OBSERVED)
    return {**_struct(event, _EVENT), key: payload}


def _struct(value: Event, fields: str) -> Event:
    empty: dict[str, Any] = {"s": "", "i": 0, "u": 0, "b": False, "f": 0, "l": None, "o": {}}
    made = {}
    for name, kind, may_be_left_out in _fields(fields):
        found = value.get(name) or empty[kind]
        if found or not may_be_left_out:
            made[name] = _number(found) if kind == "f" else found
    return made


def _number(value: float) -> object:
    """So that json.dumps writes it as Go does: 42 for 42.0."""
    text = go_float(value)
    return int(text) if text.lstrip("-").isdigit() else float(text)
