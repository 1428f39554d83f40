"""People with the client library on their devices: what they do there, what they were promised, and
what has to be so of it in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from postbox.client import Client, Conversation, Message, Standing
from postbox.client.errors import NotByItself, Unknown
from postbox.client.transport.contract import CallFailed
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import device_id, event_id, text_of, user_id
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Entry
from support.client_audit import Audit, audit, conversation_in
from support.client_door import value_of
from support.client_town import PNG
from support.library_faults import Fuse
from support.library_phone import Phone, Street, until, whose
from support.library_state import differences, seen

USERS = ("ann", "bob", "cat")
HOST_SAYS = {"NOT_A_MEMBER", "NOT_ALLOWED", "UNKNOWN_TARGET", "DEPENDENCY_REFUSED", "SUPERSEDED"}
"""Of what is done here. All else that is said instead of an answer is no reason to give up."""


@dataclass
class Gadget:
    """A device with somebody at it. `made`: local uuids of what it was promised, and `unsure`:
    texts of what it was doing when it ended."""

    phone: Phone
    fleet: Fleet
    made: dict[str, str] = field(default_factory=dict)
    dismissed: set[str] = field(default_factory=set)
    count: int = 0
    is_offline: bool = False
    fuse: Fuse | None = None

    @property
    def client(self) -> Client:
        return self.phone.client

    def text(self) -> str:
        self.count += 1
        return f"{self.phone.user}'s {self.phone.name} {self.count}"

    # -- its life ---------------------------------------------------------------------------------

    async def switch_on(self) -> None:
        """It may end before it is on, too."""
        if self.phone.is_on:
            return
        with self.as_its_own():
            await self.phone.switch_off()
            try:
                await self.phone.switch_on()
            except RuntimeError:  # Trio's: it ended before it was there
                if self.fuse is None:
                    raise

    def ends_soon(self, steps: int, *, in_order: bool) -> None:
        """At one of its next steps: crashed, or cancelled."""
        self.put_fuse_out()
        end = self.phone.give_up if in_order else self._die
        self.fuse = Fuse(self.phone, steps, end)
        self.fuse.light()

    def _die(self) -> None:
        if self.phone._life is not None:
            self.phone.die()

    def put_fuse_out(self) -> None:
        if self.fuse is not None:
            self.fuse.put_out()
        self.fuse = None

    @contextmanager
    def as_its_own(self) -> Iterator[None]:
        """Steps in the block count as the device's."""
        token = whose.set(self.phone.address)
        try:
            yield
        finally:
            whose.reset(token)

    def lose_network(self) -> None:
        if not self.is_offline:
            self.phone.lose_network()
            self.is_offline = True

    def find_network(self) -> None:
        if self.is_offline:
            self.phone.find_network()
            self.is_offline = False

    # -- what its user does -----------------------------------------------------------------------

    async def does(self, what: str, a: int, b: int) -> None:
        """Unless the device ends meanwhile, and whatever it ends in is its own affair."""
        if not self.phone.is_on:
            return
        scope = self.phone._scope
        try:
            with self.as_its_own():
                await self._does(what, a, b)
        except Unknown:
            pass  # gone, between the look and the touch
        except Exception:
            if not scope.cancel_called:
                raise

    async def _does(self, what: str, a: int, b: int) -> None:
        client = self.client
        if what in ("name", "picture", "create"):
            await self._on_its_own(client, what, b)
        elif room := await self._room(client, a):
            if what in _OF_ROOMS:
                await _OF_ROOMS[what](self, client, room, b)
            elif found := await client.messages(room, limit=6):
                await _OF_MESSAGES[what](self, client, found, b)

    async def _on_its_own(self, client: Client, what: str, b: int) -> None:
        text = self.text()
        match what:
            case "name":
                await client.set_name(text)
            case "picture":
                await client.set_picture(PNG + text.encode())
            case _:
                members = [user for bit, user in enumerate(USERS) if b >> bit & 1]
                made = await client.create(text, members)
                self.made[made.key] = text

    async def _room(self, client: Client, at: int) -> Conversation | None:
        rooms = await client.conversations(1_000)
        rooms.sort(key=lambda room: room.uuid)
        return rooms[at % len(rooms)] if rooms else None

    async def send(self, client: Client, room: Conversation, b: int) -> None:
        text = self.text()
        replied = await client.messages(room, limit=3) if b % 8 == 5 else []
        self.made[(await client.send(room, text, replied[0] if replied else "")).key] = text

    async def add(self, client: Client, room: Conversation, b: int) -> None:
        await client.add(room, USERS[b % 3], is_owner=b & 4 == 0, history=b & 8 == 0)

    async def remove(self, client: Client, room: Conversation, b: int) -> None:
        await client.remove(room, USERS[b % 3])

    async def leave(self, client: Client, room: Conversation, b: int) -> None:
        await client.leave(room)

    async def rename(self, client: Client, room: Conversation, b: int) -> None:
        await client.rename(room, self.text(), room.change if b % 2 else "")

    async def types(self, client: Client, room: Conversation, b: int) -> None:
        client.typing(room) if b % 2 else client.stopped_typing(room)

    async def edit(self, client: Client, messages: Sequence[Message], b: int) -> None:
        message = _one(messages, b, client.user)
        await client.edit(message, self.text(), message.change if b % 2 else "")

    async def delete(self, client: Client, messages: Sequence[Message], b: int) -> None:
        await client.delete(_one(messages, b, client.user))

    async def react(self, client: Client, messages: Sequence[Message], b: int) -> None:
        await client.react(_one(messages, b), "+-"[b % 2])

    async def unreact(self, client: Client, messages: Sequence[Message], b: int) -> None:
        await client.unreact(_one(messages, b), "+-"[b % 2])

    async def read(self, client: Client, messages: Sequence[Message], b: int) -> None:
        await client.read(_one(messages, b))

    async def tries_again(self, client: Client, room: Conversation, b: int) -> None:
        for row in [row for row in await client.queue() if row.standing is Standing.REFUSED][:1]:
            with suppress(NotByItself):
                await client.again(row.local)

    async def dismisses(self, client: Client, room: Conversation, b: int) -> None:
        rows = await client.queue()
        for row in [row for row in rows if row.standing is Standing.REFUSED][:1]:
            its = {each.local for each in rows if each.conversation == row.conversation}
            self.dismissed |= its if row.kind == "conversationCreated" else {row.local}
            await client.dismiss(row.local, whole=True)

    async def looks_back(self, a: int) -> None:
        await self.does("looks back", a, a)

    async def _older(self, client: Client, room: Conversation, b: int) -> None:
        with suppress(CallFailed):
            await client.older(room, 1 + b % 5)

    # -- in the end -------------------------------------------------------------------------------

    async def comes_to_rest(self) -> None:
        self.client.take_over()
        with trio.fail_after(3_600):
            await self.client.drained()
            await self.client.caught_up()
        await until(self._has_only_refused)

    async def _has_only_refused(self) -> bool:
        return all(row.standing is Standing.REFUSED for row in await self.client.queue())

    async def check_made(self, log: Audit) -> None:
        """What was promised is stored, or refused and said to be, or dismissed by the user."""
        rows = await self.client.queue()
        assert {row.code for row in rows} <= HOST_SAYS, "refused, and not by the host"
        refused = {row.local for row in rows}
        for local, text in self.made.items():
            entry = log.by_uuid.get(await self._stored_id(local))
            if local in refused | self.dismissed:
                assert entry is None, f"refused, and stored: {text}"
            else:
                assert entry is not None, f"lost: {text}"
        for local in refused:
            with suppress(Unknown):  # it went with its conversation
                await self.client.dismiss(local, whole=True)

    async def _stored_id(self, local: str) -> str:
        device = device_id(user_id(self.phone.user), self.phone.name)
        row = await self.client._shelf.read(lambda store: store.row(local))
        name = local if row is None else row.sent_as
        return text_of(event_id(device, bytes.fromhex(name.replace("-", ""))))


