"""A device's queue, from a batch to its answer.

Each event is settled by itself: stored, known already, or refused, and a refused one stands in
nobody's way. What is answered is durable. A batch that is sent again, whole or in part, comes to
the same, since the id of every event follows from the device and its own uuid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import assert_never

import trio
from msgspec.structs import replace

from postbox.clients.events.incoming import (
    AddMember,
    CreateConversation,
    Incoming,
    RemoveMember,
    SendMessage,
    SetDisplayName,
    SetPicture,
)
from postbox.clients.events.wire import read_event
from postbox.clients.identity.callers import Caller
from postbox.clients.rules.draft import ClientDraft, device_ref, draft_of
from postbox.clients.rules.refusals import QUEUE_HOLE, SUPERSEDED
from postbox.clients.rules.rules import ClientRules
from postbox.clients.serving import answers
from postbox.clients.serving.current import Current
from postbox.clients.serving.replies import QueueHole
from postbox.clients.tables import ACCOUNT, QUEUE, account_of
from postbox.clients.wire import Batch
from postbox.errors import DraftFault
from postbox.log.admission import Admission
from postbox.logs import get, limited
from postbox.metrics import Metrics, Settled
from postbox.rules import Accepted, Duplicate, Outcome, Reason, Rejected
from postbox.store.runner import StoreRunner
from postbox.world import Clock

FAULT = "FAULT"

_OUR_FAULT = Reason(FAULT, "this host failed at it; its log says why")
_log = limited(get("postbox.clients.server"), "events")


MAX_CURRENT_BYTES = 2 * 2**20
"""Of what an answer tells those that came too late: many libraries take 4 MiB, and JSON makes a
third more of it. Beyond them it is on the stream alone."""

READ_AT_ONCE = 2**16
"""Bytes of events, before others may run: of ones that are all tiny fields a tenth of a second."""


async def read_all(batch: Batch, user: bytes) -> list[Incoming]:
    events, left = [], READ_AT_ONCE
    for body in batch.events:
        events.append(read_event(body, user))
        left -= len(body)
        if left < 0:
            await trio.lowlevel.checkpoint()
            left = READ_AT_ONCE
    return events


class Submissions:
    def __init__(
        self,
        clock: Clock,
        store: StoreRunner,
        admission: Admission,
        rules: ClientRules,
        current: Current,
        metrics: Metrics,
    ) -> None:
        self._clock = clock
        self._store = store
        self._admission = admission
        self._rules = rules
        self._current = current
        self._metrics = metrics

    async def cost(self, caller: Caller, events: Sequence[Incoming]) -> int:
        """In events, by what they write: who lets another in or out writes for that user, too, and
        who changes its profile for each conversation that it is in."""
        cost = len(events) + sum(map(_others, events))
        changes = sum(isinstance(event.content, SetDisplayName | SetPicture) for event in events)
        if not changes:
            return cost
        key = (caller.user_id,)
        rows = await self._store.read(lambda reader: reader.rows(ACCOUNT, [key]))
        row = rows[key]
        return cost + (0 if row is None else changes * len(account_of(row).conversations))

    async def take(self, caller: Caller, events: Sequence[Incoming], first_number: int) -> bytes:
        """A SubmitEventOutput. `first_number`: of the device's queue; 0: it does not count. Raises
        QueueHole, and as admission does."""
        drafts = list(_drafts(caller, events, first_number))
        outcomes = await self._decided(drafts)
        if any(_is_hole(outcome) for outcome in outcomes):
            raise QueueHole(await self._next_number(caller))
        for settled, count in Counter(map(_settled, outcomes)).items():
            self._metrics.client_events(settled, count)
        currents = await self._currents(caller, drafts, outcomes)
        told = [
            _answer(draft, outcome, currents.get(at))
            for at, (draft, outcome) in enumerate(zip(drafts, outcomes, strict=True))
        ]
        if len(told) < len(events):
            told = list(_with_transitory(events, iter(told)))
        next_number = first_number and first_number + len(drafts)
        if not events or (first_number and not all(map(_is_new, outcomes))):
            next_number = await self._next_number(caller)  # perhaps far behind an old batch
        return answers.output(told, next_number, self._clock.now_ns() // 1_000_000)

    async def _decided(self, drafts: list[ClientDraft]) -> list[Outcome]:
        """An event that our rules fail at is refused, since else it would be sent for ever. Then
        all are submitted again: those behind it had a hole before them."""
        while True:
            try:
                return await self._admission.submit(self._rules, drafts)
            except DraftFault as fault:
                _log.exception("the rules failed at an event, which is refused")
                for at in fault.failures:
                    if drafts[at].incoming.content is _OUR_FAULT:
                        raise  # they fail at refusing it, too
                    drafts[at] = _refused(drafts[at])

    async def _currents(
        self, caller: Caller, drafts: Sequence[ClientDraft], outcomes: Sequence[Outcome]
    ) -> dict[int, bytes]:
        """What those did not know of that came too late, by their places."""
        found: dict[int, bytes] = {}
        left = MAX_CURRENT_BYTES
        for at, outcome in enumerate(outcomes):
            if left > 0 and isinstance(outcome, Rejected) and outcome.reason.code == SUPERSEDED:
                current = await self._current.of(caller, drafts[at].incoming)
                if current is not None:
                    found[at] = current
                    left -= len(current)
        return found

    async def _next_number(self, caller: Caller) -> int:
        key = (caller.device_id,)
        rows = await self._store.read(lambda reader: reader.rows(QUEUE, [key]))
        match rows[key]:
            case (_, int(number)):
                return number
            case _:
                return 1


def _answer(draft: ClientDraft, outcome: Outcome, current: bytes | None) -> bytes:
    incoming = draft.incoming
    match outcome:
        case Rejected(reason):
            return answers.refused(incoming.client_uuid, reason, current)
        case _:
            return answers.taken(
                draft.id,
                incoming.client_uuid,
                is_message=isinstance(incoming.content, SendMessage),
                is_duplicate=isinstance(outcome, Duplicate),
            )


def _others(event: Incoming) -> int:
    """Users whom it lets in or out."""
    match event.content:
        case CreateConversation(members=members):
            return len(members)
        case AddMember() | RemoveMember():
            return 1
        case _:
            return 0


def _drafts(caller: Caller, events: Sequence[Incoming], first_number: int) -> Iterator[ClientDraft]:
    """Of those that are stored: a transitory one has no place in the queue."""
    device = device_ref(caller.user_id, caller.user, caller.device_id)
    number = first_number
    for incoming in events:
        if not incoming.is_transitory:
            yield draft_of(device, incoming, number or None)
            number += 1 if number else 0


def _with_transitory(events: Sequence[Incoming], told: Iterator[bytes]) -> Iterator[bytes]:
    for incoming in events:
        if not incoming.is_transitory:
            yield next(told)
        elif isinstance(incoming.content, Reason):
            yield answers.refused(incoming.client_uuid, incoming.content)
        else:
            yield answers.passed_on(incoming.client_uuid)


def _refused(draft: ClientDraft) -> ClientDraft:
    return replace(draft, incoming=replace(draft.incoming, content=_OUR_FAULT))


def _settled(outcome: Outcome) -> Settled:
    match outcome:
        case Accepted():
            return "stored"
        case Duplicate():
            return "duplicate"
        case Rejected():
            return "refused"
        case _ as never:
            assert_never(never)


def _is_new(outcome: Outcome) -> bool:
    return isinstance(outcome, Accepted)


def _is_hole(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.reason.code == QUEUE_HOLE
