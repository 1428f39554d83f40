"""A real store whose writes are lost at chosen moments: before the commit, or only its answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from postbox.errors import Fault, Unavailable
from postbox.store.contract import Identity, Reader, Shared, Size, Store, Tx

T = TypeVar("T")


class When(Enum):
    BEFORE_COMMIT = "before"  # all was done but the commit: nothing happened
    AFTER_COMMIT = "after"  # all happened, the answer was lost


class FaultyStore:
    """`fails(n)` says what becomes of the n-th write, counted from 1; None: it succeeds."""

    def __init__(
        self,
        store: Store,
        fails: Callable[[int], When | None],
        fault: Callable[[], Fault] = lambda: Unavailable("the connection was lost"),
    ) -> None:
        self._store = store
        self._fails = fails
        self._fault = fault
        self.writes = 0

    def write(self, work: Callable[[Tx], T]) -> T:
        self.writes += 1
        when = self._fails(self.writes)
        if when is When.BEFORE_COMMIT:
            return self._store.write(lambda tx: self._lose(work, tx))
        result = self._store.write(work)
        if when is When.AFTER_COMMIT:
            raise self._fault()
        return result

    def _lose(self, work: Callable[[Tx], T], tx: Tx) -> T:
        work(tx)
        raise self._fault()

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._store.read(work)

    def identity(self) -> Identity:
        return self._store.identity()

    @property
    def shared(self) -> Shared | None:
        return self._store.shared

    def check(self) -> list[str]:
        return self._store.check()

    def size(self) -> Size:
        return self._store.size()

    def close(self) -> None:
        self._store.close()


def never(_write: int) -> When | None:
    return None


def first_try(when: When) -> Callable[[int], When | None]:
    """Every other write fails, so that every batch is submitted twice."""
    return lambda write: when if write % 2 else None