_Act = Callable[[Gadget, Client, Any, int], Awaitable[None]]

_OF_ROOMS: dict[str, _Act] = {
    "send": Gadget.send,
    "add": Gadget.add,
    "remove": Gadget.remove,
    "leave": Gadget.leave,
    "rename": Gadget.rename,
    "types": Gadget.types,
    "tries again": Gadget.tries_again,
    "dismisses": Gadget.dismisses,
    "looks back": Gadget._older,
}
_OF_MESSAGES: dict[str, _Act] = {
    "edit": Gadget.edit,
    "delete": Gadget.delete,
    "react": Gadget.react,
    "unreact": Gadget.unreact,
    "read": Gadget.read,
}


def _one(messages: Sequence[Message], at: int, author: str = "") -> Message:
    """The user's own, if there is one and it matters: what is others' is refused."""
    own = [message for message in messages if message.author == author]
    found = own if author and own and at % 8 else messages
    return found[at % len(found)]


@dataclass
class Fleet:
    street: Street
    gadgets: list[Gadget] = field(default_factory=list)

    async def begin(self) -> None:
        """Everybody is on, and in a room with all."""
        for user, name, transport in (
            ("ann", "phone", "connect"),
            ("ann", "tablet", "grpc"),
            ("bob", "phone", "connect"),
            ("cat", "phone", "grpc"),
        ):
            phone = self.street.off(user, name, transport)  # type: ignore[arg-type]
            self.gadgets.append(Gadget(phone, self))
            await self.gadgets[-1].switch_on()
        first, _, *others = self.gadgets
        for other in others:  # the host knows them then
            await until(other.phone.is_live)
        await self.street.room(first.phone, *(other.phone for other in others))

    async def look(self) -> None:
        """Everything is well again: all that was made is there, once, in order, for everybody."""
        street = self.street
        street.host.wishes.clear()
        for gadget in self.gadgets:
            gadget.put_fuse_out()
            gadget.find_network()
            await gadget.switch_on()
        for gadget in self.gadgets:
            await gadget.comes_to_rest()
        log = await audit(street.host.door)
        log.check_numbers()
        for gadget in self.gadgets:
            await gadget.check_made(log)
        for user in USERS:
            await self._look_at(user, log)

    async def _look_at(self, user: str, log: Audit) -> None:
        fresh = await self.street.phone(user, "fresh")
        await fresh.client.caught_up()
        for gadget in self.gadgets:
            if gadget.phone.user == user:
                await agree(gadget.phone, fresh)
        check_seen(log, fresh.client.user, await seen(fresh.client))
        await fresh.switch_off()


