"""The newest commits, in memory: what most readers are about to ask for. Plain state."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace

from postbox.log.committed import Committed, Interest
from postbox.log.windows import StreamWindows
from postbox.store.contract import Entry, Lane, Page, Window, Windows
from postbox.store.paging import cut_page

# A reader that waits is at most a few batches behind. A page out of the ring is cut on the loop,
# so a walk through all of it must stay below a millisecond.
MAX_ENTRIES = 8_192
MAX_BYTES = 16 * 2**20


class Ring:
    """All entries beyond `floor`, without those that were removed since."""

    def __init__(self, head: int) -> None:
        self.floor = head
        self._commits: list[Committed] = []
        self._heads: list[int] = []
        self._sizes: list[int] = []  # bytes of bodies, a commit
        self._entries = 0
        self._bytes = 0
        self._removed: set[int] = set()
        self._blanked: set[int] = set()

    def add(self, committed: Committed) -> None:
        self._removed.update(pos for pos in committed.removes if pos > self.floor)
        self._blanked.update(pos for pos in committed.blanks if pos > self.floor)
        if committed.entries:
            size = sum([len(entry.body or b"") for entry in committed.entries])
            self._commits.append(committed)
            self._heads.append(committed.head)
            self._sizes.append(size)
            self._entries += len(committed.entries)
            self._bytes += size
            self._trim()

    def _trim(self) -> None:
        while self._entries > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._entries -= len(self._commits.pop(0).entries)
            self._bytes -= self._sizes.pop(0)
            self.floor = self._heads.pop(0)
        if len(self._removed) + len(self._blanked) > 2 * MAX_ENTRIES:
            self._removed = {pos for pos in self._removed if pos > self.floor}
            self._blanked = {pos for pos in self._blanked if pos > self.floor}

    def touched(self, interest: Interest, after: int) -> bool:
        """Whether a commit after `after`, which is not below the floor, touched a stream of it."""
        return any(_touches(commit, interest) for commit in self._after(after))

    def page(
        self, lane: Lane, windows: Windows | None, after: int, head: int, limit: int, max_bytes: int
    ) -> Page:
        """As `Reader.page`, for an `after` that is not below the floor."""
        entries = _entries(self._after(after), lane, windows, after)
        return cut_page(self._as_it_is_now(entries), after, head, limit, max_bytes)

    def _after(self, after: int) -> Iterator[Committed]:
        first = bisect_right(self._heads, after)
        return (self._commits[at] for at in range(first, len(self._commits)))

    def _as_it_is_now(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if entry.pos not in self._removed:
                yield replace(entry, body=None) if entry.pos in self._blanked else entry


def _touches(committed: Committed, interest: Interest) -> bool:
    if interest.streams is None:
        return any(lane == interest.lane for lane, _ in committed.streams)
    names: Collection[bytes] = interest.streams
    if len(names) > len(committed.streams):
        return any(lane == interest.lane and name in names for lane, name in committed.streams)
    return any((interest.lane, name) in committed.streams for name in names)


def _entries(
    commits: Iterable[Committed], lane: Lane, windows: Windows | None, after: int
) -> Iterator[Entry]:
    for commit in commits:
        found = _of_lane(commit, lane) if windows is None else _in_windows(commit, lane, windows)
        for entry in found:
            if entry.pos > after:
                yield entry


def _of_lane(commit: Committed, lane: Lane) -> Iterable[Entry]:
    return (entry for entry in commit.entries if entry.lane == lane)


def _touched(commit: Committed, lane: Lane, windows: Windows) -> Iterable[Window]:
    """Those in which the commit may have something: with all that a reader has, to look for them by
    window would cost more than all else that it is woken for."""
    if not isinstance(windows, StreamWindows) or len(windows) <= len(commit.streams):
        return windows
    found = windows.by_stream
    return [each for its, name in commit.streams if its == lane for each in found.get(name, ())]


def _in_windows(commit: Committed, lane: Lane, windows: Windows) -> Iterable[Entry]:
    """Looks at the reader's streams only, however many entries the commit has."""
    found: dict[int, Entry] = {}  # windows may overlap
    for stream, low, upto in _touched(commit, lane, windows):
        for entry in commit.streams.get((lane, stream), ()):
            if low < entry.pos <= upto:
                found[entry.pos] = entry
    return found.values() if len(found) < 2 else [found[pos] for pos in sorted(found)]
