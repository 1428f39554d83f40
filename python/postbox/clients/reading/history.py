"""Older events of one conversation, before a number: what a device shows when its user looks back,
or what it finds missing.

A page has every number of its range that the member may see, those of erased events too; and for
each message in it what became of it later, since that may have passed the device by: but for what
was said between two of the member's times, which is not for it, though the message is.
"""

from __future__ import annotations

from collections.abc import Sequence

from postbox.clients.events import frames
from postbox.clients.events.kinds import FIRST_FOREIGN, Kind
from postbox.clients.ids import conversation_stream
from postbox.clients.reading.conversation import ENTRY, entries_of, for_device
from postbox.clients.reading.windows import Period, Viewer, read_periods_in
from postbox.clients.tables import MEMBER, Member, read_row
from postbox.store.contract import MAX_POS, Entry, Query, Reader

DEFAULT_EVENTS, MAX_EVENTS = 50, 200
MAX_BYTES = 2**20
"""Of a page, with what became of its messages: fewer are given then, one at least."""
_ENVELOPE_BYTES = 256  # of an event, beside the body of its entry

NUMBERED = Query(
    "numbered_before",
    f"""select {ENTRY} from entry e indexed by entry_number where e.stream = :stream
    and e.seq < :before and e.seq is not null and e.lane = 4 and e.pos > :after and e.pos <= :upto
    order by e.seq desc limit :limit""",
    postgres=f"""select {ENTRY} from entry e where (e.stream, e.seq) >= (%(stream)s, 1)
    and (e.stream, e.seq) < (%(stream)s, %(before)s) and e.seq is not null
    and e.lane + 0 = 4 and e.pos > %(after)s and e.pos <= %(upto)s
    order by e.stream desc, e.seq desc limit %(limit)s""",
)
"""`lane + 0`: an index by position would have to look through the whole stream."""

CHANGES = Query(
    "changes_of_message",
    f"""select {ENTRY} from changed_message c
    cross join entry e indexed by entry_id_4 on e.lane = 4 and e.id = c.edit
    where c.message = :message and e.body is not null and e.pos > :after
  union all select {ENTRY} from reaction r
    cross join entry e indexed by entry_id_4 on e.lane = 4 and e.id = r.event
    where r.message = :message and e.body is not null and e.pos > :after
  order by 1""",
    postgres=f"""select {ENTRY} from
      (select edit from changed_message where message = %(message)s offset 0) c
    cross join lateral (select * from entry where lane = 4
      and id >= c.edit and id <= c.edit order by id limit 1) e
    where e.body is not null and e.pos > %(after)s
  union all select {ENTRY} from
      (select event from reaction where message = %(message)s offset 0) r
    cross join lateral (select * from entry where lane = 4
      and id >= r.event and id <= r.event order by id limit 1) e
    where e.body is not null and e.pos > %(after)s
  order by 1""",
)
"""What a message was edited to, and the reactions to it, beyond a position."""


def read_history(
    viewer: Viewer, conversation: bytes, before_seq: int, limit: int, reader: Reader
) -> bytes | None:
    """A HistoryPage. None: the viewer is not in such a conversation."""
    row = reader.rows(MEMBER, [(conversation, viewer.user)])[conversation, viewer.user]
    if row is None or not read_row(Member, row).is_in:
        return None
    limit = min(limit or DEFAULT_EVENTS, MAX_EVENTS)
    before = min(before_seq or MAX_POS, MAX_POS)
    stretches = _stretches(read_periods_in(viewer.user, conversation, reader))
    newest_first = _read_numbered(conversation, stretches, before, limit + 1, reader)
    page, changes = _fitting(viewer, newest_first[:limit], stretches, reader)
    marked = [event + frames.BACKFILL for event in [*page, *changes]]
    return frames.history_page(marked, len(newest_first) > len(page))


def _read_numbered(
    conversation: bytes,
    stretches: Sequence[tuple[int, int]],
    before: int,
    limit: int,
    reader: Reader,
) -> list[Entry]:
    """The newest first."""
    found: list[Entry] = []
    for after, upto in stretches:
        rows = reader.query(
            NUMBERED,
            stream=conversation_stream(conversation),
            before=before,
            after=after,
            upto=upto,
            limit=limit - len(found),
        )
        found += entries_of(rows)
        if len(found) == limit:
            break
    return found


def _stretches(periods: Sequence[Period]) -> list[tuple[int, int]]:
    """Of positions, what any of the periods shows: the newest first, and nothing twice."""
    stretches: list[tuple[int, int]] = []
    lowest = MAX_POS
    for period in sorted(periods, key=lambda period: period.joined_pos, reverse=True):
        upto = min(period.left_pos, lowest)
        after = 0 if period.sees_all else period.joined_pos - 1
        if after < upto:
            stretches.append((after, upto))
            lowest = after
    return stretches


def _is_shown(entry: Entry, stretches: Sequence[tuple[int, int]]) -> bool:
    return any(after < entry.pos <= upto for after, upto in stretches)


def _fitting(
    viewer: Viewer,
    newest_first: Sequence[Entry],
    stretches: Sequence[tuple[int, int]],
    reader: Reader,
) -> tuple[list[bytes], list[bytes]]:
    """The page, and what became of its messages beyond it: events, each in order."""
    page: list[bytes] = []
    changes: list[Entry] = []
    room_bytes = MAX_BYTES
    for entry in newest_first:
        event = for_device(entry, viewer)
        later = [
            each
            for each in _changes(entry, newest_first[0].pos, reader)
            if _is_shown(each, stretches)
        ]
        room_bytes -= len(event) + sum(_size(each) for each in later)
        if page and room_bytes < 0:
            break
        page.append(event)
        changes += later
    changes.sort(key=lambda entry: entry.pos)
    return page[::-1], [for_device(entry, viewer) for entry in changes]


def _size(entry: Entry) -> int:
    return len(entry.body or b"") + _ENVELOPE_BYTES


def _changes(entry: Entry, after: int, reader: Reader) -> list[Entry]:
    """Of a message, later than the page itself."""
    is_message = entry.kind == Kind.NEW_MESSAGE or entry.kind >= FIRST_FOREIGN
    if entry.body is None or not is_message:
        return []
    return entries_of(reader.query(CHANGES, message=entry.id, after=after))
