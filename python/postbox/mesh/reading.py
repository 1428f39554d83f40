"""What a stored event says, as a value: the reading side of `trust/authoring.py`.

Only bodies from the log or the ledger come here: the core has checked their types, names and
payloads (`docs/protocol/mesh.md`). Null is as good as absent, unknown keys are not read. `Unread`
is raised over what is no event all the same: of a damaged disk, or of another version's rules.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct, field

from postbox.errors import Fault
from postbox.event import Service


class Unread(Fault):
    """A stored body that is no event."""


class Social(Struct, frozen=True):
    type: str = ""
    actor: str = ""
    target: str = ""
    reason: str = ""
    witness: str = ""


class Ping(Struct, frozen=True, rename={"rtt_ms": "rtt"}):
    observer: str = ""
    target: str = ""
    rtt_ms: float = 0.0


class Observation(Struct, frozen=True):
    """Times are Unix seconds."""

    observer: str = ""
    subject: str = ""
    type: str = ""
    importance: int = 0
    is_backfill: bool = False
    start_time: int = 0
    restart_num: int = 0
    last_restart: int = 0
    online_state: str = ""
    observer_uptime: int = 0


class HeyThere(Struct, frozen=True):
    name: str = field(default="", name="From")
    public_key: str = field(default="", name="PublicKey")
    mesh_ip: str = field(default="", name="MeshIP")
    id: str = field(default="", name="ID")


class Chau(Struct, frozen=True):
    name: str = field(default="", name="From")
    public_key: str = field(default="", name="PublicKey")


class Seen(Struct, frozen=True):
    observer: str = ""
    subject: str = ""
    via: str = ""


class Tally(Struct, frozen=True):
    """What the voters of a checkpoint agree on; times in seconds."""

    restarts: int = 0
    total_uptime: int = 0
    start_time: int = 0


class Checkpoint(Struct, frozen=True):
    """`as_of_time` in Unix seconds."""

    version: int = 0
    subject: str = ""
    subject_id: str = ""
    previous_checkpoint_id: str = ""
    observation: Tally = Tally()
    as_of_time: int = 0
    round: int = 0
    voter_ids: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


Payload: TypeAlias = Social | Ping | Observation | HeyThere | Chau | Seen | Checkpoint


class Event(Struct, frozen=True):
    """`ts_ns`: Unix nanoseconds. `emitter`: who signed it, "" for nobody."""

    id: str
    ts_ns: int
    emitter: str
    payload: Payload


def read_event(body: bytes) -> Event:
    """Raises Unread."""
    try:
        envelope = _ENVELOPE.decode(body)
        key, kind = _KINDS[envelope.svc]
        raw: Raw = getattr(envelope, key)
        payload = _payload(bytes(raw), kind)
    except (msgspec.DecodeError, KeyError) as error:
        raise Unread(f"a stored mesh event cannot be read: {error}; run: postbox verify") from error
    return Event(envelope.id, envelope.ts, envelope.emitter or "", payload)


_NOTHING = Raw(b"null")


class _Envelope(Struct):
    id: str
    ts: int
    svc: str
    emitter: str | None = None
    social: Raw = _NOTHING
    ping: Raw = _NOTHING
    observation: Raw = _NOTHING
    hey_there: Raw = _NOTHING
    chau: Raw = _NOTHING
    seen: Raw = _NOTHING
    checkpoint: Raw = _NOTHING


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_KINDS: dict[str, tuple[str, type[Payload]]] = {
    Service.SOCIAL.wire_name: ("social", Social),
    Service.PING.wire_name: ("ping", Ping),
    Service.OBSERVATION.wire_name: ("observation", Observation),
    Service.HEY_THERE.wire_name: ("hey_there", HeyThere),
    Service.CHAU.wire_name: ("chau", Chau),
    Service.SEEN.wire_name: ("seen", Seen),
    Service.CHECKPOINT.wire_name: ("checkpoint", Checkpoint),
}


def _payload(raw: bytes, kind: type[Payload]) -> Payload:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:  # most likely a null, which hardly anybody writes
        return msgspec.convert(_without_nulls(msgspec.json.decode(raw)), type=kind)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value
