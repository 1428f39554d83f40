"""The conformance vectors of clients (tests/data/conformance/clients), run against the library:
what an implementation in another language runs against itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postbox.client.core.apply import Lost, Reader, page_changes
from postbox.client.core.changes import Place
from postbox.client.core.inputs import Heard, Input
from postbox.client.core.machine import Machine
from postbox.rpc.postbox.v1 import clients_pb as pb

VECTORS = Path(__file__).parents[2] / "data" / "conformance" / "clients"


def cases(name: str) -> list[Any]:
    whole = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in whole["cases"]]


def plain(value: object) -> Any:
    """As in a vector: bytes are base64."""
    return json.loads(msgspec.json.encode(value))


@pytest.mark.parametrize("case", cases("machine"))
def test_the_machine(case: Any) -> None:
    machine = Machine(lambda: float(case["fraction"]))
    for number, step in enumerate(case["steps"]):
        actions = machine.handle(msgspec.convert(step["input"], Input))
        assert plain(actions) == step["actions"], f"step {number}: {step['input']}"


@pytest.mark.parametrize("case", cases("stream"))
def test_the_stream(case: Any) -> None:
    reader = Reader(case["user"], msgspec.convert(case["place"], Place), case["heads"])
    for number, step in enumerate(case["frames"]):
        frame = frame_of(step["frame"])
        if step.get("lost"):
            with pytest.raises(Lost):
                reader.take(frame)
            continue
        taken = reader.take(frame)
        assert plain(taken.changes) == step["changes"], f"frame {number}"
        assert plain(taken.place) == step["place"]
        assert plain(taken.passing) == step.get("passing", [])
        heard = msgspec.convert({**step.get("heard", {}), "place": step["place"]}, Heard)
        assert taken.heard == heard or "heard" not in step


def frame_of(given: Any) -> bytes:
    if "binary" in given:
        return base64.b64decode(given["binary"])
    return pb.Event.from_json(json.dumps(given)).to_binary()


@pytest.mark.parametrize("case", cases("history"))
def test_a_page_of_history(case: Any) -> None:
    page = pb.HistoryPage.from_json(json.dumps(case["page"])).to_binary()
    assert plain(page_changes(page)) == case["changes"]
