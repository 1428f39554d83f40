"""Reactions to messages: a set. Adding what is there, or removing what is not, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from postbox.clients.events import bodies
from postbox.clients.events.incoming import React, Unreact
from postbox.clients.events.kinds import Kind
from postbox.clients.rules.draft import ClientDraft, entry_in
from postbox.clients.rules.messages import changed
from postbox.clients.rules.refusals import DELETED, NO_MESSAGE, QUOTA, refuse
from postbox.clients.rules.targets import Target, needs_of_target, stored, target
from postbox.clients.rules.tombs import same_as
from postbox.clients.tables import (
    CHANGED_MESSAGE,
    MAX_REACTIONS,
    REACTION,
    ChangedMessage,
    Reaction,
    read_row,
    row_of,
)
from postbox.rules import Decision, EntryKey, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane

_FULL = Reason(QUOTA, f"the message has {MAX_REACTIONS:,} reactions, as many as one may have")


def needs(
    draft: ClientDraft, content: React | Unreact, state: State
) -> Iterable[RowKey | EntryKey | StreamKey]:
    found = yield from needs_of_target(draft, content.message, state)
    if found is not None:
        yield RowKey(CHANGED_MESSAGE, (found.id,))
        yield _key(draft, content, found)
        there = _there(draft, content, found, state)
        if there is not None:
            yield EntryKey(Lane.CLIENTS, there.event)


def decide(draft: ClientDraft, content: React | Unreact, state: State, at_ms: int) -> Decision:
    match content:
        case React():
            return _add(draft, content, state, at_ms)
        case Unreact():
            return _remove(draft, content, state, at_ms)
        case _ as never:
            assert_never(never)


def _add(draft: ClientDraft, content: React, state: State, at_ms: int) -> Decision:
    found = target(draft, content.message, state)
    if isinstance(found, Reason):
        return refuse(found)
    if not found.is_message:
        return refuse(NO_MESSAGE)
    there = _there(draft, content, found, state)
    if there is not None:
        return same_as(draft, stored(there.event, state), at_ms)
    before = changed(found.id, state)
    if before.deletion:
        return refuse(DELETED)
    if before.reactions >= MAX_REACTIONS:
        return refuse(_FULL)
    told = bodies.reaction_added(found.id, content.reaction)
    entry = entry_in(draft, found.conversation, Kind.REACTION_ADDED, told, at_ms)
    reaction = Reaction(found.id, draft.device.user, content.reaction, draft.id)
    return Decision((entry,), (Put(REACTION, row_of(reaction)), _counted(before, 1)))


def _remove(draft: ClientDraft, content: Unreact, state: State, at_ms: int) -> Decision:
    found = target(draft, content.message, state)
    if isinstance(found, Reason):
        return refuse(found)
    if _there(draft, content, found, state) is None:
        return same_as(draft, found.found, at_ms)
    told = bodies.reaction_removed(found.id, content.reaction)
    entry = entry_in(draft, found.conversation, Kind.REACTION_REMOVED, told, at_ms)
    fewer = _counted(changed(found.id, state), -1)
    return Decision((entry,), (fewer,), drops=(_key(draft, content, found),))


def _counted(before: ChangedMessage, more: int) -> Put:
    return Put(CHANGED_MESSAGE, row_of(replace(before, reactions=before.reactions + more)))


def _key(draft: ClientDraft, content: React | Unreact, found: Target) -> RowKey:
    return RowKey(REACTION, (found.id, draft.device.user, content.reaction))


def _there(
    draft: ClientDraft, content: React | Unreact, found: Target, state: State
) -> Reaction | None:
    row = state[_key(draft, content, found)]
    return None if row is None else read_row(Reaction, row)
