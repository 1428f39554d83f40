"""A user's answer to an invite, which another door of the node has: one decision of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from postbox.clients.events import bodies
from postbox.clients.events.incoming import AnswerInvite
from postbox.clients.events.kinds import Kind
from postbox.clients.rules.draft import ClientDraft, entry_of_user
from postbox.clients.rules.refusals import UNKNOWN_TARGET, refuse
from postbox.rules import Decision, EntryKey, Reason, RowKey, State, StreamKey
from postbox.store.contract import Table

NO_INVITE = Reason(UNKNOWN_TARGET, "you have no such invite: it was taken back, or never came")


class Neighbour(Protocol):
    """Pure, as rules are. `user`: by the name that it signs in with here."""

    @property
    def tables(self) -> tuple[Table, ...]: ...

    def needs_of_answer(
        self, user: str, answer: AnswerInvite, state: State
    ) -> Iterable[RowKey | EntryKey | StreamKey]: ...

    def answered(
        self, user: str, event: bytes, answer: AnswerInvite, state: State, at_ms: int
    ) -> Decision:
        """What comes of it there; `event`: the id of the user's event, from which ids may be
        derived. Refuses with a code of this door's: then the answer is refused."""
        ...


def needs(
    draft: ClientDraft, content: AnswerInvite, state: State, neighbour: Neighbour | None
) -> Iterable[RowKey | EntryKey | StreamKey]:
    if neighbour is None:
        return ()
    return neighbour.needs_of_answer(draft.device.user_name, content, state)


def decide(
    draft: ClientDraft,
    content: AnswerInvite,
    state: State,
    at_ms: int,
    neighbour: Neighbour | None,
) -> Decision:
    """The user's other devices are told."""
    if neighbour is None:
        return refuse(NO_INVITE)
    there = neighbour.answered(draft.device.user_name, draft.id, content, state, at_ms)
    if there.refuse is not None:
        return refuse(there.refuse)
    told = bodies.invite_decided(content.host, content.invite, content.is_accepted)
    entry = entry_of_user(draft, Kind.INVITE_DECIDED, told, at_ms)
    return Decision((entry, *there.entries), there.puts, there.drops, there.removes, there.blanks)
