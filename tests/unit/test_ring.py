"""What the newest commits have in a reader's windows is the same however it is looked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from postbox.log.committed import committed
from postbox.log.ring import Ring
from postbox.log.windows import StreamWindows
from postbox.store.contract import Change, Entry, Lane, Window

STREAMS = [b"a", b"b", b"c", b"d", b"e"]
LANES = [Lane.CLIENTS, Lane.HOSTS]

placed = st.tuples(st.sampled_from(STREAMS), st.sampled_from(LANES))
commits = st.lists(st.lists(placed, min_size=1, max_size=6), max_size=6)
windows = st.lists(
    st.builds(Window, st.sampled_from(STREAMS), st.integers(0, 20), st.integers(0, 30)),
    max_size=12,
)


def ring_of(batches: list[list[tuple[bytes, Lane]]]) -> Ring:
    ring, pos = Ring(0), 0
    for batch in batches:
        entries = []
        for stream, lane in batch:
            pos += 1
            entries.append(Entry(pos, lane, stream, None, bytes(16), 7, 0, b"", 1, b"x"))
        ring.add(committed(Change(appends=entries), pos))
    return ring


@given(commits, windows, st.integers(0, 20), st.integers(1, 5))
def test_windows_by_stream_find_what_windows_find(
    batches: list[list[tuple[bytes, Lane]]], few: list[Window], after: int, limit: int
) -> None:
    ring = ring_of(batches)
    many = StreamWindows(few)
    assert list(many) == few
    found = [ring.page(Lane.CLIENTS, each, after, 40, limit, 1_000) for each in (few, many)]
    assert found[0] == found[1]
    inside = {
        entry.pos
        for entry in ring.page(Lane.CLIENTS, None, after, 40, 1_000, 1_000_000).entries
        if any(w.stream == entry.stream and w.after < entry.pos <= w.upto for w in few)
    }
    assert {entry.pos for entry in found[1].entries} <= inside
    assert found[1].more or {entry.pos for entry in found[1].entries} == inside
