"""A home with nara's 80,000 events in it, imported once a session and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from postbox.mesh.files import BadFile
from postbox.mesh.importing import import_file, take_raws
from postbox.mesh.merging.intake import Report
from support.mesh import HISTORY, digest, node_at, standings


@dataclass(frozen=True)
class Imported:
    """What the first import of the history came to. No key was known before it."""

    home: Path
    report: Report
    damage: BadFile | None
    shares: list[float]  # of the file, as progress had it
    digest: str
    standings: tuple[int, int, int]


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return trio.run(_import, tmp_path_factory.mktemp("imported") / "home")


async def _import(home: Path) -> Imported:
    shares: list[float] = []
    async with node_at(home) as node:
        report, damage = await import_file(
            node.world,
            partial(take_raws, node.intake),
            HISTORY,
            lambda _, share: shares.append(share),
        )
        await node.settle()
        return Imported(home, report, damage, shares, digest(node), standings(node))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Imported], Path]:
    """A copy of that home: the same node, for this test alone."""

    def copy(imported: Imported) -> Path:
        home = tmp_path / "home"
        shutil.copytree(imported.home, home)
        return home

    return copy
