"""The windows of a reader that has many, and waits for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from postbox.store.contract import Window


class StreamWindows(Sequence[Window]):
    """As any sequence of windows; but what a commit has in them is found by the commit's streams,
    where those are fewer."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self._windows = tuple(windows)
        by_stream: dict[bytes, list[Window]] = {}
        for window in self._windows:
            by_stream.setdefault(window.stream, []).append(window)
        self.by_stream: Mapping[bytes, Sequence[Window]] = by_stream

    @overload
    def __getitem__(self, at: int) -> Window: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Window]: ...

    def __getitem__(self, at: int | slice) -> Window | Sequence[Window]:
        return self._windows[at]

    def __len__(self) -> int:
        return len(self._windows)
