"""A model of a device: it takes frames in, checks that they leave nothing out, and knows what its
user would see.

`Device.take` applies one frame. It raises `Lost` where a frame does not go on from the one before,
or a conversation's numbers have a hole. `differences` compares what two devices of a user know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from postbox.rpc.postbox.v1 import clients_pb as pb

LARGE = 100  # members, and more
FULL = 50  # messages of a conversation that a device begins with, if there are as many


class Lost(AssertionError):
    """The device can prove that it has missed something."""


@dataclass(frozen=True)
class Profile:
    name: str
    display: str
    picture: bytes  # SHA-256


@dataclass
class Message:
    seq: int
    author: str
    text: str
    reactions: set[tuple[str, str]] = field(default_factory=set)  # user, reaction


@dataclass
class Conversation:
    name: str = ""
    members: dict[str, int] = field(default_factory=dict)  # roles
    messages: dict[str, Message] = field(default_factory=dict)
    watermarks: dict[tuple[str, str], int] = field(default_factory=dict)  # user, kind
    seq: int = 0  # the newest number
    told: int = 0  # messages that it began with
    floor: int = 0  # it has all messages from this number on
    was_large: bool = False  # then others' watermarks were not told


@dataclass
class State:
    conversations: dict[str, Conversation] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)  # of users, as they were last sent
    guilds: set[tuple[str, str]] = field(default_factory=set)
    invites: set[tuple[str, str]] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)  # events of kinds that the model does not know


class Device:
    def __init__(self, user: str) -> None:
        """`user`: whose it is, by uuid."""
        self.user = user
        self.state = State()
        self.token = ""
        self.last_uuid = ""
        self.epoch = b""
        self.codes: list[str] = []  # why there were snapshots
        self.ends: list[str] = []  # why streams were ended
        self.caught_up = 0
        self.uuids: list[str] = []  # of the events that moved the cursor
        self.numbers: list[int] = []  # and those that they had
        self.own: dict[str, str] = {}  # of its own events: what it called them -> what they are
        self.transitory: list[pb.Event] = []
        self._shadow: State | None = None
        self._begun = b""  # the epoch of the snapshot that comes
        self._previous: str | None = None  # on this stream

    def opened(self) -> None:
        """A new stream."""
        self._previous = None
        self._shadow = None

    def take(self, frame: bytes) -> list[str]:
        """The contents that were in it."""
        event = pb.Event.from_binary(frame)
        self._check_previous(event)
        taken = [self._one(each) for each in event.events or [event]]
        if event.resumeToken:
            self.token = event.resumeToken
        return taken

    def _check_previous(self, event: pb.Event) -> None:
        """A stream's first frame may say nothing of it."""
        known = self._previous
        if known is None and event.previousUuid:
            known = self.last_uuid
        if event.resumeToken and known is not None and event.previousUuid != known:
            raise Lost(f"behind {known!r} comes a frame that is behind {event.previousUuid!r}")

    def _one(self, event: pb.Event) -> str:
        if event.clientUuid:
            self.own[event.clientUuid] = event.uuid
        if event.content is None:
            self._moves(event)
            self._number(event)
            self._now.foreign.append(event.uuid)
            return ""
        kind, value = event.content.field, event.content.value
        if kind in ("userIsTyping", "userIsConnected"):
            self.transitory.append(event)
            return kind
        if not self._mark(event, kind, value):
            self._moves(event)
            if self._number(event):
                getattr(self, f"_on_{kind}")(event, value)
        return kind

    def _moves(self, event: pb.Event) -> None:
        if not event.backfill:
            assert event.uuid
            if self._previous is None and event.uuid == self.last_uuid and self._lets_in(event):
                self._now.conversations.pop(event.conversationUuid, None)  # it was cut off in it
            self._previous = self.last_uuid = event.uuid
            self.uuids.append(event.uuid)
            self.numbers += [event.conversationSeq] if event.conversationSeq else []

    def _mark(self, event: pb.Event, kind: str, value: Any) -> bool:
        match kind:
            case "snapshotBegin":
                self._begun = value.epoch
                self.codes.append(value.code)
                self._shadow = State()
                self.last_uuid = ""
                self._previous = ""
            case "snapshotEnd":
                assert self._shadow is not None
                self.state, self._shadow = self._shadow, None
                self.epoch = self._begun
                self.last_uuid = self._previous = event.uuid
            case "caughtUp":
                self.caught_up += 1
                self._previous = self._previous or ""
            case "goAway":
                self.ends.append(value.code)
            case _:
                return False
        return True

    @property
    def _now(self) -> State:
        return self.state if self._shadow is None else self._shadow

    def _number(self, event: pb.Event) -> bool:
        """Whether it is news: what is sent again was taken in already."""
        if not event.conversationSeq:
            return True
        found = self._now.conversations.get(event.conversationUuid)
        if event.backfill:
            if found is not None:
                found.seq = max(found.seq, event.conversationSeq)
            return True
        if found is None or self._begins(event):
            return True
        if event.conversationSeq > found.seq + 1:
            raise Lost(f"behind number {found.seq} comes {event.conversationSeq}")
        is_news = event.conversationSeq == found.seq + 1
        found.seq = max(found.seq, event.conversationSeq)
        return is_news

    def _begins(self, event: pb.Event) -> bool:
        """Whether the user comes into the conversation by it."""
        found = self._now.conversations.get(event.conversationUuid)
        return self._lets_in(event) and (found is None or self.user not in found.members)

    def _lets_in(self, event: pb.Event) -> bool:
        """Or changes the user's role."""
        if event.content is None or event.content.field != "memberJoined":
            return False
        joined: Any = event.content.value
        return bool(joined.user.uuid == self.user)

    def _in(self, event: pb.Event) -> Conversation:
        """One that the device does not know any more, or not yet, is nobody's."""
        return self._now.conversations.get(event.conversationUuid, Conversation())

    # -- users ----------------------------------------------------------------------------------

    def _on_displayNameChanged(self, event: pb.Event, value: Any) -> None:
        before = self._now.profiles.get(value.userUuid, Profile("", "", b""))
        self._now.profiles[value.userUuid] = Profile(before.name, value.newName, before.picture)

    def _on_profilePictureChanged(self, event: pb.Event, value: Any) -> None:
        before = self._now.profiles.get(value.userUuid, Profile("", "", b""))
        self._now.profiles[value.userUuid] = Profile(before.name, before.display, value.sha256)
        if value.pngImage or not value.sha256:
            self._now.images[value.userUuid] = value.pngImage

    def _meets(self, user: Any) -> None:
        self._now.profiles[user.uuid] = Profile(user.name, user.displayName, user.pictureSha256)

    # -- conversations --------------------------------------------------------------------------

    def _on_conversationCreated(self, event: pb.Event, value: Any) -> None:
        found = self._now.conversations.setdefault(event.conversationUuid, Conversation())
        found.name = value.name
        found.seq = max(found.seq, event.conversationSeq)
        for user in value.members:
            self._meets(user)
            found.members[user.uuid] = int(user.uuid == event.authorUuid)
        found.was_large |= len(found.members) > LARGE

    def _on_conversationNameChanged(self, event: pb.Event, value: Any) -> None:
        self._in(event).name = value.newName

    def _on_memberJoined(self, event: pb.Event, value: Any) -> None:
        self._meets(value.user)
        if not event.backfill and self._begins(event):
            begun = Conversation(seq=event.conversationSeq)
            self._now.conversations[event.conversationUuid] = begun
        found = self._in(event)
        found.members[value.user.uuid] = int(value.role)
        found.was_large |= len(found.members) > LARGE

    def _on_memberLeft(self, event: pb.Event, value: Any) -> None:
        if value.userUuid == self.user:
            self._now.conversations.pop(event.conversationUuid, None)
        else:
            self._in(event).members.pop(value.userUuid, None)

    # -- messages -------------------------------------------------------------------------------

    def _on_newMessage(self, event: pb.Event, value: Any) -> None:
        assert value.uuid == event.uuid
        found = self._in(event)
        if event.backfill and event.uuid not in found.messages:
            found.told += 1
            if found.told == FULL:
                found.floor = min([m.seq for m in found.messages.values()], default=0)
        if event.uuid not in found.messages:
            text = value.message.text
            found.messages[event.uuid] = Message(event.conversationSeq, event.authorUuid, text)

    def _on_messageEdited(self, event: pb.Event, value: Any) -> None:
        message = self._in(event).messages.get(value.uuid)
        if message is not None:
            message.text = value.message.text

    def _on_messageDeleted(self, event: pb.Event, value: Any) -> None:
        self._in(event).messages.pop(value.uuid, None)

    def _on_reactionAdded(self, event: pb.Event, value: Any) -> None:
        message = self._in(event).messages.get(value.uuid)
        if message is not None:
            message.reactions.add((event.authorUuid, value.reaction))

    def _on_reactionRemoved(self, event: pb.Event, value: Any) -> None:
        message = self._in(event).messages.get(value.uuid)
        if message is not None:
            message.reactions.discard((event.authorUuid, value.reaction))

    def _on_erased(self, event: pb.Event, value: Any) -> None: ...

    def _on_readNewMessage(self, event: pb.Event, value: Any) -> None:
        self._raise(event, "read", value.upToSeq)

    def _on_deliveredUpTo(self, event: pb.Event, value: Any) -> None:
        self._raise(event, "delivered", value.seq)

    def _raise(self, event: pb.Event, kind: str, seq: int) -> None:
        marks, name = self._in(event).watermarks, (event.authorUuid, kind)
        marks[name] = max(marks.get(name, 0), seq)

    # -- guilds and invites -----------------------------------------------------------------------

    def _on_guildEntered(self, event: pb.Event, value: Any) -> None:
        self._now.guilds.add((value.host, value.guild))

    def _on_guildExited(self, event: pb.Event, value: Any) -> None:
        self._now.guilds.discard((value.host, value.guild))

    def _on_inviteReceived(self, event: pb.Event, value: Any) -> None:
        self._now.invites.add((value.host, value.invite))

    def _on_inviteDecided(self, event: pb.Event, value: Any) -> None:
        self._now.invites.discard((value.host, value.invite))

    # -- what it knows ----------------------------------------------------------------------------

    def texts(self, conversation: str) -> list[str]:
        """What its user reads there, in order."""
        found = self.state.conversations[conversation].messages.values()
        return [message.text for message in sorted(found, key=lambda message: message.seq)]

    def copied(self) -> Device:
        """As it is now: the device restarts, or is put back from a backup."""
        return deepcopy(self)


