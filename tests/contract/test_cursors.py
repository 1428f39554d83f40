"""Cursors against a real log, on either engine: as it grows, is restored, and is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from postbox.log.cursor import (
    CursorKind,
    CursorProblem,
    Place,
    Position,
    read_cursor,
    write_cursor,
)
from postbox.log.epoch import renew_epoch
from postbox.store.contract import Change, Entry, Identity, Lane, Store
from postbox.store.open import open_database
from postbox.store.runner import StoreRunner
from postbox.world import FileDisk, World
from support.simulated import simulated

KIND = CursorKind.CLIENTS
EPOCH, KEY = b"the first epoch.", b"k" * 32


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The node's, with five entries."""
    place = str(tmp_path / "node.db")
    if request.param == "postgres":
        place = request.getfixturevalue("database")
    with closing(filled(place, head=5)) as store:
        yield store


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Store]:
    """What a backup made of it when it had three, on SQLite, with the same epoch and key."""
    with closing(filled(str(tmp_path / "restored.db"), head=3)) as store:
        yield store


def filled(place: str, head: int) -> Store:
    store = open_database(FileDisk(), place, [], EPOCH, KEY)
    append(store, 1, head)
    return store


def append(store: Store, first: int, last: int) -> None:
    entries = [
        Entry(pos, Lane.CLIENTS, b"chat", None, pos.to_bytes(16, "big"), 1, 0, b"ann", 1, b"")
        for pos in range(first, last + 1)
    ]
    store.write(lambda tx: tx.apply(Change(appends=entries)))


def cursor(pos: int, store: Store) -> str:
    return write_cursor(KIND, Position(pos), store.identity())


async def find_place(
    text: str, identity: Identity, runner: StoreRunner, floor: int = 0
) -> Place | CursorProblem:
    """As a door does."""
    return await runner.read(
        lambda reader: read_cursor(text, KIND, identity, head=reader.head, floor=floor)
    )


@simulated
async def test_a_cursor_is_good_up_to_the_head_as_it_is_now(world: World, store: Store) -> None:
    runner, identity = StoreRunner(world.threads, store), store.identity()
    assert await find_place(cursor(5, store), identity, runner) == Position(5)
    sixth = cursor(6, store)
    assert await find_place(sixth, identity, runner) is CursorProblem.AHEAD
    append(store, 6, 6)
    assert await find_place(sixth, identity, runner) == Position(6)


@simulated
async def test_a_cursor_below_what_is_kept_for_its_reader_is_too_old(
    world: World, store: Store
) -> None:
    runner, identity = StoreRunner(world.threads, store), store.identity()
    old = await find_place(cursor(2, store), identity, runner, floor=3)
    assert old is CursorProblem.TOO_OLD
    kept = await find_place(cursor(3, store), identity, runner, floor=3)
    assert kept == Position(3)


@simulated
async def test_a_cursor_of_the_former_epoch_is_ours_and_of_the_former_epoch(
    world: World, store: Store
) -> None:
    """Its place is not even looked at: it may be beyond the new head, or mean another entry."""
    runner = StoreRunner(world.threads, store)
    before = [cursor(pos, store) for pos in (0, 3, 9)]
    await renew_epoch(runner, world)
    identity = store.identity()
    assert identity.epoch != EPOCH
    assert identity.cursor_key == KEY
    for text in before:
        assert await find_place(text, identity, runner) is CursorProblem.OTHER_EPOCH
    assert await find_place(cursor(3, store), identity, runner) == Position(3)


@simulated
async def test_a_restored_copy_on_another_engine_knows_the_cursors_of_the_node(
    world: World, store: Store, restored: Store
) -> None:
    runner = StoreRunner(world.threads, restored)
    early, late = cursor(3, store), cursor(5, store)
    # Without a new epoch, which is a restore gone wrong, at least what is ahead is noticed.
    assert await find_place(late, restored.identity(), runner) is CursorProblem.AHEAD
    await renew_epoch(runner, world)
    for text in (early, late):
        problem = await find_place(text, restored.identity(), runner)
        assert problem is CursorProblem.OTHER_EPOCH
