"""Whatever users do and whatever breaks, their devices come to show the same: what was made was
stored or refused, what was stored was seen by who may see it, once and in order, and by no other.

Users with two devices each run random programs against the real door: all kinds of events, good
and bad, and those of another host; conversations that grow large and shrink; streams that are cut,
slow, displaced; answers that are lost and queues that are sent again; a host that is stopped,
crashes, and is put back from a backup. Then everything comes to rest; each device is compared with
a new one, and all of them with what the log alone says.
POSTBOX_MODEL_EXAMPLES makes it try more programs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from postbox.clients.identity.tokens import mint, token_key
from postbox.clients.ids import text_of, user_id
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Register
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.trust.keys import SEED_BYTES
from support.client_audit import Audit, audit
from support.client_device import differences
from support.client_door import message
from support.client_far_host import FAR, FarHost
from support.client_fleet import Away, Gadget, House
from support.postgres import Server
from support.simulate import MemoryDisk, Simulation, simulate

EXAMPLES = int(os.environ.get("POSTBOX_MODEL_EXAMPLES", "12"))
USERS = ("ann", "bob", "cat", "dan")
PNG = b"\x89PNG\r\n\x1a\n"
NOWHERE = "00000000-0000-4000-8000-00000000dead"
APPLICATION_FIELD = 77
CROWD = tuple(f"guest{number}" for number in range(98))
"""Users without a device here: with 96 of them a conversation of all is as large as may be if every
member is to be told what the others have read, and with 97 too large."""

MAKING = (
    *("send",) * 6,
    *("create", "add", "add", "remove", "leave", "edit", "delete", "react", "unreact", "read"),
    *("rename", "name", "picture", "foreign", "own", "bad", "crowd", "answer"),
)
DOING = (
    *("push",) * 5,
    *("listen",) * 3,
    *("pull", "pull", "hang up", "wait", "type", "look back", "far guild", "far invite"),
)
BREAKING = ("stop", "crash", "back up", "put back")


class Step(NamedTuple):
    what: str
    device: int
    a: int
    b: int


def steps(names: Sequence[str]) -> st.SearchStrategy[Step]:
    small = st.integers(0, 255)
    return st.builds(Step, st.sampled_from(names), st.integers(0, 2 * len(USERS) - 1), small, small)


programs = st.lists(
    st.sampled_from([MAKING] * 5 + [DOING] * 5 + [BREAKING]).flatmap(steps),
    min_size=40,
    max_size=100,
)


class Fleet:
    def __init__(
        self, simulation: Simulation, home: Path, nursery: trio.Nursery, store: str
    ) -> None:
        self.nursery = nursery
        self.house = House(simulation, home, nursery, store)
        self.far = FarHost()
        self.gadgets: list[Gadget] = []
        self.backups: list[MemoryDisk] = []
        self.conversations: list[str] = []  # all that any device ever knew
        self.messages: dict[str, str] = {}  # and where they are

    async def begin(self) -> None:
        """Everybody has signed in; there is a conversation of two, and a large one of all."""
        await self.house.start()
        await self._register(CROWD)
        for number, user in enumerate([*USERS, *USERS]):
            name = "phone" if number < len(USERS) else "tablet"
            self.gadgets.append(Gadget(self.house, number, user, name, self._token(user, name)))
        for gadget in self.gadgets:
            await gadget.push()
        ann, bob, *_ = self.gadgets
        rooms = ann.make(created("two", "bob")), bob.make(crowd("crowd", bob.user, 101))
        for gadget, room in zip((ann, bob), rooms, strict=True):
            for text in ("one", "two", "three"):
                gadget.make(message("", text), room, text=text)
            await gadget.push()
        for gadget in self.gadgets:
            await gadget.pull()

    async def _register(self, users: Sequence[str]) -> None:
        assert self.house.door is not None
        node = self.house.door.node
        new_id = node.world.new_id
        drafts = [DeviceDraft(new_id(), user, "phone", Register(0)) for user in users]
        await node.admission.submit(DeviceRules(), drafts)

    def _token(self, user: str, name: str) -> str:
        assert self.house.door is not None
        node = self.house.door.node
        now_ms = node.world.clock.now_ns() // 1_000_000
        return mint(
            token_key(node.identity.soul[:SEED_BYTES]),
            iss=node.identity.name,
            user=user,
            device=name,
            iat_ms=now_ms,
            exp_ms=now_ms + 30 * 86_400_000,
            jti=node.world.random.bytes(16),
        )

    async def run(self, program: Sequence[Step]) -> None:
        for step in program:
            gadget = self.gadgets[step.device]
            if step.what in MAKING:
                self.make(gadget, step)
                if step.a % 2:  # at once; else it waits for the next time
                    self.nursery.start_soon(push, gadget, True, 60.0)
            elif step.what in DOING:
                await self.do(gadget, step)
            else:
                await self.break_it(step)
            await trio.sleep(step.b % 64 / 1_000)
        await self.come_to_rest()
        await self.look()

    # -- what users do ----------------------------------------------------------------------------

    def make(self, gadget: Gadget, step: Step) -> None:
        conversation = self.conversation(gadget, step.a)
        target = self.message(gadget, conversation, step.b)
        other = [*USERS, *USERS, *CROWD[-2:]][step.b % (2 * len(USERS) + 2)]
        text = f"{gadget.user}'s {gadget.name} {len(gadget.made)}"
        more, content = b"", self.content(gadget, step, target, other, text)
        if step.what in ("create", "crowd", "name", "picture", "own", "answer"):
            conversation = ""
        if step.what in ("foreign", "own"):
            more = bytes_field(APPLICATION_FIELD, text.encode())
        if step.what == "bad" and step.b % 3 == 0:
            more = b"\xff\xff"
        gadget.make(content, conversation, more, text)

    def content(self, gadget: Gadget, step: Step, target: str, other: str, text: str) -> Any:
        if step.what in ("edit", "delete", "react", "unreact", "read"):
            return about_message(step.what, target, text)
        if step.what in ("name", "picture", "answer", "bad"):
            return self.own_content(gadget, step, target, text)
        match step.what:
            case "create":
                members = [user for bit, user in enumerate(USERS) if step.b >> bit & 1]
                return created(text, *members)
            case "crowd":
                return crowd(text, gadget.user, 100 + step.b % 2)
            case "send":
                return message("", text, target if step.b % 8 == 5 else "")
            case "add":
                history, role = bool(step.a & 64), pb.Role(step.a >> 7 & 1)
                return pb.MemberJoined(user=pb.User(name=other), history=history, role=role)
            case "remove":
                return pb.MemberLeft(userUuid=text_of(user_id(other)))
            case "leave":
                return pb.MemberLeft()
            case "rename":
                return pb.ConversationNameChanged(newName=text)
            case _:
                return None

    def own_content(self, gadget: Gadget, step: Step, target: str, text: str) -> Any:
        """Of no conversation, or of none that there is."""
        match step.what:
            case "answer":
                invites = sorted(gadget.model.state.invites) or [(FAR, "none")]
                host, invite = invites[step.b % len(invites)]
                return pb.InviteDecided(host=host, invite=invite, accepted=step.a % 4 < 3)
            case "name":
                return pb.DisplayNameChanged(newName=text)
            case "picture":
                return pb.ProfilePictureChanged(pngImage=PNG + text.encode())
            case _:
                return pb.NewMessage(uuid=target) if step.b % 2 else None

    def conversation(self, gadget: Gadget, at: int) -> str:
        """One that the device knows, or has in its queue; now and then another one."""
        known = sorted(gadget.model.state.conversations)
        self.conversations += [each for each in known if each not in self.conversations]
        if at % 16 == 15:
            return [*self.conversations, NOWHERE][at // 16 % (len(self.conversations) + 1)]
        found = [*known, *gadget.waiting("ConversationCreated")]
        return found[at % len(found)] if found else NOWHERE

    def message(self, gadget: Gadget, conversation: str, at: int) -> str:
        """One that the device knows, or has in its queue; now and then any of the conversation, as
        one from before its user joined, or another one."""
        state = gadget.model.state.conversations.get(conversation)
        known = list(state.messages) if state is not None else []
        self.messages.update(dict.fromkeys(known, conversation))
        if at % 16 > 12:
            is_any = at % 16 == 15
            there = [
                each for each, where in self.messages.items() if is_any or where == conversation
            ]
            return [*there, NOWHERE][at // 16 % (len(there) + 1)]
        found = [*known, *gadget.waiting("SendingNewMessage", conversation)]
        return found[-1 - at % min(len(found), 5)] if found else NOWHERE

    # -- what devices do --------------------------------------------------------------------------

    async def do(self, gadget: Gadget, step: Step) -> None:
        a, b, start = step.a, step.b, self.nursery.start_soon
        match step.what:
            case "push":
                start(push, gadget, a % 4 != 0, b % 16 / 1_000 if b % 3 == 0 else 60.0)
            case "pull":
                gadget.hang_up()
                per_frame, frames = (1, 3, 100)[a % 3], b % 12 if b % 2 else 0
                await gadget.pull(per_frame=per_frame, frames=frames, by_uuid=a % 4 == 3)
            case "listen":
                pause_s = (0.0, 0.0, 0.01, 5.0)[b % 4]
                gadget.listen(self.nursery, (1, 3, 100)[a % 3], a % 16 if a % 2 else 0, pause_s)
            case "hang up":
                gadget.hang_up()
            case "type":
                gadget.types = self.conversation(gadget, a)
                start(push, gadget, True, 60.0)
            case "look back":
                await gadget.look_back(self.conversation(gadget, a), b % 16, a % 7)
            case "far guild":
                user, guild = gadget.user, f"guild {a % 3}"
                self.far.joins(user, guild, str(b)) if b % 3 else self.far.leaves(user, guild)
                await self.hear_far_host()
            case "far invite":
                self.far.invites(gadget.user, f"invite {b}")
                await self.hear_far_host()
            case _:
                await trio.sleep(a / 10)

    async def hear_far_host(self) -> None:
        with suppress(Away):
            await self.house.through(lambda door: self.far.deliver(door, USERS))

    # -- what breaks ------------------------------------------------------------------------------

    async def break_it(self, step: Step) -> None:
        house = self.house
        match step.what:
            case "stop":
                await house.stop()
                await trio.sleep(step.a % 4)
                await house.start()
            case "crash":
                await house.crash()
                await trio.sleep(step.a % 4)
                await house.start()
            case "back up":
                self.backups += [] if house.store else [house.disk.copied()]
            case _:
                if self.backups:
                    await self.put_back(self.backups[step.a % len(self.backups)])
                    await self.hear_far_host()
                    for gadget in self.gadgets[step.b % 4 :: 3]:
                        await gadget.pull(by_uuid=True)

    async def put_back(self, backup: MemoryDisk) -> None:
        """What was sent until then is held against the log that is given up."""
        assert self.house.door is not None
        for gadget in self.gadgets:
            gadget.hang_up()
        await trio.lowlevel.checkpoint()
        before = await audit(self.house.door)
        await self.house.put_back(backup)
        for gadget in self.gadgets:
            before.check_sent(gadget)
            gadget.seen.clear()

    # -- at the end -------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        """Nothing breaks any more: every queue is answered, and every device has everything."""
        for gadget in self.gadgets:
            gadget.hang_up()
        await self.hear_far_host()
        head = -1
        for _ in range(60):
            for gadget in self.gadgets:
                await gadget.push()
                await gadget.pull()
            await trio.sleep(10)
            assert self.house.door is not None
            was, head = head, self.house.door.node.tail.head
            if was == head and all(gadget.is_settled for gadget in self.gadgets):
                return
        raise AssertionError("the devices do not come to rest")

    async def look(self) -> None:
        assert self.house.door is not None
        log = await audit(self.house.door)
        log.check_numbers()
        log.check_watermarks()
        for gadget in self.gadgets:
            await self.look_at(gadget, log)

    async def look_at(self, gadget: Gadget, log: Audit) -> None:
        assert self.house.door is not None
        log.check_made(gadget)
        log.check_sent(gadget)
        began = self.house.door.clients.reading.place_of(gadget.began)
        assert began is not None
        log.check_complete(gadget, began)
        for conversation in self.conversations:
            for before, limit in ((0, 200), (9, 4)):
                page = await gadget.look_back(conversation, before, limit)
                log.check_page(gadget.uuid, conversation, before, limit, page)
        anew = Gadget(self.house, gadget.number, gadget.user, gadget.name, gadget.token)
        assert await anew.pull(per_frame=10)
        unlike = differences(gadget.model, anew.model)
        assert not unlike, f"{gadget.user}'s {gadget.name} and a new one differ: {unlike}"


async def push(gadget: Gadget, is_answered: bool, cut_s: float) -> None:
    await gadget.push(is_answered=is_answered, cut_s=cut_s)


def about_message(what: str, target: str, text: str) -> Any:
    match what:
        case "edit":
            return pb.MessageEdited(uuid=target, message=pb.Message(text=text))
        case "delete":
            return pb.MessageDeleted(uuid=target)
        case "react":
            return pb.ReactionAdded(uuid=target, reaction="+")
        case "unreact":
            return pb.ReactionRemoved(uuid=target, reaction="+")
        case _:
            return pb.ReadNewMessage(uuid=target)


def created(name: str, *members: str) -> pb.ConversationCreated:
    return pb.ConversationCreated(name=name, members=[pb.User(name=user) for user in members])


def crowd(name: str, owner: str, members: int) -> pb.ConversationCreated:
    """With the owner."""
    everybody = [*USERS, *CROWD][:members]
    return created(name, *[user for user in everybody if user != owner])


def run(seed: int, program: Sequence[Step], store: str = "") -> None:
    async def main(simulation: Simulation) -> None:
        with tempfile.TemporaryDirectory() as home:
            async with trio.open_nursery() as nursery:
                fleet = Fleet(simulation, Path(home), nursery, store)
                await fleet.begin()
                await fleet.run(program)
                await fleet.house.stop()
                nursery.cancel_scope.cancel()

    simulate(seed, main)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), program=programs)
def test_every_device_comes_to_show_what_a_new_one_does(seed: int, program: list[Step]) -> None:
    run(seed, program)


def test_on_postgresql_too(postgres: Server) -> None:
    """Without backups: of a database they are its operator's."""

    @settings(max_examples=max(4, EXAMPLES // 3))
    @given(seed=st.integers(0, 2**32), program=programs)
    def try_it(seed: int, program: list[Step]) -> None:
        with postgres.database() as store:
            run(seed, program, store)

    try_it()
