"""What becomes of an event that a device sends: the frame around the rules of each family.

An event that is stored is a duplicate, one that was refused is refused alike, one that left no
entry is accepted again. So a device may send its whole queue as often as it likes. The number by
which it counts its queue moves with each event that is settled, refusals included, in the commit
that settles it; nothing behind a hole in it is looked at, so that nothing overtakes what was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import assert_never

from msgspec import Struct

from postbox.clients.events.incoming import (
    AddMember,
    AnswerInvite,
    CreateConversation,
    DeleteMessage,
    Delivered,
    EditMessage,
    Foreign,
    React,
    Read,
    RemoveMember,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    SetPicture,
    Typing,
    Unreact,
)
from postbox.clients.rules import (
    answers,
    conversations,
    members,
    messages,
    profiles,
    reactions,
    watermarks,
)
from postbox.clients.rules.answers import Neighbour
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.rules.refusals import QUEUE_HOLE, key_of, refuse, remember, remembered
from postbox.clients.rules.tombs import buried, needs_of_tomb
from postbox.clients.tables import QUEUE, TABLES
from postbox.rules import Decision, Duplicate, EntryKey, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Found, Lane, Table

FIRST_NUMBER = 1


class ClientRules(Struct, frozen=True):
    neighbour: Neighbour | None = None
    """Who has the invites. None: nobody has any."""

    lane = Lane.CLIENTS

    @property
    def tables(self) -> tuple[Table, ...]:
        return TABLES if self.neighbour is None else TABLES + self.neighbour.tables

    def needs(self, draft: ClientDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        frame = (RowKey(QUEUE, (draft.device.id,)), key_of(draft), *needs_of_tomb(draft))
        return chain(frame, self._needs_of_content(draft, state))

    def decide(self, draft: ClientDraft, state: State, at_ms: int) -> Decision:
        number, awaited = draft.queue_number, FIRST_NUMBER
        if number is not None:
            awaited = next_number(draft.device.id, state)
            if number > awaited:
                return refuse(_hole(number, awaited))
        decision = self._settle(draft, state, at_ms)
        if number != awaited:
            return decision
        return _with(decision, Put(QUEUE, (draft.device.id, awaited + 1)))

    def replaces(self, draft: ClientDraft, stored: Found) -> bool:
        """Never; but it may be what the queue waits for, as after the restore of a backup."""
        return draft.queue_number is not None

    def _settle(self, draft: ClientDraft, state: State, at_ms: int) -> Decision:
        if draft.queue_number is not None:
            stored = state.entry(Lane.CLIENTS, draft.id)
            if stored is not None:
                return Decision(same_as=Duplicate(stored.pos, stored.seq))
        reason = remembered(draft, state)
        if reason is not None:
            return refuse(reason)
        decision = buried(draft, state) or self._judge(draft, state, at_ms)
        if decision.refuse is None or draft.is_hosts:
            return decision
        return _with(decision, remember(draft, decision.refuse, state))

    def _needs_of_content(
        self, draft: ClientDraft, state: State
    ) -> Iterable[RowKey | EntryKey | StreamKey]:
        match draft.incoming.content:
            case SendMessage() | EditMessage() | DeleteMessage() | Foreign() as content:
                return messages.needs(draft, content, state)
            case Read() | Delivered() as content:
                return watermarks.needs(draft, content, state)
            case React() | Unreact() as content:
                return reactions.needs(draft, content, state)
            case CreateConversation() | RenameConversation() as content:
                return conversations.needs(draft, content, state)
            case AddMember() | RemoveMember() as content:
                return members.needs(draft, content, state)
            case SetDisplayName() | SetPicture() as content:
                return profiles.needs(draft, content, state)
            case AnswerInvite() as content:
                return answers.needs(draft, content, state, self.neighbour)
            case Typing() | Reason():
                return ()
            case _ as never:
                assert_never(never)

    def _judge(self, draft: ClientDraft, state: State, at_ms: int) -> Decision:
        match draft.incoming.content:
            case SendMessage() | EditMessage() | DeleteMessage() | Foreign() as content:
                return messages.decide(draft, content, state, at_ms)
            case Read() | Delivered() as content:
                return watermarks.decide(draft, content, state, at_ms)
            case React() | Unreact() as content:
                return reactions.decide(draft, content, state, at_ms)
            case CreateConversation() | RenameConversation() as content:
                return conversations.decide(draft, content, state, at_ms)
            case AddMember() | RemoveMember() as content:
                return members.decide(draft, content, state, at_ms)
            case SetDisplayName() | SetPicture() as content:
                return profiles.decide(draft, content, state, at_ms)
            case AnswerInvite() as content:
                return answers.decide(draft, content, state, at_ms, self.neighbour)
            case Reason() as reason:
                return refuse(reason)
            case Typing():
                raise ValueError("what is transitory is not stored, and has no rules")
            case _ as never:
                assert_never(never)


def next_number(device: bytes, state: State) -> int:
    row = state[QUEUE, (device,)]
    return FIRST_NUMBER if row is None else int(row[1] or 0)


def _hole(number: int, awaited: int) -> Reason:
    text = (
        f"the event has number {number} in the device's queue, and number {awaited} is awaited:"
        f" send the queue from its oldest event on, numbered from {awaited}"
    )
    return Reason(QUEUE_HOLE, text)


def _with(decision: Decision, put: Put) -> Decision:
    return Decision(
        decision.entries,
        (*decision.puts, put),
        decision.drops,
        decision.removes,
        decision.blanks,
        decision.refuse,
        decision.same_as,
    )
