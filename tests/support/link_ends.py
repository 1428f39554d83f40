"""The two ends of a link to test: nodes whose logs can crash and be put back.

Nothing here sends by itself: what one end gives as bytes, the test hands to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import apsw
import trio

from postbox.errors import Fatal
from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.audit import find_broken_links
from postbox.hosts.links.links import Links
from postbox.hosts.links.policy import Content, Judged
from postbox.hosts.links.postings import Posting, posted
from postbox.hosts.links.retention import Keep, Retention
from postbox.hosts.links.room import Room
from postbox.hosts.links.rules import HostRules, LinkDraft
from postbox.hosts.sending.intake import Intake, Taken
from postbox.hosts.tables import MIGRATIONS, in_reader, in_stream, out_stream
from postbox.hosts.wire import read_event
from postbox.log.audit import find_gaps
from postbox.log.epoch import renew_epoch
from postbox.log.outbox import Outbox, UnknownReader
from postbox.rules import Accepted, Payer, Reason, RowKey, State
from postbox.store.contract import Entry, Lane, Table, Window
from support.faulty import When
from support.kernel import Kernel, open_kernel
from support.memory_net import MemoryNet
from support.postgres import Server
from support.simulate import MemoryDisk, Node, Severed

GOOD, BAD = "good", "bad"


class Picky:
    """Takes no event of the type `BAD`, until it is told to."""

    tables: tuple[Table, ...] = ()

    def __init__(self) -> None:
        self.takes_bad = False

    def needs(self, host: str, contents: Sequence[Content], state: State) -> Iterable[RowKey]:
        return ()

    def judge(self, host: str, contents: Sequence[Content], state: State, at_ms: int) -> Judged:
        for at, content in enumerate(contents):
            if content.type_url == BAD and not self.takes_bad:
                return Judged(at, Reason("bad", "it is bad"))
        return Judged(len(contents))


class Shelf(Protocol):
    """A database, and copies of it."""

    disk: MemoryDisk

    @property
    def database(self) -> str: ...

    def save(self) -> int: ...

    def put_back(self, copy: int) -> None:
        """While nobody has it open."""
        ...


class MemoryShelf:
    """`database` may be a URL where no copies are made."""

    def __init__(self, database: str = "node.db") -> None:
        self.database = database
        self.disk = MemoryDisk()
        self._copies: list[apsw.Connection] = []

    def save(self) -> int:
        copy = apsw.Connection(":memory:")
        _copy(self.disk.open_database(self.database), copy)
        self._copies.append(copy)
        return len(self._copies) - 1

    def put_back(self, copy: int) -> None:
        _copy(self._copies[copy], self.disk.open_database(self.database))


def _copy(source: apsw.Connection, target: apsw.Connection) -> None:
    with target.backup("main", source, "main") as backup:
        backup.step()


class ServerShelf:
    """On PostgreSQL; a copy is a database of its own."""

    def __init__(self, server: Server, name: str) -> None:
        self.disk = MemoryDisk()
        self._server = server
        self._name = name
        self._copies: list[str] = []
        self._make(name, "template0")

    @property
    def database(self) -> str:
        return self._server.url(self._name)

    def save(self) -> int:
        copy = f"{self._name}_{len(self._copies)}"
        self._make(copy, self._name)
        self._copies.append(copy)
        return len(self._copies) - 1

    def put_back(self, copy: int) -> None:
        self._drop(self._name)
        self._make(self._name, self._copies[copy])

    def close(self) -> None:
        for name in (self._name, *self._copies):
            self._drop(name)

    def _make(self, name: str, template: str) -> None:
        self._server.run(f"create database {name} template {template}")

    def _drop(self, name: str) -> None:
        self._server.run(f"drop database {name} with (force)")


class End:
    """A node, from one start to the next. `host`: its name; `other`: that of the other end."""

    def __init__(self, host: str, other: str, shelf: Shelf, nursery: trio.Nursery) -> None:
        self.host = host
        self.other = other
        self.shelf = shelf
        self.policy = Picky()
        self.rules = HostRules(self.policy)
        self.fail_next: When | None = None
        self.posted = 0
        self.retain_mib = 256
        self._nursery = nursery
        self._lives = 0
        self._is_crashing = False
        self._kernel: Kernel
        self.outbox: Outbox
        self.links: Links
        self.intake: Intake
        self.room: Room

    async def start(self) -> None:
        self._lives += 1
        self.fail_next = None
        seed = self._lives << 8 | ord(self.host[0])
        self._node = Node(MemoryNet(), self.shelf.disk, seed)
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        await self._nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        world = self._node.world
        database = self.shelf.database
        try:
            with self._scope:
                async with open_kernel(
                    world, self._fails, migrations=[MIGRATIONS], database=database
                ) as kernel:
                    self._kernel = kernel
                    runner, admission = kernel.runner, kernel.admission
                    self.outbox = Outbox(world, runner, kernel.tail, admission)
                    kernel.tail.follow(self.outbox)
                    self.links = Links(world, runner, self.outbox, admission, self.rules)
                    self.room = Room(world.clock, runner, self.retain_mib)
                    kernel.tail.follow(self.room)
                    self.intake = Intake(world, admission, self.rules, self.links, self.room)
                    task_status.started()
                    await trio.sleep_forever()
        except* (Severed, Fatal):  # what a crash looks like from inside
            assert self._is_crashing
        self._ended.set()

    def _fails(self, _write: int) -> When | None:
        when, self.fail_next = self.fail_next, None
        return when

    async def stop(self) -> None:
        self._scope.cancel()
        await self._ended.wait()

    async def crash(self) -> None:
        self._is_crashing = True
        self._node.sever()
        await self.stop()
        self._is_crashing = False

    async def save(self) -> int:
        await self.stop()
        copy = self.shelf.save()
        await self.start()
        return copy

    async def put_back(self, copy: int) -> None:
        """As `postbox restore` does: the log's epoch is another one then."""
        await self.stop()
        self.shelf.put_back(copy)
        await self.start()
        await renew_epoch(self._kernel.runner, self._node.world)
        await self.stop()
        await self.start()

    # What it does.

    async def post(self, payloads: Sequence[tuple[str, bytes]]) -> int:
        """The first one's number."""
        world = self._node.world
        events = tuple([posted(world.new_id(), kind, value, 1) for kind, value in payloads])
        draft = Posting(Payer("operator", ""), self.other, events)
        [outcome] = await self._kernel.admission.submit(self.rules, [draft])
        assert isinstance(outcome, Accepted)
        assert outcome.seq is not None
        return outcome.seq

    async def take(self, events: Sequence[Arrived]) -> Taken:
        return await self.intake.take(self.other, events)

    async def inbox(self, after: int) -> list[tuple[int, Arrived]]:
        """What came, beyond this number of the inbox."""
        entries = await self._entries(in_stream(self.other))
        return [
            (entry.seq, read_event(entry.body or b""))
            for entry in entries
            if entry.seq is not None and entry.seq > after
        ]

    async def handle(self, count: int) -> None:
        """As handlers do, of which none fails."""
        reader = in_reader(self.other)
        with suppress(UnknownReader):
            due = await self.outbox.page(reader, limit=count)
            if due.entries:
                await self.outbox.ack(reader, due.entries[-1].pos)

    async def trim(self, keep: Keep) -> None:
        await self._retention(keep).trim()

    async def retain(self, keep: Keep) -> None:
        """Until cancelled."""
        await self._retention(keep).run()

    def _retention(self, keep: Keep) -> Retention:
        kernel, world = self._kernel, self._node.world
        parts = (world, kernel.runner, self.outbox, kernel.admission, self.rules)
        return Retention(*parts, keep, self.room)

    async def submit(self, draft: LinkDraft) -> None:
        await self._kernel.admission.submit(self.rules, [draft])

    async def sent(self) -> Sequence[Entry]:
        """The postings that are in the log."""
        return await self._entries(out_stream(self.other))

    async def kept(self) -> set[int]:
        """The numbers of postings that are in the log."""
        return {entry.seq for entry in await self.sent() if entry.seq is not None}

    async def _entries(self, stream: bytes) -> Sequence[Entry]:
        windows = [Window(stream)]
        page = await self._kernel.runner.read(
            lambda reader: reader.page(Lane.HOSTS, windows, 0, 10_000, 2**30)
        )
        return page.entries

    async def problems(self) -> list[str]:
        """What `verify` says."""
        read = self._kernel.runner.read
        return [*await read(find_gaps), *await read(find_broken_links)]
