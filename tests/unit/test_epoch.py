"""The epoch changes when the log went back, and at no other time."""

from __future__ import annotations

from msgspec.structs import replace

from postbox.log.epoch import Anchor, check_anchor, read_anchor
from postbox.store.contract import Change
from postbox.world import World
from support.kernel import Kernel, open_kernel
from support.simulated import simulated
from support.toy_chat import ChatDraft, ToyChat

DRAFTS = [ChatDraft(bytes([at]) * 16, "create", bytes([at])) for at in range(1, 6)]


async def is_kept(kernel: Kernel, anchor: Anchor) -> bool:
    """Whether the epoch is still what it was after checking."""
    before = (await kernel.runner.identity()).epoch
    kept = await check_anchor(kernel.runner, kernel.world.random, anchor)
    after = (await kernel.runner.identity()).epoch
    assert kept == (before == after)
    return kept


@simulated
async def test_a_log_that_went_on_keeps_its_epoch(world: World) -> None:
    async with open_kernel(world) as kernel:
        empty = await read_anchor(kernel.runner)
        await kernel.admission.submit(ToyChat(), DRAFTS[:2])
        anchor = await read_anchor(kernel.runner)
        assert await is_kept(kernel, anchor)
        await kernel.admission.submit(ToyChat(), DRAFTS[2:])
        assert await is_kept(kernel, anchor)
        assert await is_kept(kernel, empty)


@simulated
async def test_a_log_that_ends_before_the_anchor_gets_a_new_epoch(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = await read_anchor(kernel.runner)
        assert not await is_kept(kernel, replace(anchor, pos=6))


@simulated
async def test_a_log_with_another_entry_at_the_anchor_gets_a_new_epoch(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = await read_anchor(kernel.runner)
        assert not await is_kept(kernel, replace(anchor, pos=4))


@simulated
async def test_an_anchor_whose_entry_was_removed_is_no_sign(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = await read_anchor(kernel.runner)
        await kernel.runner.write(lambda tx: tx.apply(Change(removes=[anchor.pos])))
        assert await is_kept(kernel, anchor)


@simulated
async def test_an_anchor_of_another_epoch_gets_a_new_epoch(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(ToyChat(), DRAFTS)
        anchor = await read_anchor(kernel.runner)
        assert not await is_kept(kernel, replace(anchor, epoch=bytes(16)))
