"""A nara 0.2.0 where checkpoints are agreed on, over MQTT: written from the facts about its source.
As strict as `support.nara`: what is not written byte by byte as a nara writes it, or signed over
another text, is a complaint. It counts as nara does, the fifth vote ends it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from postbox.trust.keys import Identity
from support.nara import decoded
from support.nara_events import Choked, Event, go, id_of, is_signed, read_event, written

PROPOSE = "nara/checkpoint/propose"
VOTE = "nara/checkpoint/vote"
FINAL = "nara/checkpoint/final"
VOTERS, MIN_SIGNATURES, MOST_SIGNATURES = 5, 2, 10
RESTARTS_OFF, UPTIME_OFF_S, START_OFF_S = 5, 60, 60
COUNTED = ("restarts", "total_uptime", "start_time")

_ATTESTED = (
    ("version", int),
    ("subject", str),
    ("subject_id", str),
    ("observation", dict),
    ("attester", str),
    ("attester_id", str),
    ("last_seen_checkpoint_id", str),
    ("as_of_time", int),
    ("signature", str),
)
PROPOSAL = (*_ATTESTED, ("round", int))
BALLOT = (*_ATTESTED, ("proposal_ts", int), ("round", int), ("approved", bool))


def words_of(said: Event) -> bytes:
    """What the attester signs."""
    seen = said["observation"]
    counts = ":".join(str(seen.get(name, 0)) for name in COUNTED[:2])
    return (
        f"attestation:v2:{said['attester_id']}:{said['subject_id']}:{said['as_of_time']}:{counts}:"
        f"{seen.get('start_time', 0)}:{said.get('last_seen_checkpoint_id', '')}"
    ).encode()


def in_order(said: Event, fields: Iterable[tuple[str, type]]) -> Event:
    """As the struct is written, whose embedded fields come first."""
    written_: Event = {}
    for name, kind in fields:
        value = said.get(name, kind())
        if name == "observation":
            value = {each: value[each] for each in COUNTED if value.get(each)}
        if type(value) is not kind:
            raise Choked(f"{name} cannot be {value!r}")
        if value != "" or name != "last_seen_checkpoint_id":
            written_[name] = value
    return written_


@dataclass
class NaraVoter:
    """`ring`: public keys by id. `knows`: what it would say of a name."""

    who: Identity
    ring: dict[str, bytes]
    knows: Callable[[str], Event]
    last_seen: str = ""
    complaints: list[str] = field(default_factory=list)
    finals: list[Event] = field(default_factory=list)

    # -- what it says -----------------------------------------------------------------------------

    def proposal(self, as_of_s: int, nth: int = 1) -> bytes:
        said = {
            **self._attested(self.who.name, self.who.id, self.knows(self.who.name), as_of_s),
            "round": nth,
        }
        return go(in_order(said, PROPOSAL))

    def vote_on(self, payload: bytes) -> bytes:
        """nara votes on whatever it can read."""
        said = self.read(payload, PROPOSAL)
        own = self.knows(said["subject"])
        approved = _is_close(said["observation"], own)
        seen = said["observation"] if approved else own
        vote = {
            **self._attested(said["subject"], said["subject_id"], seen, said["as_of_time"]),
            "proposal_ts": said["as_of_time"],
            "round": said["round"],
            "approved": approved,
        }
        return go(in_order(vote, BALLOT))

    def final(self, proposal: bytes, votes: Iterable[bytes], at_ns: int) -> bytes:
        """Of the fifth vote, those that agree with the proposal."""
        mine = decoded(proposal)
        agreeing = [self.read(vote, BALLOT) for vote in votes][:VOTERS]
        alike = [one for one in (mine, *agreeing) if _value(one) == _value(mine)]
        assert len(alike) > VOTERS, "the five did not agree"
        of = {
            "version": 2,
            "subject": mine["subject"],
            "subject_id": mine["subject_id"],
            "previous_checkpoint_id": mine.get("last_seen_checkpoint_id", ""),
            "observation": mine["observation"],
            "as_of_time": mine["as_of_time"],
            "round": mine["round"],
            "voter_ids": [one["attester_id"] for one in alike][:MOST_SIGNATURES],
            "signatures": [one["signature"] for one in alike][:MOST_SIGNATURES],
        }
        event: Event = {"id": "", "ts": at_ns, "svc": "checkpoint", "checkpoint": of}
        event["id"] = id_of(event)
        return go(written(event))

    def _attested(self, subject: str, subject_id: str, seen: Event, as_of_s: int) -> Event:
        said: Event = {
            "version": 2,
            "subject": subject,
            "subject_id": subject_id,
            "observation": seen,
            "attester": self.who.name,
            "attester_id": self.who.id,
            "last_seen_checkpoint_id": self.last_seen,
            "as_of_time": as_of_s,
        }
        return {**said, "signature": base64.b64encode(self.who.sign(words_of(said))).decode()}

    # -- what it hears ----------------------------------------------------------------------------

    def read(self, payload: bytes, fields: Iterable[tuple[str, type]]) -> Event:
        """Raises Choked for what it cannot read; complains of what is not as it would write it."""
        said = decoded(payload)
        if payload != go(in_order(said, fields)):
            self.complaints.append(f"not as a nara writes it: {payload!r}")
        key = self.ring.get(said["attester_id"])
        if key is None or not is_signed(key, words_of(said), said["signature"]):
            self.complaints.append(f"not signed by who says it: {payload!r}")
        return said

    def hear_final(self, payload: bytes) -> bool:
        """`VerifySignatureWithCounts`, and the five signatures that a final must have."""
        event = read_event(decoded(payload))
        if payload != go(written(event)):
            self.complaints.append(f"not as a nara writes it: {payload!r}")
        of = event["checkpoint"]
        valid = 0
        for voter, signature in zip(of["voter_ids"], of["signatures"], strict=True):
            previous = of.get("previous_checkpoint_id", "")
            said = {**of, "attester_id": voter, "last_seen_checkpoint_id": previous}
            key = self.ring.get(voter)
            valid += key is not None and is_signed(key, words_of(said), signature)
        is_good = len(of["signatures"]) >= VOTERS and valid >= MIN_SIGNATURES
        if valid < len(of["voter_ids"]):
            self.complaints.append(f"{len(of['voter_ids']) - valid} votes that prove nothing")
        if is_good:
            self.finals.append(event)
            self.last_seen = event["id"]
        return is_good


def _value(said: Event) -> tuple[object, ...]:
    seen = said["observation"]
    counts = tuple(seen.get(name, 0) for name in COUNTED)
    return (*counts, said.get("last_seen_checkpoint_id", ""))


def _is_close(proposed: Event, own: Event) -> bool:
    off = (RESTARTS_OFF, UPTIME_OFF_S, START_OFF_S)
    return all(
        abs(proposed.get(name, 0) - own.get(name, 0)) <= most
        for name, most in zip(COUNTED, off, strict=True)
    )
