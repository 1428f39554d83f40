"""How much the log takes of its disk, looked at now and then for those who cannot wait for it."""

from __future__ import annotations

import trio

from postbox.errors import Fault
from postbox.store.contract import Size
from postbox.store.runner import StoreRunner

EVERY_S = 30.0  # a question or three to the database; a disk that fills in less is full anyway
UNKNOWN = float("nan")


class DiskUse:
    def __init__(self, store: StoreRunner) -> None:
        self._store = store
        self._size: Size | None = None

    def used_bytes(self) -> float:
        return UNKNOWN if self._size is None else self._size.used_bytes

    def free_bytes(self) -> float:
        return UNKNOWN if self._size is None else _known(self._size.free_bytes)

    def room_bytes(self) -> float:
        return UNKNOWN if self._size is None else _known(self._size.room_bytes)

    async def watch(self) -> None:
        """The task that looks. While the store does not answer nothing is known."""
        while True:
            try:
                self._size = await self._store.size()
            except Fault:  # whoever stores something is told
                self._size = None
            await trio.sleep(EVERY_S)


def _known(count: int | None) -> float:
    return UNKNOWN if count is None else count
