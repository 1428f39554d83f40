"""What several devices of a few users send, drawn at random: most of it means something.

Each is done at once on a host of dicts, and held against the reference; what was sent, and what it
came to, is kept for who wants to send the same to a host with a log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from postbox.clients.events.incoming import (
    AddMember,
    Content,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    React,
    Read,
    RemoveMember,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    SetPicture,
    Unreact,
)
from postbox.clients.ids import user_id
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.tables import Role
from postbox.rules import Outcome
from support.client_reference import Event, Reference
from support.client_rules import Device, House, code, uuid
from support.simulate import SeededRandom

T = TypeVar("T")

BUSY = 20  # conversations that are made later are left alone, so that enough happens in some

USERS = ("ann", "bob", "cid")
DEVICES = (("ann", "phone"), ("ann", "tablet"), ("bob", "phone"), ("cid", "phone"))


@dataclass(frozen=True)
class Sent:
    device: int
    kind: type[Content]
    conversation: int  # of those that there are then, by the remainder
    target: int
    based_on: int
    is_again: bool  # under the local uuid of an earlier one of its kind
    by_local: bool  # names what it refers to by local uuids, whosever they are
    text: str
    user: bytes
    role: Role


KINDS: tuple[type[Content], ...] = (
    CreateConversation,
    SendMessage,
    SendMessage,
    SendMessage,
    EditMessage,
    EditMessage,
    EditMessage,
    DeleteMessage,
    React,
    React,
    Unreact,
    Unreact,
    Read,
    Read,
    AddMember,
    AddMember,
    AddMember,
    RemoveMember,
    RenameConversation,
    SetDisplayName,
    SetPicture,
)


def sent_by(random: SeededRandom) -> Sent:
    def one_of(several: Sequence[T]) -> T:
        return several[int(random.fraction() * len(several))]

    return Sent(
        device=one_of(range(len(DEVICES))),
        kind=one_of(KINDS),
        conversation=one_of(range(2**16)),
        target=one_of(range(2**16)),
        based_on=one_of(range(2**16)),
        is_again=random.fraction() < 0.1,
        by_local=random.fraction() < 0.2,
        text=one_of(["", "a", "b"]),
        user=user_id(one_of([*USERS, *USERS, *USERS, "never signed in"])),
        role=one_of(list(Role)),
    )


@dataclass(frozen=True, eq=False)
class Made:
    """An event that was sent before."""

    device: Device
    local: int
    kind: type[Content]

    def named(self, by_local: bool) -> bytes:
        return uuid(self.local) if by_local else self.device.id(self.local)


class Sending:
    """What there is to refer to: all that was sent, and what never was."""

    def __init__(self, house: House) -> None:
        self.devices = [house.device(*each) for each in DEVICES]
        self.reference = Reference([user_id(name) for name in USERS])
        self.sent: list[tuple[ClientDraft, Outcome]] = []
        self._made = [Made(self.devices[0], 404, SendMessage)]
        self._conversations = list(self._made)
        self._messages = list(self._made)

    def send(self, each: Sent) -> None:
        device, made = self.devices[each.device], self._made
        again = [one for one in made if one.device is device and one.kind is each.kind]
        local = again[each.target % len(again)].local if each.is_again and again else len(made)
        conversation = self._pick(self._conversations, each.conversation, each.by_local)
        target = self._pick(self._messages, each.target, each.by_local)
        based_on = None
        if each.based_on % 3 == 0:
            based_on = self._pick(made[-8:], each.based_on, each.by_local)
        content = content_of(each, target)
        draft = device.draft(local, content, conversation, based_on=based_on)
        outcome = device.house.submit(device.house.rules, draft)
        self.sent.append((draft, outcome))
        event = Event(device.id(local), device.user, device.ref.id, conversation, based_on)
        assert code(outcome) == self.reference.do(event, content), (each, outcome)
        made.append(Made(device, local, each.kind))
        if code(outcome) == "stored" and each.kind is CreateConversation and len(made) < BUSY:
            self._conversations.append(made[-1])
        if code(outcome) == "stored" and each.kind in (SendMessage, RenameConversation):
            self._messages = [*self._messages[-6:], made[-1]]

    def _pick(self, there: list[Made], number: int, by_local: bool) -> bytes:
        return there[-1 - number % len(there)].named(by_local)


def picture(text: str) -> SetPicture:
    png = text.encode()
    return SetPicture(hashlib.sha256(png).digest() if png else b"", png)


def content_of(each: Sent, target: bytes) -> Content:
    text, user, role = each.text, each.user, each.role
    made: dict[type[Content], Content] = {
        CreateConversation: CreateConversation(text, (user,) if text else ()),
        SendMessage: SendMessage(text, None if text else target),
        EditMessage: EditMessage(target, text, None),
        DeleteMessage: DeleteMessage(target),
        React: React(target, text + "+"),
        Unreact: Unreact(target, text + "+"),
        Read: Read(target),
        AddMember: AddMember(user, role, history=False),
        RemoveMember: RemoveMember(user),
        RenameConversation: RenameConversation(text),
        SetDisplayName: SetDisplayName(text),
        SetPicture: picture(text),
    }
    return made[each.kind]


def said(device: int, kind: type[Content], text: str = "a", user: str = "bob") -> Sent:
    return Sent(device, kind, 0, 0, 1, False, False, text, user_id(user), Role.MEMBER)


FIRST = (
    said(0, CreateConversation),
    said(0, AddMember, user="cid"),
    said(0, SendMessage),
    said(2, SendMessage),
    said(2, SendMessage),
    said(2, CreateConversation, user="ann"),
    said(0, SendMessage),
)


def sent_by_seed(house: House, seed: int, count: int) -> Sending:
    """After a beginning in which the three have a conversation."""
    random, sending = SeededRandom(seed), Sending(house)
    for each in FIRST:
        sending.send(each)
    for _ in range(count):
        sending.send(sent_by(random))
    return sending
