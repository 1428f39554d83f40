"""Verbs that only read leave the log as it is, whatever memory they were given."""

from __future__ import annotations

from pathlib import Path

from postbox.node import open_node
from support.mesh import config_of, fixed_world, node_at, take, tease


async def test_reading_with_less_memory_forgets_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with node_at(home) as node:
        await take(node, [tease(number) for number in range(1, 11)])
    async with open_node(fixed_world(), home, config_of(4), forgets=False) as node:
        assert len(node.ledger.index) == 4
    async with node_at(home) as node:
        assert len(node.ledger.index) == 10


async def test_taking_events_in_with_less_memory_forgets_what_does_not_fit(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with node_at(home) as node:
        await take(node, [tease(number) for number in range(1, 11)])
    async with node_at(home, capacity=4) as node:
        assert len(node.ledger.index) == 4
    async with node_at(home) as node:
        assert len(node.ledger.index) == 4
