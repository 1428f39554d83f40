"""Kill -9 of devices with the client library, and of the node that they call through a proxy that
loses a fifth of the answers.

Six devices of three users, on Trio and asyncio, by Connect and gRPC, each a process with a file of
its own: they write, edit, react and read in conversations that all share, are killed at any moment
and go on from their files. In the end what a device said to have made is what is stored, once and
in order, and what every device shows, one with an empty file among them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from msgspec import structs

from postbox.client.core.ids import user_uuid
from postbox.client.credentials import once_uuid
from postbox.client.transport.open import Kind
from postbox.clients.events.kinds import Kind as EventKind
from postbox.clients.ids import device_id, event_id, text_of, user_id, uuid_of
from postbox.home import DATABASE
from postbox.trust.keyfile import FILE_NAME, load_identity
from postbox.trust.keys import Identity
from postbox.world import SystemClock
from support.lossy_proxy import lossy_proxy
from support.simulate import SeededRandom
from support.stock_clients import ConnectClient
from torture.account import Broken
from torture.clients_host import Stored, kill_and_start, node_in, stored_in, token_for
from torture.library_device import REACTS, Device, Line, View, live
from torture.phone import local_uuid
from torture.served import Nap

USERS = ("ann", "bob", "cid")
ROOMS = 3
WAYS: Sequence[tuple[Literal["trio", "asyncio"], Kind]] = (
    ("trio", "connect"),
    ("asyncio", "connect"),
    ("trio", "grpc"),
)
ANSWERS_LOST, CHUNKS_CUT = 0.2, 0.01
DEVICES_A_NODE = 5  # that are killed for each kill of the node
LONGEST_S, LONGEST_DOWN_S = 0.6, 0.2  # of a device, from one kill to the next
PATIENCE_S = 300.0

CONTEXT = multiprocessing.get_context("forkserver")
"""Devices begin as copies of a process that has loaded everything, and has no threads."""


@dataclass
class Handset:
    """A device over all its lives."""

    device: Device
    made: int = 0
    view: View | None = None
    _pipe: Connection | None = None
    _process: BaseProcess | None = None

    @property
    def name(self) -> str:
        return f"{self.device.user}/{self.device.name}"

    def start(self) -> None:
        self._pipe, its = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=live, args=(its, self.device, self.made))
        self._process.start()
        its.close()

    def ask(self) -> None:
        """For what its user sees, once it has nothing more to send; it makes nothing new."""
        assert self._pipe is not None
        self.view = None
        self._pipe.send(None)

    def hear(self) -> None:
        """Raises Broken."""
        assert self._pipe is not None
        assert self._process is not None
        with suppress(EOFError, ConnectionResetError):
            while self._pipe.poll():
                self._take(self._pipe.recv())
        if self._process.exitcode is not None:
            raise Broken(f"{self.name} ended by itself, with {self._process.exitcode}")

    def _take(self, told: int | View) -> None:
        if isinstance(told, dict):
            self.view = told
        elif told != self.made + 1:
            raise Broken(f"{self.name} has made {told} after {self.made}")
        else:
            self.made = told

    def kill(self) -> None:
        """What it has told until then counts."""
        if self._process is None or self._pipe is None:
            return
        self.hear()
        self._process.kill()
        self._process.join()
        with suppress(EOFError, ConnectionResetError):
            while True:
                self._take(self._pipe.recv())
        self._pipe.close()
        self._process = self._pipe = None


@dataclass
class Household:
    """The devices, and what has been done to them."""

    handsets: Sequence[Handset]
    nap: Nap
    random: SeededRandom
    kills: int = 0

    @property
    def made(self) -> int:
        return sum(handset.made for handset in self.handsets)

    def kill_some(self) -> None:
        for _ in range(DEVICES_A_NODE):
            self.nap(self.random.fraction() * LONGEST_S)
            handset = self.handsets[int(self.random.fraction() * len(self.handsets))]
            handset.kill()
            self.nap(self.random.fraction() * LONGEST_DOWN_S)
            handset.start()
            self.kills += 1
            for each in self.handsets:
                each.hear()

    def settle(self) -> None:
        """Until nobody makes anything new, and everybody shows all that was made. Raises Broken."""
        for handset in self.handsets:
            handset.ask()
        for handset in self.handsets:
            self._wait(handset, lambda handset: handset.view is not None)
        for handset in self.handsets:
            self._wait(handset, self._shows_all)

    def _shows_all(self, handset: Handset) -> bool:
        if handset.view is None:
            return False
        is_all = sum(map(len, handset.view.values())) == self.made
        if not is_all:
            handset.ask()
        return is_all

    def _wait(self, handset: Handset, is_so: Callable[[Handset], bool]) -> None:
        until_s = SystemClock().elapsed_s() + PATIENCE_S
        while not is_so(handset):
            if SystemClock().elapsed_s() > until_s:
                shown = "nothing" if handset.view is None else sum(map(len, handset.view.values()))
                raise Broken(f"{handset.name} shows {shown} of {self.made} after {PATIENCE_S:g} s")
            self.nap(0.1)
            handset.hear()


def torture_library(
    folder: Path,
    store: str,
    is_over: Callable[[int, int], bool],
    seed: int,
    tell: Callable[[str], None],
    nap: Nap,
) -> str:
    """As `clients.torture_clients`."""
    random, kills = SeededRandom(seed), 0
    with ExitStack() as stack:
        node = node_in(folder, store, nap)
        stack.callback(node.kill)
        node.start()
        node.wait_ready()
        losses = {"answers_lost": ANSWERS_LOST, "chunks_cut": CHUNKS_CUT}
        port = int(node.url.rpartition(":")[2])
        proxy = stack.enter_context(lossy_proxy(port, seed, **losses))
        identity = load_identity(node.home / FILE_NAME)
        handsets = list(_handsets(identity, node.url, proxy.url, folder))
        household = Household(handsets, nap, random)
        proxy.loses = True
        with _running(handsets):
            while not is_over(kills, household.made):
                household.kill_some()
                kill_and_start(node, random, LONGEST_DOWN_S, nap)
                kills += 1
                tell(f"{kills} kills, {household.kills} of devices, {household.made} made")
            proxy.loses = False
            handsets.append(_newcomer(identity, handsets[0].device, folder))
            handsets[-1].start()
            household.settle()
        node.kill()
        node.check_log()
        _check(handsets, stored_in(store or str(node.home / DATABASE)))
    return (
        f"{kills} kills of the node, {household.kills} of devices, {proxy.lost} of {proxy.answers}"
        f" answers lost; {len(handsets)} devices; {household.made} messages made, stored and seen"
        f" by everybody, 0 lost, 0 doubled"
    )


@contextmanager
def _running(handsets: list[Handset]) -> Iterator[None]:
    CONTEXT.set_forkserver_preload(["torture.library_device"])
    for handset in handsets:
        handset.start()
    try:
        yield
    finally:
        for handset in handsets:
            with suppress(Broken):
                handset.kill()


# -- who takes part -----------------------------------------------------------------------------


def _handsets(identity: Identity, url: str, proxy_url: str, folder: Path) -> Iterator[Handset]:
    rooms = _rooms(identity, url)
    for at in range(2 * len(USERS)):
        user, name = USERS[at // 2], f"device{at % 2}"
        loop, transport = WAYS[at % len(WAYS)]
        token, path = token_for(identity, user, name), str(folder / f"{user}-{name}.db")
        yield Handset(Device(proxy_url, user, name, token, path, rooms, loop, transport))


def _newcomer(identity: Identity, like: Device, folder: Path) -> Handset:
    """Another device of the user, which is sent everything."""
    token, path = token_for(identity, like.user, "newcomer"), str(folder / "newcomer.db")
    device = structs.replace(like, name="newcomer", token=token, path=path, makes=False)
    return Handset(device)


def _rooms(identity: Identity, url: str) -> tuple[str, ...]:
    """Conversations of all, made by a device that does nothing else."""
    with closing(ConnectClient(url, token_for(identity, USERS[0], "maker"))) as maker:
        for user in USERS:
            with closing(ConnectClient(url, token_for(identity, user, "device0"))) as client:
                client.sync({})
        members = [{"name": user} for user in USERS[1:]]
        made = [
            {"uuid": local_uuid(at), "conversationCreated": {"members": members}}
            for at in range(1, ROOMS + 1)
        ]
        return tuple(str(told["uuid"]) for told in maker.sync({"events": made})["events"])


# -- what came of it ----------------------------------------------------------------------------


def _check(handsets: Sequence[Handset], stored: dict[str, list[Stored]]) -> None:
    """Raises Broken."""
    lines: dict[str, Line] = {}
    for handset in handsets:
        lines |= _check_made(handset, stored)
    for room, entries in stored.items():
        shown = [lines[each.uuid] for each in entries if each.kind == EventKind.NEW_MESSAGE]
        for handset in handsets:
            assert handset.view is not None
            if handset.view[room] != shown:
                raise Broken(f"{handset.name} shows something else in {room}")


def _check_made(handset: Handset, stored: dict[str, list[Stored]]) -> dict[str, Line]:
    """Its messages are stored once each, in the order in which it made them. Returns what is to be
    read of each."""
    device, lines = handset.device, dict[str, Line]()
    own = device_id(user_id(device.user), device.name)
    uuids = {
        number: text_of(event_id(own, uuid_of(once_uuid(str(number))) or b""))
        for number in range(1, handset.made + 1)
    }
    for room in device.rooms if device.makes else ():
        made = [number for number in uuids if device.room_of(number) == room]
        there = [
            each.uuid
            for each in stored[room]
            if each.device == own and each.kind == EventKind.NEW_MESSAGE
        ]
        if there != [uuids[number] for number in made]:
            raise Broken(f"{handset.name} made {len(made)} in order, and {len(there)} are there")
    for number, uuid in uuids.items():
        reactions = [f"ok {user_uuid(device.user)}"] if number % 10 == REACTS else []
        lines[uuid] = Line(uuid, device.text_of(number), reactions)
    return lines
