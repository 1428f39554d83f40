"""What one user sees of a host's log, made at random, and the streams that a host would make of it
(docs/protocol/clients.md): from any place, cut into frames of any size, as a snapshot, by pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from protobuf import Oneof

from postbox.rpc.postbox.v1 import clients_pb as pb
from support.simulate import SeededRandom

ME, OTHERS = "me", ("bob", "cid")
ROOMS = ("room 1", "room 2")
EPOCH = b"\x01"
TOLD = 3  # messages of a conversation that a snapshot or a joining has


@dataclass
class Message:
    event: pb.Event
    edit: pb.Event | None = None
    reactions: dict[tuple[str, str], pb.Event] = field(default_factory=dict)


@dataclass
class Room:
    """As it is now. `joined`: where the user came in, in the log; -1: it is not in."""

    name: str = "first"
    seq: int = 0
    joined: int = -1
    members: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(OTHERS, False))
    messages: dict[str, Message] = field(default_factory=dict)
    marks: dict[str, pb.Event] = field(default_factory=dict)
    seen: list[pb.Event] = field(default_factory=list)  # numbered events of the user's times


def event(uuid: str, kind: str, value: Any, **fields: Any) -> pb.Event:
    content: Any = Oneof(kind, value) if kind else None
    return pb.Event(uuid=uuid, content=content, **fields)


class Log:
    def __init__(self, random: SeededRandom) -> None:
        self.random = random
        self.entries: list[pb.Event] = []  # that the user sees
        self.erased: dict[str, str] = {}  # events whose content is gone, and why
        self.rooms = {name: Room() for name in ROOMS}
        self.made = 0
        self.bob = ""  # as he is called now

    def one_of(self, several: Any) -> Any:
        several = list(several)
        return several[int(self.random.fraction() * len(several))]

    def grow(self) -> None:
        name = self.one_of(ROOMS)
        room = self.rooms[name]
        if room.joined < 0:
            self._joins(name, room)
            return
        doing: list[Callable[[str, Room], None]] = [
            *(self._says, self._says, self._says, self._edits, self._deletes, self._reacts),
            *(self._renames, self._reads, self._other_moves, self._profile),
        ]
        (self._leaves if self.random.fraction() < 0.05 else self.one_of(doing))(name, room)

    def _add(self, name: str, kind: str, value: Any, author: str = "", **fields: Any) -> pb.Event:
        self.made += 1
        room = self.rooms[name]
        if fields.pop("is_numbered", True):
            room.seq += 1
            fields["conversationSeq"] = room.seq
        author = author or self.one_of([*OTHERS, ME])
        if author == ME and self.random.fraction() < 0.5:
            fields["clientUuid"] = f"local {self.made}"
        its = event(f"{self.made}", kind, value, conversationUuid=name, authorUuid=author, **fields)
        self.entries.append(its)
        if its.conversationSeq:
            room.seen.append(its)
        return its

    def _joins(self, name: str, room: Room) -> None:
        room.seq += int(self.random.fraction() * 3)  # that the user does not see
        room.members[ME] = False
        user = pb.MemberJoined(user=pb.User(uuid=ME, name="me"))
        self._add(name, "memberJoined", user, "bob")
        room.joined = len(self.entries) - 1

    def _leaves(self, name: str, room: Room) -> None:
        del room.members[ME]
        self._add(name, "memberLeft", pb.MemberLeft(userUuid=ME), self.one_of(["bob", ME]))
        room.joined = -1

    def _says(self, name: str, room: Room) -> None:
        said = pb.NewMessage(uuid=f"{self.made + 1}", message=pb.Message(text=f"{self.made}"))
        its = self._add(name, "newMessage", said)
        room.messages[its.uuid] = Message(its)

    def _edits(self, name: str, room: Room) -> None:
        if not room.messages:
            return
        message = room.messages[self.one_of(room.messages)]
        if message.edit is not None:
            self.erased[message.edit.uuid] = "edited"
        text = pb.Message(text=f"edited {self.made}")
        edited = pb.MessageEdited(uuid=message.event.uuid, message=text)
        message.edit = self._add(name, "messageEdited", edited, message.event.authorUuid)

    def _deletes(self, name: str, room: Room) -> None:
        if room.messages:
            message = room.messages.pop(self.one_of(room.messages))
            self.erased[message.event.uuid] = "deleted"
            if message.edit is not None:
                self.erased[message.edit.uuid] = "edited"
            deleted = pb.MessageDeleted(uuid=message.event.uuid)
            self._add(name, "messageDeleted", deleted, message.event.authorUuid)

    def _reacts(self, name: str, room: Room) -> None:
        if not room.messages:
            return
        message, user = room.messages[self.one_of(room.messages)], self.one_of([*OTHERS, ME])
        reaction, target = self.one_of("+-"), message.event.uuid
        if (user, reaction) in message.reactions:
            del message.reactions[user, reaction]
            removed = pb.ReactionRemoved(uuid=target, reaction=reaction)
            self._add(name, "reactionRemoved", removed, user)
        else:
            added = pb.ReactionAdded(uuid=target, reaction=reaction)
            message.reactions[user, reaction] = self._add(name, "reactionAdded", added, user)

    def _renames(self, name: str, room: Room) -> None:
        room.name = f"name {self.made}"
        self._add(name, "conversationNameChanged", pb.ConversationNameChanged(newName=room.name))

    def _reads(self, name: str, room: Room) -> None:
        user, value = self.one_of([*OTHERS, ME]), pb.ReadNewMessage(uuid="", upToSeq=room.seq)
        room.marks[user] = self._add(name, "readNewMessage", value, user, is_numbered=False)

    def _other_moves(self, name: str, room: Room) -> None:
        if "cid" in room.members and self.random.fraction() < 0.5:
            del room.members["cid"]
            self._add(name, "memberLeft", pb.MemberLeft(userUuid="cid"), "cid")
        else:
            room.members["cid"] = self.random.fraction() < 0.5
            self._add(name, "memberJoined", _joined("cid", room.members["cid"]), "bob")

    def _profile(self, name: str, room: Room) -> None:
        self.bob = f"Bob {self.made}"
        changed = pb.DisplayNameChanged(userUuid="bob", newName=self.bob)
        self._add(name, "displayNameChanged", changed, "bob", is_numbered=False)

    def before(self, place: int) -> int:
        """An earlier place, with no joining behind it: one comes twice only if it was cut off."""
        joined = [room.joined for room in self.rooms.values() if room.joined <= place]
        return min(place, max([0, place - 5, *(at + 1 for at in joined)]))

    # -- as a host would tell it ------------------------------------------------------------------

    def now(self, its: pb.Event) -> pb.Event:
        """As the log has it now."""
        why = self.erased.get(its.uuid)
        told = deepcopy(its)
        if why is not None:
            told.content = event("", "erased", pb.Erased(why=why)).content
        return told

    def state(self, name: str) -> Iterator[pb.Event]:
        room = self.rooms[name]
        created = pb.ConversationCreated(conversationUuid=name, name=room.name)
        yield _backfill(event(name, "conversationCreated", created, conversationUuid=name))
        yield _backfill(self.now(room.seen[-1]))
        for user, is_owner in room.members.items():
            yield _backfill(
                event(
                    "",
                    "memberJoined",
                    _joined(user, is_owner, self.bob if user == "bob" else ""),
                    conversationUuid=name,
                )
            )
        yield from map(_backfill, room.marks.values())
        since = self.entries[room.joined].conversationSeq
        visible = [each for each in room.messages.values() if each.event.conversationSeq > since]
        for message in visible[-TOLD:]:
            more = [message.event, *filter(None, [message.edit]), *message.reactions.values()]
            yield from map(_backfill, more)

    def page(self, name: str, before: int, size: int) -> bytes:
        room = self.rooms[name]
        older = [its for its in room.seen if its.conversationSeq < before]
        page = older[-size:]
        changes = [
            its
            for each in page
            if (message := room.messages.get(each.uuid))
            for its in [*filter(None, [message.edit]), *message.reactions.values()]
        ]
        events = [_backfill(self.now(its)) for its in (*page, *changes)]
        return pb.HistoryPage(events=events, more=len(older) > len(page)).to_binary()

    def stream(self, place: int, previous: str, per_frame: int) -> Iterator[tuple[bytes, int]]:
        """From behind that place on: each frame, and the place that its token stands for."""
        for pos in range(place, len(self.entries)):
            its = self.entries[pos]
            is_joining = its.conversationUuid in self.rooms and (
                self.rooms[its.conversationUuid].joined == pos
            )
            yield _frame([self.now(its)], pos if is_joining else pos + 1, previous)
            previous = its.uuid
            if is_joining:
                told = list(self.state(its.conversationUuid))
                for at in range(0, len(told), per_frame):
                    yield _frame(told[at : at + per_frame], pos, previous)
        yield _frame([event("", "caughtUp", pb.CaughtUp(epoch=EPOCH))], len(self.entries), previous)

    def snapshot(self, per_frame: int) -> Iterator[tuple[bytes, int]]:
        begin = pb.SnapshotBegin(epoch=EPOCH, code="CURSOR_NONE")
        yield event("", "snapshotBegin", begin).to_binary(), 0
        names = [name for name, room in self.rooms.items() if room.joined >= 0]
        told = [each for name in names for each in self.state(name)]
        for at in range(0, len(told), per_frame):
            yield pb.Event(events=told[at : at + per_frame]).to_binary(), 0
        newest = self.entries[-1].uuid if self.entries else ""
        yield _frame([event(newest, "snapshotEnd", pb.SnapshotEnd())], len(self.entries), "")


def _joined(user: str, is_owner: bool, shown: str = "") -> pb.MemberJoined:
    person = pb.User(uuid=user, displayName=shown)
    return pb.MemberJoined(user=person, role=pb.Role(int(is_owner)))


def _backfill(its: pb.Event) -> pb.Event:
    told = deepcopy(its)
    told.backfill = True
    return told


def _frame(events: list[pb.Event], place: int, previous: str) -> tuple[bytes, int]:
    frame = deepcopy(events[0]) if len(events) == 1 else pb.Event(events=events)
    frame.resumeToken, frame.previousUuid = f"{place}", previous
    return frame.to_binary(), place
