"""Whether what another host sends may be taken, and what it changes here: asked at its arrival.

The link knows numbers and asks the policy about contents. What the policy answers is part of the
decision that stores the arrivals and moves the link's place, so that an effect happens once, in
order, and never without its event (docs/decisions/0028-arrivals-are-judged-and-applied.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from postbox.rules import NewEntry, Put, Reason, RowKey, State
from postbox.store.contract import Table


class Content(NamedTuple):
    """An Any as it came. `id`: of the event that has it."""

    type_url: str
    value: bytes
    id: bytes


class Judged(Struct, frozen=True):
    """The first `taken` are fine, and this is what they change, and whom they tell. `refusal`: why
    the one behind them is not; None if all are."""

    taken: int
    refusal: Reason | None = None
    puts: tuple[Put, ...] = ()
    drops: tuple[RowKey, ...] = ()
    entries: tuple[NewEntry, ...] = ()


class Policy(Protocol):
    """Pure, as all rules are."""

    @property
    def tables(self) -> tuple[Table, ...]: ...

    def needs(self, host: str, contents: Sequence[Content], state: State) -> Iterable[RowKey]:
        """What `judge` looks at, which is given those of `contents` that did not come before."""
        ...

    def judge(self, host: str, contents: Sequence[Content], state: State, at_ms: int) -> Judged:
        """`host` is the authenticated sender. `contents` are new, and in its order."""
        ...


class TakesAll:
    """Of a node that gives contents no meaning."""

    tables: tuple[Table, ...] = ()

    def needs(self, host: str, contents: Sequence[Content], state: State) -> Iterable[RowKey]:
        return ()

    def judge(self, host: str, contents: Sequence[Content], state: State, at_ms: int) -> Judged:
        return Judged(len(contents))
