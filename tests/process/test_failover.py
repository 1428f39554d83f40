"""A standby takes over in the middle of a load: with synchronous replication nothing is lost, and
without it every process of the node notices what is, by itself."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trio

from postbox.log.cursor import CursorKind, CursorProblem, Position, read_cursor, write_cursor
from postbox.node import MIGRATIONS
from postbox.store.contract import IDENTITY, Identity
from postbox.store.postgres.driver import PostgresStore, open_postgres
from postbox.world import FileDisk
from support.command import postbox, served, told
from support.mesh import small_history
from support.postgres import Pair
from support.tailing import check_log, child, stored_at
from support.witness import until

KIND = CursorKind.MESH
MORE = 200  # drafts that are acknowledged before the failover, and after it


async def test_with_synchronous_replication_nothing_is_lost_and_the_epoch_stays(
    pair: Pair, tmp_path: Path
) -> None:
    pair.primary.configure("synchronous_standby_names", "*")
    with ExitStack() as stack:
        children = [stack.enter_context(child(pair.url, seed, tmp_path)) for seed in range(2)]
        epoch = identity(pair.url).epoch
        for one in children:
            await one.acknowledge(MORE)
        pair.primary.stop("immediate")
        pair.standby.promote()
        for one in children:
            await one.acknowledge(MORE)
        for one in children:
            one.ask("quiet")
        for one in children:
            one.tell()
        accounts = [one.ended() for one in children]
    check_log(children, accounts, stored_at(pair.url))
    assert identity(pair.url).epoch == epoch


def opened(url: str) -> PostgresStore:
    return open_postgres(FileDisk(), url, MIGRATIONS, bytes(16), bytes(32))


def identity(url: str) -> Identity:
    store = opened(url)
    try:
        return store.identity()
    finally:
        store.close()


def former_epochs(url: str) -> bytes:
    store = opened(url)
    try:
        row = store.read(lambda reader: reader.rows(IDENTITY, [("former_epochs",)]))
        value = row[("former_epochs",)]
        assert value is not None
        assert isinstance(value[1], bytes)
        return value[1]
    finally:
        store.close()


def halves(folder: Path) -> tuple[Path, Path]:
    """Files of 300 events each."""
    history = small_history(600)
    early, late = folder / "early.jsonl", folder / "late.jsonl"
    early.write_bytes(b"\n".join(history[:300]))
    late.write_bytes(b"\n".join(history[300:]))
    return early, late


def test_without_it_every_process_notices_what_is_lost_and_goes_on_under_one_new_epoch(
    pair: Pair, tmp_path: Path
) -> None:
    one, other, away = tmp_path / "one", tmp_path / "other", tmp_path / "away"
    early, late = halves(tmp_path)
    told("import", early, "--home", one, "--store", pair.url)
    for home in (other, away):
        home.mkdir(mode=0o700)
        shutil.copy(one / "node.key", home)
    told("status", "--home", away, "--store", pair.url)
    words = ("--store", pair.url)
    with served(one, *words) as url, served(other, *words) as other_url:
        before = told("status", "--home", one)
        assert before["renewed"] is None
        pair.wait_replayed()
        pair.standby.stop()
        assert told("import", late, "--home", other)["imported"] == 300
        known = told("status", "--home", one)
        assert known["events"] == 600
        cursor = write_cursor(KIND, Position(known["head"]), identity(pair.url))
        pair.primary.stop("immediate")
        pair.standby.start()
        pair.standby.promote()
        for home in (one, other):
            trio.run(until, lambda home=home: epoch_of(home) not in (None, before["epoch"]))
        after = [told("status", "--home", home) for home in (one, other)]
        assert [each["url"] for each in after] == [url, other_url]
        assert [each["events"] for each in after] == [300, 300]
        assert after[0]["epoch"] == after[1]["epoch"]
        assert after[0]["renewed"]["why"] == "went back"
        assert (after[0]["renewed"]["known"], known["head"]) == (known["head"], known["head"])
        assert former_epochs(pair.url) == bytes.fromhex(before["epoch"])
        refused = read_cursor(cursor, KIND, identity(pair.url), head=10**9)
        assert refused is CursorProblem.OTHER_EPOCH
        # Of the process that was not running meanwhile the anchor is of the former epoch.
        assert told("status", "--home", away)["epoch"] == after[0]["epoch"]
        assert told("import", late, "--home", one)["imported"] == 300
        trio.run(until, lambda: told("status", "--home", other)["events"] == 600)
    assert told("status", "--home", other)["epoch"] == after[0]["epoch"]


def epoch_of(home: Path) -> Any:
    """None while it does not answer."""
    done = postbox("status", "--home", home, "--json")
    return done.json["epoch"] if done.code == 0 else None