def differences(a: Device, b: Device) -> list[str]:
    """What the two know differently, in words. Of messages, what both know all of; of users, those
    in their conversations."""
    found = [*_differing("conversations", a.state.conversations, b.state.conversations)]
    for uuid in a.state.conversations.keys() & b.state.conversations.keys():
        one, other = a.state.conversations[uuid], b.state.conversations[uuid]
        floor = max(one.floor, other.floor)
        found += _unlike(f"{uuid} name", one.name, other.name)
        found += _unlike(f"{uuid} members", one.members, other.members)
        found += _unlike(f"{uuid} newest number", one.seq, other.seq)
        found += _unlike(f"{uuid} messages", _from(one, floor), _from(other, floor))
        whose = {a.user} if one.was_large or other.was_large else one.members.keys()
        found += _unlike(f"{uuid} watermarks", _marks(one, whose), _marks(other, whose))
        for user in one.members.keys() & other.members.keys():
            found += _unlike(f"{user}", a.state.profiles.get(user), b.state.profiles.get(user))
            images = a.state.images.get(user, b""), b.state.images.get(user, b"")
            found += _unlike(f"image of {user}", *images)
    found += _unlike("guilds", a.state.guilds, b.state.guilds)
    found += _unlike("invites", a.state.invites, b.state.invites)
    return found


def _differing(what: str, a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[str]:
    for name in a.keys() ^ b.keys():
        yield f"{what}: only one has {name}"


def _unlike(what: str, a: object, b: object) -> Iterable[str]:
    return [] if a == b else [f"{what}: {a!r} and {b!r}"]


def _from(conversation: Conversation, floor: int) -> dict[str, Message]:
    return {
        uuid: message for uuid, message in conversation.messages.items() if message.seq >= floor
    }


def _marks(conversation: Conversation, users: Collection[str]) -> dict[tuple[str, str], int]:
    return {name: seq for name, seq in conversation.watermarks.items() if name[0] in users}
