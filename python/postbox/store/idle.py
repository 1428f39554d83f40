"""Connections that wait for the next read. Readers are many threads; each uses one by itself."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closes)


class Idle(Generic[C]):
    def __init__(self) -> None:
        self._waiting: deque[C] = deque()
        self._is_closed = False

    def take(self) -> C | None:
        try:
            return self._waiting.pop()  # alone atomic
        except IndexError:
            return None

    def keep(self, connection: C) -> None:
        """After `close` nobody comes for it any more."""
        if self._is_closed:
            connection.close()
        else:
            self._waiting.append(connection)

    def close(self) -> None:
        self._is_closed = True
        while (connection := self.take()) is not None:
            connection.close()
