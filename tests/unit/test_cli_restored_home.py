"""What becomes of a restore whose database was not closed as it should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from postbox.cli.restored_home import PART, read, restore_home
from postbox.errors import Full
from postbox.home import DATABASE, HalfRestored, open_home
from postbox.node import MIGRATIONS
from postbox.store.backup import Label, write_backup
from postbox.trust.keyfile import encode_identity
from postbox.world import FileDisk, system_world
from support.mesh import node_at


class Disk(FileDisk):
    """Somebody else looks into what is being restored, so that SQLite cannot finish it."""

    def __init__(self) -> None:
        self.lookers: list[apsw.Connection] = []

    def open_database(self, path: str) -> apsw.Connection:
        if path.endswith(PART) and Path(f"{path}-wal").exists():
            looker = super().open_database(path)
            looker.execute("select count(*) from sqlite_schema").fetchall()
            self.lookers.append(looker)
        return super().open_database(path)


async def test_a_database_that_is_not_all_in_its_file_is_not_put_in_place(tmp_path: Path) -> None:
    file, home, disk = tmp_path / "file", tmp_path / "restored", Disk()
    async with node_at(tmp_path / "home", world=system_world()) as node:
        label = Label(1, "sqlite", "1", "ann", encode_identity(node.identity))
    file.touch()
    for _ in write_backup(
        FileDisk(), str(tmp_path / "home" / DATABASE), MIGRATIONS, str(file), label
    ):
        pass
    world = replace(system_world(), disk=disk)
    backup = await read(world, file)
    database = str(home / DATABASE)
    with pytest.raises(Full, match="restore again"):
        await restore_home(world, home, database, backup, lambda *_: None)
    assert disk.lookers
    with pytest.raises(HalfRestored), open_home(home):
        pass
    for looker in disk.lookers:
        looker.close()
    epoch = await restore_home(system_world(), home, database, backup, lambda *_: None)
    async with node_at(home, world=system_world()) as node:
        assert node.store_identity.epoch == epoch
