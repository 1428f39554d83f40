"""Stored events as values: what was written is read, whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from postbox.event import Service
from postbox.mesh.reading import (
    Chau,
    Checkpoint,
    HeyThere,
    Observation,
    Ping,
    Seen,
    Social,
    Tally,
    Unread,
    read_event,
)
from support.mesh import NARA, history_lines

VECTORS: list[dict[str, Any]] = json.loads((NARA / "vectors.json").read_text())["events"]


def test_every_event_of_naras_own_is_read() -> None:
    kinds = {type(read_event(json.dumps(one).encode()).payload) for one in VECTORS}
    assert kinds == {Social, Ping, Observation, HeyThere, Chau, Seen, Checkpoint}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["id"][:8])
def test_a_value_says_what_the_json_says(vector: dict[str, Any]) -> None:
    event = read_event(json.dumps(vector).encode())
    payload = vector[vector["svc"].replace("-", "_")]
    assert (event.id, event.ts_ns) == (vector["id"], vector["ts"])
    assert event.emitter == vector.get("emitter", "")
    match event.payload:
        case Ping(observer, target, rtt_ms):
            told: dict[str, Any] = {"observer": observer, "target": target, "rtt": rtt_ms}
        case HeyThere(name, key, mesh_ip, claimed):
            told = {"From": name, "PublicKey": key, "MeshIP": mesh_ip, "ID": claimed}
        case Chau(name, key):
            told = {"From": name, "PublicKey": key}
        case Checkpoint() as checkpoint:
            told = {
                "subject": checkpoint.subject,
                "as_of_time": checkpoint.as_of_time,
                "previous_checkpoint_id": checkpoint.previous_checkpoint_id,
            }
            tally = payload["observation"]
            assert checkpoint.observation == Tally(
                tally.get("restarts", 0), tally.get("total_uptime", 0), tally.get("start_time", 0)
            )
        case other:
            told = {field: getattr(other, field) for field in other.__struct_fields__}
    for key, value in told.items():
        assert payload.get(key, type(value)()) == value, key


def test_a_whole_history_is_read() -> None:
    services = {service.wire_name for service in Service}
    lines = history_lines()[:5_000]
    assert {json.loads(line)["svc"] for line in lines} <= services
    assert len([read_event(line) for line in lines]) == 5_000


def test_null_is_as_good_as_absent() -> None:
    body = (
        b'{"id":"a","ts":1,"svc":"checkpoint","emitter":null,"social":null,"checkpoint":{"subject":'
        b'"bob","subject_id":null,"observation":{"restarts":3,"total_uptime":null},"voter_ids":null'
        b',"as_of_time":7,"mood":{"any":null}}}'
    )
    event = read_event(body)
    assert event.emitter == ""
    assert event.payload == Checkpoint(subject="bob", observation=Tally(restarts=3), as_of_time=7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"id":"a","ts":1,"svc":"ping"}',
        b'{"id":"a","ts":1,"svc":"barrio","barrio":{}}',
        b'{"id":"a","ts":1,"svc":"ping","ping":{"rtt":"fast"}}',
        b'{"id":"a","ts":1,"svc":"ping","ping":[]}',
        b'{"id":"a","ts":1,"svc":"ping","ping":{"rtt":1}',
        b"\xff",
    ],
)
def test_what_is_no_event_says_what_to_do(body: bytes) -> None:
    with pytest.raises(Unread, match="postbox verify"):
        read_event(body)
