"""Making mesh events: content strings, ids, signatures, and the JSON as Go writes it.

This is the writing side only, and shares no code with the reading side in Rust: each is the
other's check. Sources: nara sync_event.go, checkpoint_types.go, presence_*.go,
identity_attestation.go.

Go's JSON is reproduced byte for byte: the order of the structs' fields, `omitempty`, numbers, and
the escaping of < > & U+2028 U+2029. Text that UTF-8 cannot hold raises UnicodeEncodeError.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias, assert_never

import msgspec

from postbox.event import Service
from postbox.trust.keys import Identity


class Social(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    actor: str = ""
    actor_id: str = ""
    target: str = ""
    target_id: str = ""
    reason: str = ""
    witness: str = ""


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    observer: str
    target: str
    rtt: float
    """Milliseconds."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are Unix seconds."""

    observer: str = ""
    observer_id: str = ""
    subject: str = ""
    subject_id: str = ""
    type: str
    importance: int
    is_backfill: bool = False
    start_time: int = 0
    restart_num: int = 0
    last_restart: int = 0
    online_state: str = ""
    cluster_name: str = ""
    observer_uptime: int = 0


class HeyThere(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """All five keys are always there; `signature` is a leftover of nara's and stays empty."""

    from_: str = msgspec.field(name="From")
    public_key: str
    mesh_ip: str = msgspec.field(name="MeshIP")
    id: str = msgspec.field(name="ID")
    signature: str = ""


class Chau(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    from_: str = msgspec.field(name="From")
    public_key: str
    id: str = msgspec.field(name="ID")
    signature: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    observer: str = ""
    observer_id: str = ""
    subject: str = ""
    subject_id: str = ""
    via: str


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a checkpoint's voters agree on; seconds."""

    restarts: int = 0
    total_uptime: int = 0
    start_time: int = 0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`as_of_time` in Unix seconds; a signature for each voter id, in the same order."""

    version: int
    subject: str
    subject_id: str
    previous_checkpoint_id: str = ""
    observation: Tally
    as_of_time: int
    round: int
    voter_ids: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


Payload: TypeAlias = Social | Ping | Observation | HeyThere | Chau | Seen | Checkpoint


class MadeEvent(NamedTuple):
    id: str
    body: bytes


def make_event(payload: Payload, ts_ns: int, signer: Identity | None) -> MadeEvent:
    """The event at that Unix time in nanoseconds, signed by `signer` if there is one (nara leaves
    observations and the envelopes of checkpoints unsigned)."""
    service = service_of(payload)
    content = content_of(payload)
    event_id = id_of(ts_ns, service, content)
    if signer is None:
        return MadeEvent(event_id, _encode(event_id, ts_ns, service, "", "", payload))
    digest = signable_digest(event_id, ts_ns, service, signer.name, content)
    signature = base64.b64encode(signer.sign(digest)).decode("ascii")
    body = _encode(event_id, ts_ns, service, signer.name, signature, payload)
    return MadeEvent(event_id, body)


def service_of(payload: Payload) -> Service:
    return _SERVICES[type(payload)]


def content_of(payload: Payload) -> str:
    """nara's content string: what ids and signatures cover. Nothing in it is escaped."""
    match payload:
        case Social(type=kind, actor=actor, target=target, reason=reason, witness=witness):
            return f"{kind}:{actor}:{target}:{reason}:{witness}"
        case Ping(observer=observer, target=target, rtt=rtt):
            return f"{observer}:{target}:{rtt:.1f}"
        case Observation(subject=subject, type="restart", restart_num=num, start_time=start):
            return f"{subject}:restart:{num}:{start}"
        case Observation(observer=observer, subject=subject, type=kind) as seen:
            state = seen.online_state
            return f"{observer}:{subject}:{kind}:{state}:{seen.start_time}:{seen.restart_num}"
        case HeyThere(from_=name, public_key=key, mesh_ip=address):
            return f"hey_there:{name}:{key}:{address}"
        case Chau(from_=name, public_key=key):
            return f"chau:{name}:{key}"
        case Seen(observer=observer, subject=subject, via=via):
            return f"seen:{observer}:{subject}:{via}"
        case Checkpoint():
            return _checkpoint_content(payload)
        case _:
            assert_never(payload)


def _checkpoint_content(checkpoint: Checkpoint) -> str:
    tally = checkpoint.observation
    fields = (
        f"{checkpoint.subject_id or checkpoint.subject}:{checkpoint.as_of_time}"
        f":{tally.start_time}:{tally.restarts}:{tally.total_uptime}"
    )
    if checkpoint.version < 2:
        return f"checkpoint:{fields}"
    return f"checkpoint:v2:{fields}:{checkpoint.previous_checkpoint_id}"


def id_of(ts_ns: int, service: Service, content: str) -> str:
    """32 lower-case hex digits."""
    return hashlib.sha256(f"{ts_ns}:{service.wire_name}:{content}".encode()).hexdigest()[:32]


def signable_digest(
    event_id: str, ts_ns: int, service: Service, emitter: str, content: str
) -> bytes:
    """The 32 bytes that the emitter signs."""
    signed = f"{event_id}:{ts_ns}:{service.wire_name}:{emitter}:{content}"
    return hashlib.sha256(signed.encode()).digest()


def attestation_of(checkpoint: Checkpoint, voter_id: str) -> bytes:
    """What this voter signs for the checkpoint, as it is: without a hash."""
    tally = checkpoint.observation
    version = max(1, checkpoint.version)
    text = (
        f"attestation:v{version}:{voter_id}:{checkpoint.subject_id}:{checkpoint.as_of_time}"
        f":{tally.restarts}:{tally.total_uptime}:{tally.start_time}"
    )
    return (text if version < 2 else f"{text}:{checkpoint.previous_checkpoint_id}").encode()


def with_voters(checkpoint: Checkpoint, voters: Sequence[Identity]) -> Checkpoint:
    """The checkpoint with these voters' ids and signatures."""
    signatures = (voter.sign(attestation_of(checkpoint, voter.id)) for voter in voters)
    return msgspec.structs.replace(
        checkpoint,
        voter_ids=tuple(voter.id for voter in voters),
        signatures=tuple(base64.b64encode(one).decode("ascii") for one in signatures),
    )


# -- JSON as Go writes it ----------------------------------------------------------------------


class _PingJson(msgspec.Struct, frozen=True):
    observer: str
    target: str
    rtt: msgspec.Raw


class _EventJson(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    ts: int
    svc: str
    emitter: str = ""
    sig: str = ""
    social: Social | None = None
    ping: _PingJson | None = None
    observation: Observation | None = None
    hey_there: HeyThere | None = None
    chau: Chau | None = None
    seen: Seen | None = None
    checkpoint: Checkpoint | None = None


_SERVICES: dict[type[Payload], Service] = {
    Social: Service.SOCIAL,
    Ping: Service.PING,
    Observation: Service.OBSERVATION,
    HeyThere: Service.HEY_THERE,
    Chau: Service.CHAU,
    Seen: Service.SEEN,
    Checkpoint: Service.CHECKPOINT,
}
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_encoder = msgspec.json.Encoder()


def _encode(
    event_id: str, ts_ns: int, service: Service, emitter: str, signature: str, payload: Payload
) -> bytes:
    event = _EventJson(id=event_id, ts=ts_ns, svc=service.wire_name, emitter=emitter, sig=signature)
    match payload:
        case Social():
            event.social = payload
        case Seen():
            event.seen = payload
        case Observation():
            event.observation = payload
        case Ping(observer=observer, target=target, rtt=rtt):
            event.ping = _PingJson(observer, target, msgspec.Raw(go_float(rtt).encode()))
        case HeyThere():
            event.hey_there = payload
        case Chau():
            event.chau = payload
        case Checkpoint():
            event.checkpoint = payload
        case _:
            assert_never(payload)
    return go_json(event)


def go_json(value: object) -> bytes:
    """As Go writes a struct of these fields, in this order."""
    text = _encoder.encode(value)
    # these characters occur in JSON inside of strings only, so the whole text may be treated
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def go_float(number: float) -> str:
    """A finite float as Go's encoding/json writes it: the shortest digits that give it back, `42`
    for 42.0, an exponent only below 1e-6 and from 1e21 on, and then without a leading zero."""
    digits = Decimal(repr(number))
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        text = f"{digits:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, figures, _ = digits.normalize().as_tuple()
    mantissa = str(figures[0]) + ("." + "".join(map(str, figures[1:])) if figures[1:] else "")
    exponent = digits.adjusted()
    return f"{'-' if sign else ''}{mantissa}e{exponent:+d}"
