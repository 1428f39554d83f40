"""The conformance vectors of clients (tests/data/conformance/clients), run against `sync.js` in a
browser: as `tests/unit/client/test_client_conformance.py` runs them against the Python library.

A page speaks JSON. So frames that a vector has in protobuf are given as a host's JSON spells them,
and what JSON cannot carry (an application's own bytes) is not compared.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser

from postbox.client.core.acts import Act
from postbox.client.core.inputs import Heard
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_vectors import SHAPES, plain, vectors
from support.command import served

RUNNER = Path(__file__).with_name("sync_vectors.js")
FILES = ("machine", "stream", "history", "answers", "acts", "views")
OF_PROTOBUF_ALONE = ("body", "extra")


def cases(name: str) -> list[Any]:
    found = enumerate(vectors(name)["cases"])
    return [pytest.param(number, case, id=case["name"]) for number, case in found]


def for_a_page(name: str) -> list[Any]:
    """The cases of a file as the page is given them."""
    whole = vectors(name)
    if name == "acts":
        its = {key: whole[key] for key in ("local", "now_ms")}
        return [{**case, **its} for case in whole["cases"]]
    for case in whole["cases"]:
        for step in case.get("frames", ()):
            step["frame"] = frame_of(step["frame"])
    return list(whole["cases"])


def frame_of(given: Any) -> Any:
    if "binary" not in given:
        return given
    frame = base64.b64decode(given["binary"])
    try:
        return json.loads(pb.Event.from_binary(frame).to_json())
    except ValueError:
        return frame.decode("latin-1")  # no host's JSON, as it was no host's protobuf


def without_bytes(changes: list[Any]) -> list[Any]:
    return [
        {name: value for name, value in change.items() if name not in OF_PROTOBUF_ALONE}
        for change in changes
    ]


@pytest.fixture(scope="module")
def results(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of all cases, by file: one page runs them at once."""
    source = RUNNER.read_text(encoding="utf-8")
    given = {name: for_a_page(name) for name in FILES}
    with served(tmp_path_factory.mktemp("conformance")) as url:
        page = browser.new_page()
        page.goto(f"{url}/assets/icon.svg")
        asked = {"module": f"{url}/chat/sync.js", "vectors": given}
        found = page.evaluate(source[source.index("async") :], asked)
        page.close()
    return found


@pytest.mark.parametrize(("number", "case"), cases("machine"))
def test_the_machine_in_a_page(results: Any, number: int, case: Any) -> None:
    for at, (actions, step) in enumerate(
        zip(results["machine"][number], case["steps"], strict=True)
    ):
        assert actions == step["actions"], f"step {at}: {step['input']}"


@pytest.mark.parametrize(("number", "case"), cases("stream"))
def test_the_stream_in_a_page(results: Any, number: int, case: Any) -> None:
    for taken, step in zip(results["stream"][number], case["frames"], strict=True):
        assert (taken == "lost") == step.get("lost", False)
        if taken == "lost":
            continue
        assert without_bytes(taken["changes"]) == without_bytes(step["changes"])
        assert taken["place"] == step["place"]
        assert taken["passing"] == step.get("passing", [])
        if "heard" in step:
            heard = msgspec.convert({**step["heard"], "place": step["place"]}, Heard)
            assert msgspec.convert(taken["heard"], Heard) == heard


@pytest.mark.parametrize(("number", "case"), cases("history"))
def test_a_page_of_history_in_a_page(results: Any, number: int, case: Any) -> None:
    assert results["history"][number]["changes"] == case["changes"]


@pytest.mark.parametrize(("number", "case"), cases("answers"))
def test_an_answer_in_a_page(results: Any, number: int, case: Any) -> None:
    verdict = results["answers"][number]
    assert (verdict == "no answer") == case.get("no_answer", False)
    if verdict == "no answer":
        return
    for found, wanted in zip(verdict["settlements"], case["settlements"], strict=True):
        if "current" in wanted:  # in protobuf there, in JSON here
            current = pb.Event.from_binary(base64.b64decode(wanted["current"]))
            assert pb.Event.from_json(json.dumps(found.pop("current") or {})) == current
        assert found == {name: value for name, value in wanted.items() if name != "current"}
    assert (verdict["next_number"], verdict["server_ms"]) == (
        case["next_number"],
        case["server_ms"],
    )


@pytest.mark.parametrize(("number", "case"), cases("acts"))
def test_what_a_user_does_in_a_page(results: Any, number: int, case: Any) -> None:
    made = results["acts"][number]
    assert (made == "refused") == case.get("refused", False)
    if made == "refused":
        return
    event = pb.Event.from_json(json.dumps(case["event"]))
    assert pb.Event.from_json(json.dumps(made["event"])) == event
    for name in ("kind", "conversation", "target"):
        assert made[name] == case[name]
    assert msgspec.convert(made["act"], Act) == msgspec.convert(case["act"], Act)


@pytest.mark.parametrize(("number", "case"), cases("views"))
def test_what_a_user_sees_in_a_page(results: Any, number: int, case: Any) -> None:
    shape = SHAPES[case["view"]]
    found, wanted = (
        msgspec.convert(each, shape) for each in (results["views"][number], case["seen"])
    )
    assert plain(found) == plain(wanted)
