"""A town of users with devices on one host: what they do goes through the real rules into a real
log, and what their devices are sent comes from the real reading. No network, and any engine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio
from protobuf import Oneof

from postbox.clients.events.wire import read_event
from postbox.clients.ids import device_id, event_id, text_of, user_id
from postbox.clients.neighbours import Neighbour, told
from postbox.clients.reading.stream import Mail, Reading
from postbox.clients.reading.windows import Viewer
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Register
from postbox.clients.rules.draft import ClientDraft, device_ref, draft_of
from postbox.clients.rules.rules import ClientRules
from postbox.clients.tables import MIGRATIONS
from postbox.hosts.tables import MIGRATIONS as HOSTS_MIGRATIONS
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Accepted, Duplicate, Outcome, Rejected
from postbox.world import World
from support.client_device import Device
from support.faulty import never
from support.kernel import Kernel, open_kernel
from support.simulated import Fails

PNG = b"\x89PNG\r\n\x1a\n"


class Leaving:
    """A stream's end, as the server says it."""

    until_ms = math.inf

    def __init__(self) -> None:
        self.is_over = False
        self._events: list[trio.Event] = []

    def wake(self, event: trio.Event) -> None:
        self._events = [event]
        if self.is_over:
            event.set()

    def reached(self, pos: int, *, is_live: bool) -> None:
        pass

    def end(self) -> None:
        self.is_over = True
        for event in self._events:
            event.set()


