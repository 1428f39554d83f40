"""One of a node's processes, as far as the log goes: store, tail, admission, and what is told."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import trio
from msgspec import Struct

from postbox.errors import Unavailable
from postbox.log.committed import Committed, Interest
from postbox.log.epoch import History
from postbox.log.feed import feed
from postbox.log.retries import Retries
from postbox.log.tail import Tail
from postbox.rules import Accepted, Duplicate, Outcome
from postbox.store.contract import Entry, Lane, Store, Window, Windows
from postbox.world import World, system_world
from support.faulty import When, never
from support.kernel import Kernel, Recorder, open_kernel
from support.simulate import SeededRandom
from support.toy_chat import ChatDraft, ToyChat, Verb

VERBS: list[Verb] = ["send", "send", "send", "rename", "remove", "blank"]
CHATS = [b"a", b"b", b"c"]
USERS = 5
SUBMITTERS = 12


@dataclass(frozen=True)
class Process:
    kernel: Kernel
    recorder: Recorder

    @property
    def tail(self) -> Tail:
        return self.kernel.tail

    async def submit(self, *drafts: ChatDraft) -> list[Outcome]:
        return await self.kernel.admission.submit(ToyChat(), drafts)

    async def history(self) -> History:
        return History((await self.kernel.runner.identity()).epoch, self.tail)

    async def hear(self) -> None:
        """Until cancelled."""
        await feed(self.kernel.runner, self.tail, (await self.history()).expect)


@asynccontextmanager
async def process(
    world: World,
    url: str,
    fails: Callable[[int], When | None] = never,
    wrap: Callable[[Store], Store] = lambda store: store,
) -> AsyncIterator[Process]:
    """Hears nothing of the others by itself."""
    recorder = Recorder()
    opening = open_kernel(world, fails, wrap=wrap, followers=[recorder], database=url)
    async with opening as kernel:
        yield Process(kernel, recorder)


@dataclass
class ToldOnce:
    """A reader: what it saw is in order, and nothing twice."""

    windows: Windows | None = None
    limit: int = 7
    seen: list[tuple[int, bytes]] = field(default_factory=list)
    after: int = 0

    async def read(self, tail: Tail) -> None:
        """Until cancelled. A page that the database could not give is asked for again."""
        streams = None if self.windows is None else frozenset(w.stream for w in self.windows)
        retries = Retries()
        while True:
            await tail.wait(Interest(Lane.CLIENTS, streams), self.after)
            try:
                page = await tail.page(Lane.CLIENTS, self.windows, self.after, self.limit)
            except Unavailable:
                await retries.wait()
                continue
            retries.succeeded()
            self.seen += [(entry.pos, entry.id) for entry in page.entries]
            self.after = page.next

    async def has_read_all(self, own: Process) -> None:
        """Returns when it saw the newest entry of its windows."""
        page = await own.kernel.runner.read(
            lambda reader: reader.page(Lane.CLIENTS, self.windows, 0, 10**9, 2**40)
        )
        newest = page.entries[-1].pos
        while not self.seen or self.seen[-1][0] < newest:  # noqa: ASYNC110  (it has no event)
            await trio.sleep(0.01)

    @property
    def positions(self) -> list[int]:
        return [pos for pos, _ in self.seen]

    def check(self, stored: Sequence[Entry]) -> None:
        """Against the log in the end. What was removed meanwhile may have been seen or not."""
        assert self.positions == sorted(set(self.positions))
        names = None if self.windows is None else {window.stream for window in self.windows}
        wanted = {(e.pos, e.id) for e in stored if names is None or e.stream in names}
        assert wanted <= set(self.seen), "an entry was not seen"


def told(commits: Sequence[Committed]) -> list[object]:
    """What every process is told alike, whoever wrote."""
    return [
        (each.head, [*each.removes], [*each.blanks], {k: [*v] for k, v in each.rows.items()})
        for each in commits
    ]


def check_told(recorder: Recorder, stored: Sequence[Entry], since: int = 0) -> None:
    """Every entry once and in order; what is not in the log any more was told to be removed, before
    or after. Bodies are as they are stored, or were told to be erased."""
    entries = [entry for each in recorder.commits for entry in each.entries]
    assert [e.pos for e in entries] == sorted({e.pos for e in entries})
    removed = {pos for each in recorder.commits for pos in each.removes}
    blanked = {pos for each in recorder.commits for pos in each.blanks}
    known = {e.pos: e for e in entries if e.pos not in removed}
    assert {pos: e.id for pos, e in known.items()} == {e.pos: e.id for e in stored if e.pos > since}
    for entry in stored:
        if entry.pos in known and entry.body != known[entry.pos].body:
            assert entry.pos in blanked


async def stored_in(one: Process) -> list[Entry]:
    page = await one.kernel.runner.read(
        lambda reader: reader.page(Lane.CLIENTS, None, 0, 10**9, 2**40)
    )
    return list(page.entries)


def draft_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def opening() -> list[ChatDraft]:
    """Every chat, with all but one of its users."""
    drafts = []
    for at, chat in enumerate(CHATS):
        drafts.append(ChatDraft(draft_id(2**32 + 100 * at), "create", chat, user="user0"))
        for user in range(1, USERS - 1):
            one = draft_id(2**32 + 100 * at + user)
            drafts.append(ChatDraft(one, "join", chat, user=f"user{user}"))
    return drafts


def some_draft(random: SeededRandom, writer: int, ids: int = 64) -> ChatDraft:
    """Among them duplicates, refusals that are remembered, and others that leave no trace."""
    chat, verb, *rest = random.bytes(8)
    number, target = rest[0] << 8 | rest[1], rest[2] << 8 | rest[3]
    return ChatDraft(
        draft_id(number % ids),
        VERBS[verb % len(VERBS)],
        CHATS[chat % len(CHATS)],
        user=f"user{writer % USERS}",
        based_on=1 + target % 3,
        target=draft_id(target % ids),
    )


Commit: TypeAlias = tuple[int, list[int], list[int], list[int]]  # head, entries, removes, blanks

WINDOWS: list[list[Window] | None] = [None, [Window(b"b")], [Window(b"a"), Window(b"c")]]
"""Of the readers of a process."""


class Account(Struct):
    """What a process knows in the end: its followers' commits, and what its readers saw."""

    commits: list[Commit]
    readers: list[list[tuple[int, bytes]]]


