"""What the rules of the clients' door must come to, said without rows: all is remembered, and what
an event names is looked for everywhere.

It knows nothing of queue numbers, limits and the log's positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

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
from postbox.clients.ids import event_id
from postbox.clients.tables import Role

STORED, SAME = "stored", "duplicate"

Answer: TypeAlias = str


@dataclass
class Said:
    """A message."""

    author: bytes
    text: str
    version: bytes
    reply_to: bytes | None = None
    is_deleted: bool = False


@dataclass
class Talk:
    """A conversation. `log`: its numbered events, in order."""

    name: str
    name_event: bytes
    roles: dict[bytes, Role]
    ever: set[bytes]
    log: list[bytes] = field(default_factory=list)
    said: dict[bytes, Said] = field(default_factory=dict)
    read: dict[bytes, int] = field(default_factory=dict)

    def may_rule(self, user: bytes) -> bool:
        return self.roles[user] is Role.OWNER or Role.OWNER not in self.roles.values()


@dataclass
class Event:
    id: bytes
    user: bytes
    device: bytes
    conversation: bytes | None
    based_on: bytes | None


class Reference:
    def __init__(self, users: list[bytes]) -> None:
        self.talks: dict[bytes, Talk] = {}
        self.names = dict.fromkeys(users, ("", b""))
        self.pictures = dict.fromkeys(users, (b"", b""))
        self.reactions: set[tuple[bytes, bytes, str]] = set()
        self.settled: dict[bytes, Answer] = {}

    def do(self, event: Event, content: Content) -> Answer:
        before = self.settled.get(event.id)
        if before is not None:
            return SAME if before in (STORED, SAME) else before
        answer = self._judge(event, content)
        self.settled[event.id] = answer
        return answer

    def _was_refused(self, event: bytes) -> bool:
        return self.settled.get(event, STORED) not in (STORED, SAME)

    def _judge(self, event: Event, content: Content) -> Answer:
        match content:
            case CreateConversation(name, members):
                return self._create(event, name, members)
            case SetDisplayName(name):
                outdated = self._outdated(event, self.names[event.user][1])
                if not outdated:
                    self.names[event.user] = (name, event.id)
                return outdated or STORED
            case SetPicture(sha256):
                outdated = self._outdated(event, self.pictures[event.user][1])
                if not outdated:
                    self.pictures[event.user] = (sha256, event.id)
                return outdated or STORED
            case EditMessage(message) | DeleteMessage(message) | Read(message):
                return self._of_message(event, content, message)
            case React(message) | Unreact(message):
                return self._of_message(event, content, message)
            case _:
                return self._of_talk(event, content)

    def _create(self, event: Event, name: str, members: tuple[bytes, ...]) -> Answer:
        users = {event.user, *members}
        if not users <= set(self.names):
            return "UNKNOWN_TARGET"
        roles = dict.fromkeys(users, Role.MEMBER) | {event.user: Role.OWNER}
        self.talks[event.id] = Talk(name, event.id, roles, users, [event.id])
        return STORED

    def _outdated(self, event: Event, current: bytes) -> Answer:
        if event.based_on is None:
            return ""
        own = event_id(event.device, event.based_on)
        if current in (event.based_on, own):
            return ""
        return "DEPENDENCY_REFUSED" if self._was_refused(own) else "SUPERSEDED"

    def _of_talk(self, event: Event, content: Content) -> Answer:
        assert event.conversation is not None
        own = event_id(event.device, event.conversation)
        for key in (event.conversation, own):
            talk = self.talks.get(key)
            if talk is not None and event.user in talk.ever:
                return self._in_talk(event, content, talk)
        return "DEPENDENCY_REFUSED" if self._was_refused(own) else "NOT_A_MEMBER"

    def _in_talk(self, event: Event, content: Content, talk: Talk) -> Answer:
        is_in = event.user in talk.roles
        if isinstance(content, RemoveMember) and content.user == event.user and not is_in:
            return SAME
        if not is_in:
            return "NOT_A_MEMBER"
        match content:
            case SendMessage(text, reply_to):
                return self._send(event, talk, text, reply_to)
            case RenameConversation(name):
                outdated = self._outdated(event, talk.name_event)
                if outdated:
                    return outdated
                talk.name, talk.name_event = name, event.id
            case AddMember(user, role):
                answer = self._add(event, talk, user, role)
                if answer != STORED:
                    return answer
            case RemoveMember(user):
                answer = self._remove(event, talk, user)
                if answer != STORED:
                    return answer
            case _:
                raise NotImplementedError(content)
        talk.log.append(event.id)
        return STORED

    def _send(self, event: Event, talk: Talk, text: str, reply_to: bytes | None) -> Answer:
        replied = None
        if reply_to is not None:
            found = self._numbered(event, reply_to)
            if isinstance(found, str):
                return found
            where, replied = found
            if where is not talk or replied not in talk.said:
                return "UNKNOWN_TARGET"
        talk.said[event.id] = Said(event.user, text, event.id, replied)
        talk.log.append(event.id)
        return STORED

    def _add(self, event: Event, talk: Talk, user: bytes, role: Role) -> Answer:
        if user not in self.names:
            return "UNKNOWN_TARGET"
        now = talk.roles.get(user)
        if now is role or (now is Role.OWNER and not talk.may_rule(event.user)):
            return SAME
        if (role is Role.OWNER or now is not None) and not talk.may_rule(event.user):
            return "NOT_ALLOWED"
        talk.roles[user] = role
        talk.ever.add(user)
        return STORED

    def _remove(self, event: Event, talk: Talk, user: bytes) -> Answer:
        if user not in talk.ever:
            return "UNKNOWN_TARGET"
        if user not in talk.roles:
            return SAME
        if user != event.user and not talk.may_rule(event.user):
            return "NOT_ALLOWED"
        del talk.roles[user]
        return STORED

    def _numbered(self, event: Event, named: bytes) -> tuple[Talk, bytes] | Answer:
        """What the device named, in a conversation that its user is in."""
        own = event_id(event.device, named)
        for key in (named, own):
            for talk in self.talks.values():
                if key in talk.log:
                    return (talk, key) if event.user in talk.roles else "UNKNOWN_TARGET"
        return "DEPENDENCY_REFUSED" if self._was_refused(own) else "UNKNOWN_TARGET"

    def _of_message(self, event: Event, content: Content, named: bytes) -> Answer:
        found = self._numbered(event, named)
        if isinstance(found, str):
            return found
        talk, target = found
        if isinstance(content, Read):
            return self._read(event, talk, talk.log.index(target) + 1)
        said = talk.said.get(target)
        key = (target, event.user, getattr(content, "reaction", ""))
        if isinstance(content, Unreact):
            if key not in self.reactions:
                return SAME
            self.reactions.remove(key)
        elif said is None:
            return "UNKNOWN_TARGET"
        elif isinstance(content, React):
            if key in self.reactions:
                return SAME
            if said.is_deleted:
                return "UNKNOWN_TARGET"
            self.reactions.add(key)
        else:
            answer = self._change(event, content, said)
            if answer != STORED:
                return answer
        talk.log.append(event.id)
        return STORED

    def _read(self, event: Event, talk: Talk, seq: int) -> Answer:
        if seq <= talk.read.get(event.user, 0):
            return SAME
        talk.read[event.user] = seq
        return STORED

    def _change(self, event: Event, content: Content, said: Said) -> Answer:
        if said.author != event.user:
            return "NOT_ALLOWED"
        if isinstance(content, DeleteMessage):
            if said.is_deleted:
                return SAME
            said.is_deleted, said.text = True, ""
            return STORED
        assert isinstance(content, EditMessage)
        if said.is_deleted:
            return "UNKNOWN_TARGET"
        outdated = self._outdated(event, said.version)
        if outdated:
            return outdated
        said.text, said.version = content.text, event.id
        return STORED
