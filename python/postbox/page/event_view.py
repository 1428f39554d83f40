"""What the page says of one event: when, by whom, and what its signature is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from postbox.admin.recent import Brief, Judged
from postbox.admin.words import printable, span


class BriefView(NamedTuple):
    """`at`, as a machine reads it; `ago`, as people do."""

    brief: Brief
    at: str
    ago: str


class EventView(NamedTuple):
    """`verdict`: of the signature, in words; `is_sound`: it is as good as its standing says; `raw`:
    its lines."""

    brief: Brief
    at: str
    verdict: str
    is_sound: bool
    raw: Sequence[str]


def brief_view(brief: Brief, now_ms: int) -> BriefView:
    passed = f"{span((now_ms - brief.at_ms) / 1e3)} ago"
    return BriefView(brief, _at(brief.at_ms), passed)


def event_view(judged: Judged) -> EventView:
    lines = msgspec.json.format(judged.raw, indent=2).decode().split("\n")
    raw = [_escaped(line) for line in lines]
    is_sound = judged.verdict == "ok"
    return EventView(judged.brief, _at(judged.brief.at_ms), _verdict(judged), is_sound, raw)


def _verdict(judged: Judged) -> str:
    if judged.verdict != "ok":
        return f"it would be refused now: {judged.verdict}. postbox verify looks at all of them"
    signer = printable(judged.signer)
    match judged.brief.standing:
        case "attested" if signer:
            return f"the signature verifies: {signer} wrote it"
        case "attested":
            return "the votes in it verify"
        case "unproven":
            return "signed, and not proved: its signer's key is not known here, or it is another's"
        case "hearsay":
            return "not signed: nobody answers for it"
        case other:
            raise AssertionError(other)


def _at(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1e3, UTC):%FT%TZ}"


def _escaped(line: str) -> str:
    """The same JSON, and nothing of it unseen."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
