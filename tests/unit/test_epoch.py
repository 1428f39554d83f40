"""The epoch changes when the log went back, and at no other time."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from postbox.errors import HistoryChanged
from postbox.log.anchor import FILE, read_anchor, write_anchor
from postbox.log.epoch import MAX_FORMER, Anchor, History, last_renewal, renew_epoch, settle_epoch
from postbox.store.contract import Change
from postbox.world import World
from support.kernel import Kernel, open_kernel
from support.simulated import simulated
from support.toy_chat import ChatDraft, ToyChat

DRAFTS = [ChatDraft(bytes([at]) * 16, "create", bytes([at])) for at in range(1, 6)]


async def history_of(kernel: Kernel) -> History:
    return History((await kernel.runner.identity()).epoch, kernel.tail)


async def is_kept(kernel: Kernel, anchor: Anchor) -> bool:
    """Whether the epoch is still what it was after settling it."""
    before = (await kernel.runner.identity()).epoch
    kept = await settle_epoch(kernel.runner, kernel.world, anchor)
    after = (await kernel.runner.identity()).epoch
    assert kept == (before == after)
    return kept


@simulated
async def test_a_log_that_went_on_keeps_its_epoch(world: World, place: str) -> None:
    async with open_kernel(world, database=place) as kernel:
        history = await history_of(kernel)
        empty = history.anchor
        assert (empty.pos, empty.id) == (0, b"")
        await kernel.admission.submit(ToyChat(), DRAFTS[:2])
        anchor = history.anchor
        assert (anchor.pos, anchor.id) == (2, DRAFTS[1].id)
        assert await is_kept(kernel, anchor)
        await kernel.admission.submit(ToyChat(), DRAFTS[2:])
        assert await is_kept(kernel, anchor)
        assert await is_kept(kernel, empty)
        await kernel.runner.read(history.expect())


@simulated
async def test_a_log_that_ends_before_the_anchor_gets_a_new_epoch(world: World, place: str) -> None:
    async with open_kernel(world, database=place) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        assert not await is_kept(kernel, replace(anchor, pos=6))


@simulated
async def test_a_log_with_another_entry_at_the_anchor_gets_a_new_epoch(
    world: World, place: str
) -> None:
    async with open_kernel(world, database=place) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        assert not await is_kept(kernel, replace(anchor, pos=4))


@simulated
async def test_an_anchor_whose_entry_was_removed_is_no_sign(world: World, place: str) -> None:
    async with open_kernel(world, database=place) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        await kernel.runner.write(lambda tx: tx.apply(Change(removes=[anchor.pos])))
        assert await is_kept(kernel, anchor)


@simulated
async def test_an_epoch_that_the_database_never_had_was_lost_and_gets_a_new_one(
    world: World,
) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        assert not await is_kept(kernel, replace(anchor, epoch=bytes(16)))


@simulated
async def test_the_second_who_notices_finds_it_done(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        lost = replace((await history_of(kernel)).anchor, pos=6)
        assert not await is_kept(kernel, lost)
        assert await is_kept(kernel, replace(lost, pos=9))


@simulated
async def test_the_second_who_knew_an_epoch_that_was_lost_finds_it_done(world: World) -> None:
    """As of a log that was renewed, and then put back to before that."""
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        lost = replace(anchor, epoch=b"renewed and lost")
        assert not await is_kept(kernel, lost)
        assert await is_kept(kernel, replace(lost, pos=9))
        assert await is_kept(kernel, anchor)


@simulated
async def test_former_epochs_are_known_up_to_a_number(world: World) -> None:
    async with open_kernel(world) as kernel:
        anchors = []
        for _ in range(MAX_FORMER + 1):
            anchors.append((await history_of(kernel)).anchor)
            await renew_epoch(kernel.runner, world)
        assert all([await is_kept(kernel, anchor) for anchor in anchors[1:]])
        assert not await is_kept(kernel, anchors[0])


@simulated
async def test_a_process_notices_that_the_log_is_another(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        history = await history_of(kernel)
        other = History(bytes(16), kernel.tail)
        with pytest.raises(HistoryChanged):
            await kernel.runner.read(other.expect())
        await kernel.runner.read(history.expect())


def test_an_anchor_is_read_as_it_was_written_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    assert read_anchor(tmp_path) is None
    anchor = Anchor(bytes(range(16)), 2**62, bytes(range(1, 17)))
    write_anchor(tmp_path, anchor)
    assert read_anchor(tmp_path) == anchor
    whole = (tmp_path / FILE).read_bytes()
    for end in range(len(whole)):
        (tmp_path / FILE).write_bytes(whole[:end])
        assert read_anchor(tmp_path) is None
    write_anchor(tmp_path / "missing", anchor)  # no room: nothing happens


@simulated
async def test_the_log_says_when_and_why_it_got_its_epoch(world: World, place: str) -> None:
    async with open_kernel(world, database=place) as kernel:
        assert await kernel.runner.read(last_renewal) is None
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = (await history_of(kernel)).anchor
        before_ms = world.clock.now_ns() // 10**6
        assert not await is_kept(kernel, replace(anchor, pos=9))
        renewal = await kernel.runner.read(last_renewal)
        assert renewal is not None
        assert renewal.at_ms >= before_ms
        assert (renewal.why, renewal.head, renewal.known) == ("went back", 5, 9)
        await renew_epoch(kernel.runner, world)
        restored = await kernel.runner.read(last_renewal)
        assert restored is not None
        assert (restored.why, restored.head) == ("restored", 5)