@dataclass
class Phone:
    """A device, what it knows, and what its user does with it."""

    town: Town
    user: str
    name: str
    model: Device = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.model = Device(self.user_uuid)

    @property
    def user_uuid(self) -> str:
        return text_of(user_id(self.user))

    @property
    def viewer(self) -> Viewer:
        user = user_id(self.user)
        return Viewer(user, device_id(user, self.name), self.user)

    # -- what it sends ----------------------------------------------------------------------------

    def draft(self, kind: str, value: object, conversation: str = "", **fields: str) -> ClientDraft:
        """An event with the next local uuid."""
        self.made += 1
        local = hashlib.sha256(f"{self.user} {self.name} {self.made}".encode()).digest()[:16]
        event = pb.Event(
            uuid=text_of(local),
            conversationUuid=conversation,
            content=Oneof(kind, value),  # type: ignore[arg-type]
            **fields,  # type: ignore[arg-type]
        )
        incoming = read_event(event.to_binary(), self.viewer.user)
        return draft_of(device_ref(self.viewer.user, self.user, self.viewer.device), incoming)

    async def send(self, *drafts: ClientDraft) -> list[str]:
        """In one commit; the ids of what is stored."""
        outcomes = await self.town.submit(*drafts)
        for outcome in outcomes:
            assert isinstance(outcome, Accepted | Duplicate), outcome
        return [text_of(draft.id) for draft in drafts]

    async def refused(self, draft: ClientDraft) -> str:
        (outcome,) = await self.town.submit(draft)
        assert isinstance(outcome, Rejected), outcome
        return outcome.reason.code

    def creating(self, name: str, *others: Phone) -> ClientDraft:
        members = [pb.User(uuid=other.user_uuid) for other in others]
        return self.draft("conversationCreated", pb.ConversationCreated(name=name, members=members))

    def adding(
        self, conversation: str, other: Phone, *, history: bool = True, role: int = 0
    ) -> ClientDraft:
        user = pb.User(uuid=other.user_uuid)
        joined = pb.MemberJoined(user=user, history=history, role=pb.Role(role))
        return self.draft("memberJoined", joined, conversation)

    def removing(self, conversation: str, other: Phone | None = None) -> ClientDraft:
        left = pb.MemberLeft(userUuid=(other or self).user_uuid)
        return self.draft("memberLeft", left, conversation)

    def saying(self, conversation: str, text: str) -> ClientDraft:
        message = pb.SendingNewMessage(message=pb.Message(text=text))
        return self.draft("sendingNewMessage", message, conversation)

    def editing(self, message: str, text: str) -> ClientDraft:
        edited = pb.MessageEdited(uuid=message, message=pb.Message(text=text))
        return self.draft("messageEdited", edited)

    def deleting(self, message: str) -> ClientDraft:
        return self.draft("messageDeleted", pb.MessageDeleted(uuid=message))

    def reacting(self, message: str, reaction: str = "+") -> ClientDraft:
        return self.draft("reactionAdded", pb.ReactionAdded(uuid=message, reaction=reaction))

    def unreacting(self, message: str, reaction: str = "+") -> ClientDraft:
        return self.draft("reactionRemoved", pb.ReactionRemoved(uuid=message, reaction=reaction))

    def reading(self, message: str) -> ClientDraft:
        return self.draft("readNewMessage", pb.ReadNewMessage(uuid=message))

    def renaming(self, conversation: str, name: str) -> ClientDraft:
        changed = pb.ConversationNameChanged(newName=name)
        return self.draft("conversationNameChanged", changed, conversation)

    def calling_itself(self, name: str) -> ClientDraft:
        return self.draft("displayNameChanged", pb.DisplayNameChanged(newName=name))

    def showing(self, picture: bytes) -> ClientDraft:
        changed = pb.ProfilePictureChanged(pngImage=PNG + picture if picture else b"")
        return self.draft("profilePictureChanged", changed)

    async def create(self, name: str, *others: Phone) -> str:
        (conversation,) = await self.send(self.creating(name, *others))
        return conversation

    async def say(self, conversation: str, *texts: str) -> list[str]:
        """Each in a commit of its own."""
        said = []
        for text in texts:
            said += await self.send(self.saying(conversation, text))
        return said

    # -- what it is sent --------------------------------------------------------------------------

    async def sync(
        self, *, per_frame: int = 1, by_uuid: bool = False, frames: int = 0
    ) -> list[str]:
        """Until it has caught up, or the connection breaks behind so many frames; what came."""
        came: list[str] = []
        request = self.request(per_frame=per_frame, by_uuid=by_uuid, until_caught_up=True)
        self.model.opened()
        left = frames
        stream = self.town.reading.stream(self.viewer, request, Leaving())
        async with aclosing(stream) as made:
            async for frame in made:
                came += self.model.take(frame)
                if (left := left - 1) == 0:
                    break
        return came

    async def live(
        self,
        leaving: Leaving,
        mail: Mail | None = None,
        *,
        per_frame: int = 1,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Started once it has caught up."""
        self.model.opened()
        before, has_begun = self.model.caught_up, False
        request = self.request(per_frame=per_frame)
        stream = self.town.reading.stream(self.viewer, request, leaving, mail)
        async with aclosing(stream) as made:
            async for frame in made:
                self.model.take(frame)
                if not has_begun and self.model.caught_up > before:
                    has_begun = True
                    task_status.started()

    def request(
        self, *, per_frame: int = 1, by_uuid: bool = False, until_caught_up: bool = False
    ) -> pb.SyncFromServerRequest:
        return pb.SyncFromServerRequest(
            lastEventUuid=self.model.last_uuid if by_uuid else "",
            resumeToken="" if by_uuid else self.model.token,
            eventsPerFrame=per_frame,
            untilCaughtUp=until_caught_up,
        )

    def anew(self) -> Phone:
        """The same device, whose memory was wiped."""
        return Phone(self.town, self.user, self.name, made=self.made)


@dataclass
class Town:
    kernel: Kernel
    reading: Reading
    rules: ClientRules

    async def phone(self, user: str, name: str = "phone") -> Phone:
        draft = DeviceDraft(self.kernel.world.new_id(), user, name, Register(0))
        await self.kernel.admission.submit(DeviceRules(), [draft])
        return Phone(self, user, name)

    async def submit(self, *drafts: ClientDraft) -> list[Outcome]:
        return await self.kernel.admission.submit(self.rules, drafts)


def id_of(phone: Phone, draft: ClientDraft) -> str:
    return text_of(event_id(phone.viewer.device, draft.incoming.local))


@asynccontextmanager
async def open_town(
    world: World,
    place: str = "node.db",
    fails: Fails = never,
    neighbour: Neighbour | None = None,
) -> AsyncIterator[Town]:
    migrations = (HOSTS_MIGRATIONS, MIGRATIONS)
    async with open_kernel(world, fails, migrations=migrations, database=place) as kernel:
        identity = await kernel.runner.identity()
        neighbours = (lambda reader, user: ()) if neighbour is None else partial(told, neighbour)
        reading = Reading(world.clock, kernel.runner, kernel.tail, identity, neighbours)
        kernel.tail.follow(reading.compiler)
        yield Town(kernel, reading, ClientRules(neighbour))