async def write_and_tail(url: str, seed: int, acknowledged: str) -> Account:
    """A process of its own. Appends what was acknowledged to one file as it comes; at the first
    line on stdin writes no more and says `quiet`, after the second returns what its followers and
    readers were told."""
    commands = aiter(trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())))
    acks = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    readers = [ToldOnce(windows, limit=20 * at + 3) for at, windows in enumerate(WINDOWS)]
    async with process(system_world(), url) as own, trio.open_nursery() as nursery:
        nursery.start_soon(own.hear)
        for reader in readers:
            nursery.start_soon(reader.read, own.tail)
        await own.submit(*opening())
        async with trio.open_nursery() as writing:
            for writer in range(SUBMITTERS):
                random = SeededRandom(seed * SUBMITTERS + writer)
                writing.start_soon(_write, own, random, writer, acks)
            print("writing", flush=True)
            await anext(commands)
            writing.cancel_scope.cancel()
        await own.submit(*opening())  # after what was under way, which is committed all the same
        print("quiet", flush=True)
        await anext(commands)
        await own.tail.catch_up()
        for reader in readers:
            await reader.has_read_all(own)
        nursery.cancel_scope.cancel()
    commits = [
        (each.head, [e.pos for e in each.entries], [*each.removes], [*each.blanks])
        for each in own.recorder.commits
    ]
    return Account(commits, [reader.seen for reader in readers])


async def _write(own: Process, random: SeededRandom, writer: int, acks: int) -> None:
    while True:
        drafts = [some_draft(random, writer, ids=4_096) for _ in range(1 + random.bytes(1)[0] % 4)]
        for draft, outcome in zip(drafts, await own.submit(*drafts), strict=True):
            has_entry = draft.verb not in ("remove", "blank")
            if isinstance(outcome, Accepted | Duplicate) and has_entry:
                os.write(acks, f"{outcome.pos} {draft.id.hex()}\n".encode())
