"""A store of a client in dicts: what its changes come to, for tests of what decides them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from postbox.client.core import changes as to
from postbox.client.core.changes import Change


@dataclass
class Room:
    name: str = ""
    reached: int = 0
    members: dict[str, bool] = field(default_factory=dict)  # whether an owner
    marks: dict[tuple[str, str], int] = field(default_factory=dict)  # by user and kind
    messages: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # seq, author, text
    texts: dict[str, tuple[int, str]] = field(default_factory=dict)  # of edits, with their seq
    deleted: set[str] = field(default_factory=set)
    reactions: dict[tuple[str, str, str], tuple[int, bool]] = field(default_factory=dict)

    def shown(self) -> list[tuple[int, str, str, list[tuple[str, str]]]]:
        """Number, author, text and reactions of each message, in order."""
        return sorted(
            (seq, author, self.texts.get(uuid, (0, text))[1], self._reactions(uuid))
            for uuid, (seq, author, text) in self.messages.items()
            if uuid not in self.deleted
        )

    def _reactions(self, uuid: str) -> list[tuple[str, str]]:
        of = [
            key[1:] for key, (_, is_there) in self.reactions.items() if is_there and key[0] == uuid
        ]
        return sorted(of)


@dataclass
class Base:
    rooms: dict[str, Room] = field(default_factory=dict)
    shadow: dict[str, Room] | None = None
    names: dict[str, str] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    @property
    def heads(self) -> dict[str, int]:
        return {uuid: room.reached for uuid, room in self.rooms.items()}

    def take(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._one(change)

    def _room(self, uuid: str) -> Room:
        rooms = self.rooms if self.shadow is None else self.shadow
        return rooms.setdefault(uuid, Room())

    def _one(self, change: Change) -> None:
        match change:
            case to.SnapshotBegan():
                self.shadow = {}
            case to.SnapshotEnded():
                assert self.shadow is not None
                self.rooms, self.shadow = self.shadow, None
            case to.SnapshotDropped():
                self.shadow = None
            case to.Settled(local):
                assert self.shadow is None, "the base does not have it yet"
                self.settled.add(local)
            case to.DisplayNameChanged(user, name) | to.UserMet(user, _, name):
                self.names[user] = name
            case to.ConversationForgotten(uuid):
                del self.rooms[uuid]
            case to.ConversationBegun(uuid):
                self.rooms[uuid] = Room()
            case to.HoleFound():
                raise AssertionError("there is none")
            case _ if hasattr(change, "conversation"):
                self._of_room(self._room(change.conversation), change)
            case _:
                pass

    def _of_room(self, room: Room, change: Change) -> None:
        match change:
            case to.ConversationMade(_, name) | to.ConversationRenamed(_, name):
                room.name = name
            case to.Reached(_, seq):
                room.reached = seq
            case to.MemberCame(_, user, is_owner):
                room.members[user] = is_owner
            case to.MemberWent(_, user):
                room.members.pop(user, None)
            case to.ReadUpTo(_, user, seq) | to.DeliveredUpTo(_, user, seq):
                mark = (user, type(change).__name__)
                room.marks[mark] = max(seq, room.marks.get(mark, 0))
            case _:
                self._of_message(room, change)

    def _of_message(self, room: Room, change: Change) -> None:
        match change:
            case to.MessageCame(_, uuid, seq, author, text):
                room.messages.setdefault(uuid, (seq, author, text))
            case to.MessageEdited(_, uuid, text, seq):
                room.texts[uuid] = max((seq, text), room.texts.get(uuid, (0, "")))
            case to.MessageDeleted(_, uuid) | to.NumberErased(_, uuid, _, "deleted"):
                room.deleted.add(uuid)
            case to.ReactionAdded(_, uuid, user, reaction, seq):
                self._react(room, (uuid, user, reaction), seq, True)
            case to.ReactionRemoved(_, uuid, user, reaction, seq):
                self._react(room, (uuid, user, reaction), seq, False)
            case _:
                pass

    def _react(self, room: Room, key: tuple[str, str, str], seq: int, is_there: bool) -> None:
        room.reactions[key] = max((seq, is_there), room.reactions.get(key, (0, False)))
