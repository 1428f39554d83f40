"""The conformance vectors of clients (tests/data/conformance/clients), run against the library:
what an implementation in another language runs against itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from postbox.client.core.acts import Act
from postbox.client.core.apply import Lost, Reader, page_of
from postbox.client.core.changes import Place
from postbox.client.core.forms import NoSuchAct
from postbox.client.core.inputs import Heard, Input
from postbox.client.core.machine import Machine
from postbox.client.core.outgoing import act_of, outgoing
from postbox.client.core.overlay import (
    conversation_made,
    message_made,
    overlaid_conversation,
    overlaid_invite,
    overlaid_members,
    overlaid_message,
    overlaid_profile,
)
from postbox.client.core.settle import NoAnswer, settle
from postbox.client.facts import (
    Conversation,
    Invite,
    Member,
    Message,
    Profile,
    Queued,
    Row,
    Standing,
)
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_vectors import SHAPES, plain, vectors


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in vectors(name)["cases"]]


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
    assert plain(page_of(page).changes) == case["changes"]


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer(case: Any) -> None:
    answer = pb.SubmitEventOutput.from_json(json.dumps(case["answer"])).to_binary()
    if case.get("no_answer"):
        with pytest.raises(NoAnswer):
            settle(case["batch"], answer)
        return
    verdict = settle(case["batch"], answer)
    assert plain(verdict.settlements) == case["settlements"]
    assert (verdict.next_number, verdict.server_ms) == (case["next_number"], case["server_ms"])


ACTS = vectors("acts")


@pytest.mark.parametrize("case", cases("acts"))
def test_what_a_user_does(case: Any) -> None:
    act = msgspec.convert(case["act"], Act)
    if case.get("refused"):
        with pytest.raises(NoSuchAct):
            outgoing(act, ACTS["local"], ACTS["now_ms"])
        return
    made = outgoing(act, ACTS["local"], ACTS["now_ms"])
    assert pb.Event.from_binary(made.body) == pb.Event.from_json(json.dumps(case["event"]))
    for name in ("kind", "conversation", "target"):
        assert getattr(made, name) == case[name]
    assert act_of(made.body) == act


@pytest.mark.parametrize("case", cases("views"))
def test_what_a_user_sees(case: Any) -> None:
    rows = [row_of(number, each) for number, each in enumerate(case["rows"])]
    seen = SEEN[case["view"]](case["base"], rows)
    assert plain(seen) == plain(msgspec.convert(case["seen"], SHAPES[case["view"]]))


ME, MY_NAME = "aaaaaaaa-0000-8000-8000-000000000001", "Ann"
SEEN: dict[str, Callable[[Any, list[Row]], object]] = {
    "made message": lambda _, rows: message_made(rows[0], ME, MY_NAME),
    "message": lambda base, rows: overlaid_message(msgspec.convert(base, Message), rows, ME),
    "made conversation": lambda _, rows: conversation_made(rows[0], ME),
    "conversation": lambda base, rows: overlaid_conversation(
        msgspec.convert(base, Conversation), rows, ME
    ),
    "members": lambda base, rows: overlaid_members(msgspec.convert(base, list[Member]), rows, ME),
    "profile": lambda base, rows: overlaid_profile(msgspec.convert(base, Profile), rows),
    "invite": lambda base, rows: overlaid_invite(msgspec.convert(base, Invite), rows),
}


def row_of(number: int, given: Any) -> Row:
    made = outgoing(msgspec.convert(given["act"], Act), given["local"], given["made_ms"])
    told = {name: given[name] for name in ("uuid", "code", "detail") if name in given}
    queued = Queued(
        number=number,
        local=made.local,
        kind=made.kind,
        conversation=made.conversation,
        target=made.target,
        standing=Standing[given["standing"]],
        made_ms=given["made_ms"],
        **told,
    )
    return Row(queued, made.body, given.get("target_seq", 0))
