"""Whose signatures a node believes, by its operator's word: each change is a draft."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.event import is_name
from postbox.rules import Outcome, Rejected
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.waiting_rules import AnswerDraft, WaitingRules, admit_draft, refuse_draft


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: 32 bytes; `id`: what the name votes under in checkpoints."""

    name: str
    key: bytes
    id: str | None


class Believe(Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[Key]


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a name that waits: its key is believed, or it waits no more."""

    name: str
    admits: bool


class Believed(Struct, frozen=True):
    """`refused`: why some of it was, in words that have the name."""

    refused: list[str]


class Known(Struct, frozen=True):
    name: str
    public_key: bytes
    id: str | None
    source: str
    old_keys: int


class Waits(Struct, frozen=True):
    """Introduced itself from `address`, and waits since then."""

    name: str
    public_key: bytes
    id: str | None
    address: str
    since: datetime


class Directory(Struct, frozen=True):
    """The fields of `trust list --json`: `keys` by name, `waiting` the oldest first."""

    keys: list[Known]
    waiting: list[Waits]


async def _believe(desk: Desk, request: Believe, tell: Tell) -> Believed:
    """Events that can be checked now are, before this returns."""
    node = desk.node
    drafts = []
    refused = []
    for key in request.keys:
        try:
            drafts.append(operator_draft(node.world.new_id(), key.name, key.key, key.id))
        except ValueError as error:
            refused.append(f"{key.name}: {error}")
    outcomes = await node.admission.submit(KeyRules(), drafts)
    await node.settle()
    return Believed(refused + _refused([draft.name for draft in drafts], outcomes))


async def _answer(desk: Desk, request: Answer, tell: Tell) -> Believed:
    node = desk.node
    if not is_name(request.name):
        return Believed([f"{request.name!r} cannot be a name"])
    make = admit_draft if request.admits else refuse_draft
    draft: AnswerDraft = make(node.world.new_id(), request.name)
    outcomes = await node.admission.submit(WaitingRules(), [draft])
    await node.settle()
    return Believed([one.reason.text for one in outcomes if isinstance(one, Rejected)])


def _refused(names: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    return [
        text if text.startswith(f"{name} ") else f"{name}: {text}"
        for name, outcome in zip(names, outcomes, strict=True)
        if isinstance(outcome, Rejected) and (text := outcome.reason.text)
    ]


async def _list(desk: Desk, _: Nothing, tell: Tell) -> Directory:
    known = [
        Known(row.name, row.key, row.id, str(row.source), len(row.old))
        for row in desk.node.directory.all()
    ]
    waiting = [
        Waits(row.name, row.key, row.id, row.address, datetime.fromtimestamp(row.at_ms / 1e3, UTC))
        for row in desk.node.waiting.all()
    ]
    return Directory(known, waiting)


BELIEVE = Command("believe", Believe, Believed, _believe)
ANSWER = Command("answer", Answer, Believed, _answer)
LIST_KEYS = Command("list-keys", Nothing, Directory, _list)
