"""Kill -9 of a node that 20 devices talk to through a proxy that loses a fifth of the answers.

Some devices are grpcio's, some speak Connect's JSON over HTTP/1.1, some read server-sent events as
pages do. All write, edit, react and read in conversations that they share, send now and then what
has to be refused, and offer everything again until it is answered; their streams are cut, and go on
from a token or from the last event. In the end what was made is what is stored is what each device
was sent: nothing lost, nothing doubled, each conversation in one order that is everybody's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import (
    device_id,
    event_id,
    text_of,
    user_id,
    uuid_of,
)
from postbox.home import DATABASE
from postbox.trust.keyfile import FILE_NAME, load_identity
from postbox.trust.keys import Identity
from postbox.world import SystemClock
from support.lossy_proxy import LossyProxy, lossy_proxy
from support.simulate import SeededRandom
from support.stock_clients import ConnectClient, GrpcClient, PageClient, StockClient
from torture.account import Broken
from torture.clients_host import Stored, kill_and_start, node_in, stored_in, token_for
from torture.phone import Phone, local_uuid
from torture.served import Nap

USERS = 10  # with two devices each
CONVERSATIONS, MEMBERS = 4, 6
ANSWERS_LOST, CHUNKS_CUT = 0.2, 0.01
LONGEST_S = 3.0  # from one kill to the next: a node is ready after a second or two
LONGEST_DOWN_S = 0.5
PATIENCE_S = 300.0  # for all to be settled and seen, on a machine that is busy with everything else


def torture_clients(
    folder: Path,
    store: str,
    is_over: Callable[[int, int], bool],
    seed: int,
    tell: Callable[[str], None],
    nap: Nap,
) -> str:
    """What came of it. `store`: a database's URL, or nothing for SQLite. `is_over` is asked with
    the number of kills and of settled events. Raises Broken."""
    random, kills = SeededRandom(seed), 0
    with ExitStack() as stack:
        node = node_in(folder, store, nap)
        stack.callback(node.kill)
        node.start()
        node.wait_ready()
        port = int(node.url.rpartition(":")[2])
        losses = {"answers_lost": ANSWERS_LOST, "chunks_cut": CHUNKS_CUT}
        proxy = stack.enter_context(lossy_proxy(port, seed, **losses))
        phones = list(_phones(load_identity(node.home / FILE_NAME), proxy.url, seed, nap))
        with _at_work(phones) as work:
            work.wait(lambda: all(phone.caught_up.is_set() for phone in phones), nap, "caught up")
            proxy.loses = True
            work.begin()
            while not is_over(kills, _settled(phones)):
                nap(random.fraction() * LONGEST_S)
                kill_and_start(node, random, LONGEST_DOWN_S, nap)
                kills += 1
                work.check()
                tell(f"{kills} kills, {_settled(phones)} settled")
            work.end(nap)
            stored = stored_in(store or str(node.home / DATABASE))
            work.wait(lambda: all(_sees_all(phone, stored) for phone in phones), nap, "seen")
        node.kill()
        node.check_log()
        made = _check(phones, stored_in(store or str(node.home / DATABASE)))
        return _summary(kills, made, proxy, phones)


def _summary(kills: int, made: int, proxy: LossyProxy, phones: Sequence[Phone]) -> str:
    anew = sum(phone.told_twice for phone in phones)
    streams = sum(phone.streams for phone in phones)
    return (
        f"{kills} kills of the node, {proxy.lost} of {proxy.answers} answers lost;"
        f" {len(phones)} devices, {streams} streams; {made} events made, stored and seen by"
        f" everybody, {anew} answers given anew, 0 lost, 0 doubled"
    )


def _settled(phones: Sequence[Phone]) -> int:
    return sum(phone.settled for phone in phones)


# -- who takes part -----------------------------------------------------------------------------


def _phones(identity: Identity, url: str, seed: int, nap: Nap) -> Iterator[Phone]:
    """Signed in, each knowing its user's conversations."""
    clients = {(user, device): _client(identity, url, user, device) for user, device in _devices()}
    for client in clients.values():
        client.sync({})
    conversations = [_conversation(clients, at) for at in range(CONVERSATIONS)]
    for at, ((user, device), client) in enumerate(clients.items()):
        own = [uuid for which, uuid in enumerate(conversations) if user in _members(which)]
        random = SeededRandom(seed * 1_000 + at)
        yield Phone(f"user{user}", device, client, own, bool(at // 2 % 2), random, nap)


def _devices() -> Iterator[tuple[int, str]]:
    for user in range(USERS):
        yield user, "grpc"
        yield user, "page" if user % 2 else "connect"


def _client(identity: Identity, url: str, user: int, device: str) -> StockClient:
    token = token_for(identity, f"user{user}", device)
    kinds: dict[str, Callable[[str, str], StockClient]] = {
        "grpc": GrpcClient,
        "connect": ConnectClient,
        "page": PageClient,
    }
    return kinds[device](url, token)


def _members(conversation: int) -> list[int]:
    return [(conversation * 3 + at) % USERS for at in range(MEMBERS)]


def _conversation(clients: dict[tuple[int, str], StockClient], at: int) -> str:
    owner, *others = _members(at)
    members = [{"name": f"user{user}"} for user in others]
    made = {"uuid": local_uuid(10**9 + at), "conversationCreated": {"members": members}}
    [told] = clients[owner, "grpc"].sync({"events": [made]})["events"]
    return str(told["uuid"])


@dataclass
class Work:
    """Of all devices: their threads."""

    phones: Sequence[Phone]
    _threads: list[threading.Thread] = field(default_factory=list)
    _failed: list[BaseException] = field(default_factory=list)

    def start(self, *work: Callable[[], None]) -> None:
        for each in work:
            thread = threading.Thread(target=partial(self._run, each))
            thread.start()
            self._threads.append(thread)

    def begin(self) -> None:
        self.start(*(phone.offer for phone in self.phones))

    def end(self, nap: Nap) -> None:
        for phone in self.phones:
            phone.stop_making()
        self.wait(lambda: all(phone.is_settled for phone in self.phones), nap, "settled")

    def stop(self) -> None:
        for phone in self.phones:
            phone.stop()
        for thread in self._threads:
            thread.join()

    def wait(self, condition: Callable[[], bool], nap: Nap, what: str) -> None:
        until_s = SystemClock().elapsed_s() + PATIENCE_S
        while not condition():
            self.check()
            if SystemClock().elapsed_s() > until_s:
                raise Broken(f"after {PATIENCE_S:.0f} s not all is {what}")
            nap(0.1)

    def check(self) -> None:
        for failure in self._failed:
            raise failure

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            self._failed.append(failure)


@contextmanager
def _at_work(phones: Sequence[Phone]) -> Iterator[Work]:
    work = Work(phones)
    work.start(*(phone.listen for phone in phones))
    try:
        yield work
    finally:
        work.stop()
    work.check()


# -- what came of it ----------------------------------------------------------------------------


def _sees_all(phone: Phone, stored: dict[str, list[Stored]]) -> bool:
    return all(
        len(phone.seen[conversation]) == len(stored[conversation]) - 1
        for conversation in phone.conversations
    )


def _check(phones: Sequence[Phone], stored: dict[str, list[Stored]]) -> int:
    """How many numbered events there are. Raises Broken."""
    texts: dict[str, str] = {}
    for phone in phones:
        texts |= _check_made(phone, stored)
    for phone in phones:
        for conversation in phone.conversations:
            _check_seen(phone, conversation, stored[conversation][1:], texts)
    return sum(len(entries) - 1 for entries in stored.values())


def _check_made(phone: Phone, stored: dict[str, list[Stored]]) -> dict[str, str]:
    """All that it made is stored once, under the uuid that it was told, in the order in which it
    was made. Returns its messages' texts."""
    own = device_id(user_id(phone.user), phone.device)
    uuid_by_number = {
        made.number: text_of(event_id(own, uuid_of(local_uuid(made.number)) or b""))
        for made in phone.made
    }
    told = {made.number: uuid_by_number[made.number] for made in phone.made if made.is_good}
    if told != phone.answered:
        raise Broken(f"{phone.name} was told other uuids than its events have")
    for conversation in phone.conversations:
        expected = [
            uuid_by_number[made.number]
            for made in phone.made
            if made.is_numbered and made.conversation == conversation
        ]
        there = [
            entry.uuid
            for entry in stored[conversation]
            if entry.device == own and entry.kind != Kind.CONVERSATION_CREATED
        ]
        if there != expected:
            raise Broken(f"{phone.name} made {len(expected)} in order, and {len(there)} are there")
    return {
        uuid_by_number[made.number]: made.text
        for made in phone.made
        if made.kind == "sendingNewMessage"
    }


def _check_seen(
    phone: Phone, conversation: str, stored: Sequence[Stored], texts: dict[str, str]
) -> None:
    seen = phone.seen[conversation]
    if [each.uuid for each in seen] != [entry.uuid for entry in stored]:
        raise Broken(f"{phone.name} saw {len(seen)} of {len(stored)}, or another order")
    for each in seen:
        if each.text is not None and each.text != texts[each.uuid]:
            raise Broken(f"{phone.name} saw another text of {each.uuid}")
