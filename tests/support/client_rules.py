"""Users and their devices against the rules of the clients' door, on dicts: no store, no admission.

Every draft goes through `needs` as admission asks them, and may look at nothing that they did not
name. Conversations, messages and events are named by what `Device.do` was told to call them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from postbox.clients.events.incoming import Content, CreateConversation, Incoming
from postbox.clients.ids import device_id, event_id, user_id
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Register
from postbox.clients.rules.draft import ClientDraft, DeviceRef, device_ref, draft_of
from postbox.clients.rules.rules import ClientRules
from postbox.log.plan import MAX_ROUNDS
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import (
    Accepted,
    Decision,
    Draft,
    Duplicate,
    EntryKey,
    Outcome,
    Reason,
    Rejected,
    RowKey,
    Rules,
    StreamKey,
    Unread,
)
from postbox.store.contract import Entry, Found, Key, Lane, Row, Table
from support.model import Model, ModelState

FIRST_LOCAL = 1_000_000  # of what is made before a test begins
AT_MS = 1_700_000_000_000


M = TypeVar("M")


def registration(user: str, name: str) -> DeviceDraft:
    return DeviceDraft(event_id(user.encode(), name.encode()), user, name, Register(0))


class AskedState:
    """Shows what was asked for, and nothing else."""

    def __init__(self, model: Model, own: EntryKey) -> None:
        self._all = ModelState(model)
        self.asked: set[RowKey | EntryKey | StreamKey] = {own}

    def __getitem__(self, key: tuple[Table, Key], /) -> Row | None:
        if RowKey(*key) not in self.asked:
            raise Unread(RowKey(*key))
        return self._all[key]

    def entry(self, lane: Lane, entry_id: bytes, /) -> Found | None:
        if EntryKey(lane, entry_id) not in self.asked:
            raise Unread(EntryKey(lane, entry_id))
        return self._all.entry(lane, entry_id)


@dataclass
class House:
    """A host. `at_ms` is its clock."""

    rules: ClientRules = field(default_factory=ClientRules)
    model: Model = field(default_factory=Model)
    at_ms: int = AT_MS
    decisions: list[Decision] = field(default_factory=list)
    asked: int = 0  # how much the last draft looked at

    def device(self, user: str, name: str = "phone") -> Device:
        self.submit(DeviceRules(), registration(user, name))
        user_key = user_id(user)
        return Device(self, device_ref(user_key, user, device_id(user_key, name)))

    def submit(self, rules: Rules[Any], draft: Draft) -> Outcome:
        """As admission does, one draft at a time."""
        state = AskedState(self.model, EntryKey(rules.lane, draft.id))
        stored = state.entry(rules.lane, draft.id)
        if stored is not None and not rules.replaces(draft, stored):
            return Duplicate(stored.pos, stored.seq)
        _read(rules, draft, state)
        self.asked = len(state.asked)
        decision = rules.decide(draft, state, self.at_ms)
        self.decisions.append(decision)
        self.model.put_and_drop(decision)
        if decision.refuse is not None:
            return Rejected(decision.refuse)
        return decision.same_as or self.model.write(decision, draft.id)

    def entries(self, stream: bytes) -> list[Entry]:
        return [entry for entry in self.model.entries.values() if entry.stream == stream]

    def told(self, event: bytes) -> pb.Event:
        """What is stored under that id."""
        entry = self.found(event)
        assert entry is not None
        assert entry.body is not None, "it was erased"
        return pb.Event.from_binary(entry.body)

    def content(self, event: bytes, kind: type[M]) -> M:
        told = self.told(event).content
        assert told is not None
        assert isinstance(told.value, kind)
        return told.value

    def row(self, table: Table, *key: bytes | str | int) -> Row | None:
        return self.model.rows.get((table.name, key))

    def rows(self, table: Table) -> list[Row]:
        return [row for (name, _), row in self.model.rows.items() if name == table.name]

    def found(self, event: bytes) -> Entry | None:
        return self.model.find(Lane.CLIENTS, event)


def _read(rules: Rules[Any], draft: Draft, state: AskedState) -> None:
    """In as many rounds as admission has: one before anything is read, and those after it."""
    for _ in range(1 + MAX_ROUNDS):
        named: list[RowKey | EntryKey | StreamKey] = []
        try:
            named += rules.needs(draft, state)
        except Unread as early:
            state.asked |= {*named, early.key}
            continue
        state.asked |= set(named)
        return


@dataclass
class Device:
    """Of a user. What it does is called by small integers, which stand for its local uuids."""

    house: House
    ref: DeviceRef

    @property
    def user(self) -> bytes:
        return self.ref.user

    def id(self, local: int) -> bytes:
        """Of the stored event."""
        return event_id(self.ref.id, uuid(local))

    def draft(
        self,
        local: int,
        content: Content | Reason,
        conversation: bytes | None = None,
        *,
        based_on: bytes | None = None,
        number: int | None = None,
    ) -> ClientDraft:
        incoming = Incoming(
            "", uuid(local), content, 100, conversation, based_on, client_ms=AT_MS - 1
        )
        return draft_of(self.ref, incoming, number)

    def do(
        self,
        local: int,
        content: Content | Reason,
        conversation: bytes | None = None,
        *,
        based_on: bytes | None = None,
        number: int | None = None,
    ) -> Outcome:
        draft = self.draft(local, content, conversation, based_on=based_on, number=number)
        return self.house.submit(self.house.rules, draft)


def together(*devices: Device) -> bytes:
    """A conversation of them all, made by the first of them; its id."""
    first, *others = devices
    made = first.do(FIRST_LOCAL, CreateConversation("", tuple(each.user for each in others)))
    assert isinstance(made, Accepted)
    return first.id(FIRST_LOCAL)


def uuid(local: int) -> bytes:
    return local.to_bytes(16, "big")


def code(outcome: Outcome) -> str:
    """Of a refusal; else "stored" or "duplicate"."""
    match outcome:
        case Accepted():
            return "stored"
        case Duplicate():
            return "duplicate"
        case Rejected(reason):
            return reason.code