async def agree(phone: Phone, fresh: Phone) -> None:
    """What one was told bit by bit, and the other by a snapshot."""
    unlike: list[str] = []

    async def equal() -> bool:
        unlike[:] = differences(await seen(phone.client), await seen(fresh.client))
        return not unlike

    try:
        await until(equal, 60)
    except trio.TooSlowError:
        raise AssertionError(
            f"{phone.user}'s {phone.name} and a new one differ: {unlike}"
        ) from None


def messages(log: Audit, room: str) -> Iterator[Entry]:
    """That nobody has deleted."""
    deleted = {
        value_of(pb.Event.from_binary(entry.body)).uuid
        for entry in log.entries
        if entry.kind == Kind.MESSAGE_DELETED and entry.body is not None
    }
    for entry in log.entries:
        is_there = entry.kind == Kind.NEW_MESSAGE and text_of(entry.id) not in deleted
        if is_there and conversation_in(entry) == room:
            yield entry


def check_seen(log: Audit, user: str, shown: dict[str, Any]) -> None:
    """The user is where the log says, and sees each message that is there, once, in its place."""
    there = {
        room for (who, room), periods in log.periods.items() if who == user and not periods[-1].left
    }
    assert there == shown["rooms"].keys(), f"in {there}, and shows {shown['rooms'].keys()}"
    for room in there:
        found = shown["rooms"][room]
        wanted = {
            entry.seq: text_of(entry.id)
            for entry in messages(log, room)
            if entry.seq is not None and entry.seq >= found["floor"]
        }
        came = {seq: message[0] for seq, message in found["messages"].items()}
        assert came == wanted, f"{room}: shows {came}, and the log has {wanted}"
