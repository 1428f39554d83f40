"""Processes that write and tail (`several.write_and_tail`), from outside, and what became of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from postbox.store.contract import Entry, Lane
from postbox.store.postgres.driver import open_postgres
from postbox.world import FileDisk
from support.children import command, environment
from support.several import WINDOWS, Account, Commit
from support.toy_chat import MIGRATIONS
from support.witness import until


@dataclass
class Child:
    popen: subprocess.Popen[str]
    acknowledged: Path
    account: Path

    def ask(self, answer: str) -> None:
        self.tell()
        self.hear(answer)

    def tell(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write("go on\n")
        self.popen.stdin.flush()

    def hear(self, line: str) -> None:
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == f"{line}\n"

    def acks(self) -> list[tuple[int, bytes]]:
        """What was acknowledged. Each was written by one call, so no line is half there."""
        lines = [line.split() for line in self.acknowledged.read_text().splitlines()]
        return [(int(pos), bytes.fromhex(shown)) for pos, shown in lines]

    async def acknowledge(self, more: int) -> None:
        """So many drafts more."""
        count = len(self.acks()) + more
        await until(lambda: len(self.acks()) >= count)

    def ended(self) -> Account:
        assert self.popen.wait() == 0
        return msgspec.msgpack.decode(self.account.read_bytes(), type=Account)


@contextmanager
def child(url: str, seed: int, folder: Path) -> Iterator[Child]:
    acknowledged, account = folder / f"{seed}.acks", folder / f"{seed}.account"
    with subprocess.Popen(
        command("write-and-tail", url, str(seed), str(acknowledged), str(account)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as popen:
        try:
            one = Child(popen, acknowledged, account)
            one.hear("writing")
            yield one
        finally:
            popen.kill()


def name_of(url: str) -> str:
    """Of a database of the tests."""
    return url.split("@/")[1].split("?")[0]


def stored_at(url: str) -> list[Entry]:
    store = open_postgres(FileDisk(), url, [MIGRATIONS], bytes(16), bytes(32))
    try:
        page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10**9, 2**40))
        return list(page.entries)
    finally:
        store.close()


def check_log(
    everybody: Sequence[Child], accounts: Sequence[Account], stored: Sequence[Entry]
) -> None:
    """`accounts` of those who lived to the end, the first of them from the beginning."""
    everything = accounts[0].commits
    for account in accounts:
        check_told(account, everything, stored)
        check_seen(account, stored)
    removed = {pos for _, _, removes, _ in everything for pos in removes}
    assert removed, "nothing was removed"
    there = {(entry.pos, entry.id) for entry in stored}
    acknowledged = {ack for one in everybody for ack in one.acks()}
    assert {pos for pos, _ in acknowledged - there} <= removed, "what was acknowledged is lost"


def check_told(account: Account, everything: Sequence[Commit], stored: Sequence[Entry]) -> None:
    """A follower of a process that came later was told the same from then on. Entries that another
    process had removed again by then may be missing."""
    before = len(everything) - len(account.commits)
    assert [(head, *rest) for head, _, *rest in account.commits] == [
        (head, *rest) for head, _, *rest in everything[before:]
    ]
    since = everything[before - 1][0] if before else 0
    positions = [pos for _, entries, _, _ in account.commits for pos in entries]
    assert positions == sorted(set(positions))
    assert {entry.pos for entry in stored if entry.pos > since} <= set(positions)


def check_seen(account: Account, stored: Sequence[Entry]) -> None:
    """Each reader began at the beginning of the log."""
    assert len(account.readers) == len(WINDOWS)
    for seen, windows in zip(account.readers, WINDOWS, strict=True):
        streams = None if windows is None else {window.stream for window in windows}
        positions = [pos for pos, _ in seen]
        assert positions == sorted(set(positions))
        wanted = [e for e in stored if streams is None or e.stream in streams]
        assert {(entry.pos, entry.id) for entry in wanted} <= set(seen)
