"""The conformance vectors of clients (tests/data/conformance/clients), run against the library: what
an implementation in another language runs against itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postbox.client.core.inputs import Input
from postbox.client.core.machine import Machine

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
