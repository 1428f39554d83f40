"""Long work in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`, in order (`itertools.batched` is there from Python 3.12 on)."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
