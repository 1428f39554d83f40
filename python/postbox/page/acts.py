"""What the operator may do on the page, if the configuration lets it: the verbs' own commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from postbox.admin.command import Desk
from postbox.admin.letters import SETTLE_LETTERS, SettleLetters
from postbox.admin.local import LocalOperator
from postbox.admin.peers import SENTENCE, Verdict
from postbox.admin.trust import ANSWER, Answer
from postbox.admin.words import events

Form: TypeAlias = Mapping[str, str]


async def act(desk: Desk, name: str, form: Form) -> str:
    """Does it, and says what came of it. Raises faults."""
    return await ACTS[name](LocalOperator(desk), form)


async def _ban(operator: LocalOperator, form: Form) -> str:
    name = form.get("name", "")
    spoken = await operator.call(SENTENCE, Verdict(name, "ban", form.get("why", "")))
    return spoken.refused or f"{name} is banned, until it is forgiven"


async def _forgive(operator: LocalOperator, form: Form) -> str:
    name = form.get("name", "")
    spoken = await operator.call(SENTENCE, Verdict(name, "forgive"))
    return spoken.refused or f"nothing is held against {name} any more"


async def _admit(operator: LocalOperator, form: Form) -> str:
    name = form.get("name", "")
    believed = await operator.call(ANSWER, Answer(name, admits=True))
    return "; ".join(believed.refused) or f"{name} is let in"


async def _refuse(operator: LocalOperator, form: Form) -> str:
    name = form.get("name", "")
    believed = await operator.call(ANSWER, Answer(name, admits=False))
    return "; ".join(believed.refused) or f"{name} waits no more"


async def _retry(operator: LocalOperator, form: Form) -> str:
    host = form.get("host", "")
    settled = await operator.call(SETTLE_LETTERS, SettleLetters(host or None))
    return "; ".join(
        [f"tried again now: what waits, and {events(settled.letters)}", *settled.refused]
    )


ACTS: Final[Mapping[str, Callable[[LocalOperator, Form], Awaitable[str]]]] = MappingProxyType(
    {"ban": _ban, "forgive": _forgive, "admit": _admit, "refuse": _refuse, "retry": _retry}
)
