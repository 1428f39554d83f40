"""How long to wait before what was unavailable is tried again."""

from __future__ import annotations

import trio

# The store is away for moments (a lock) or minutes (a database that restarts): try soon, then
# often enough that nobody waits much longer than the store was away.
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 5.0


class Retries:
    """Twice as long each time, until `succeeded`."""

    def __init__(self) -> None:
        self._next_s = FIRST_RETRY_S

    def succeeded(self) -> None:
        self._next_s = FIRST_RETRY_S

    async def wait(self) -> None:
        delay_s, self._next_s = self._next_s, min(2 * self._next_s, LAST_RETRY_S)
        await trio.sleep(delay_s)
