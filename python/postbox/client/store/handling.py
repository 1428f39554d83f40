"""How far an app's handlers of messages have come: each, by its name, is given every message of
others that the device has or gets, until it says that it is done with it.

Of each conversation a handler has a mark, the number of the last message that it handled. Behind a
hole nothing is given, since what will fill it comes first. Marks outlive a snapshot, and what that
leaves out of a conversation is a hole; where a host was put back, the numbers that it gives anew
are handled anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

import apsw

from postbox.client.store.rows import rows

_SEEN_AT_THE_END = """insert into handled (name, conversation, seq)
  select ?, uuid, reached from conversation where reached > 0"""

_BEHIND = """select c.uuid, coalesce(h.seq, 0),
    coalesce((select min(hole.before) from hole where hole.conversation = c.uuid), 1 << 62)
  from conversation c left join handled h on h.conversation = c.uuid and h.name = ?
  where c.reached > coalesce(h.seq, 0)"""

_UNHANDLED = """select at_ms, uuid from message
  where conversation = ? and seq > ? and seq < ? and is_own = 0 order by seq limit ?"""

_MARK = """insert into handled (name, conversation, seq) values (?, ?, ?)
  on conflict do update set seq = max(seq, excluded.seq)"""

# What the device has, or had before it looked back, is what it knew below the mark.
_NEW_TO_IT = """select m.conversation, min(m.seq) from shadow_message m
    join conversation c on c.uuid = m.conversation
  where m.seq >= c.floor and not exists (select 1 from message o where o.uuid = m.uuid)
  group by m.conversation"""

_LOWER_TO = "update handled set seq = min(seq, ?) where conversation = ?"

_LOWER_TO_REACHED = """update handled set seq = min(seq, s.reached)
  from shadow_conversation s where s.uuid = handled.conversation"""

# A snapshot has the last of each conversation. What no handler may miss lies between that and what
# the device had, less what was handled of it.
_FIND_WHAT_IT_LEFT_OUT = """insert into shadow_hole (conversation, after, before)
  select uuid, after, floor from (
    select s.uuid, s.floor, min(
      coalesce((select min(m.seq) - 1 from message m where m.conversation = c.uuid
        and m.is_own = 0 and m.seq > coalesce(h.seq, 0)), c.reached),
      coalesce((select min(hole.after) from hole where hole.conversation = c.uuid), c.reached)
    ) as after
    from handler n join conversation c join shadow_conversation s on s.uuid = c.uuid
    left join handled h on h.name = n.name and h.conversation = c.uuid)
  where after + 1 < floor
  on conflict do update set after = min(after, excluded.after)"""


class Unhandled(NamedTuple):
    at_ms: int
    uuid: str


def begin(cursor: apsw.Cursor, name: str, *, at_the_end: bool) -> None:
    """Unless it began before. `at_the_end`: what is there already is not for it."""
    cursor.execute("insert or ignore into handler values (?)", (name,))
    if cursor.connection.changes() and at_the_end:
        cursor.execute(_SEEN_AT_THE_END, (name,))


def mark(cursor: apsw.Cursor, name: str, conversation: str, seq: int) -> None:
    cursor.execute(_MARK, (name, conversation, seq))


def unhandled(cursor: apsw.Cursor, name: str, limit: int) -> Iterator[Unhandled]:
    """The oldest first; of each conversation in order, and so many at most."""
    behind = rows(cursor, _BEHIND, (name,))
    each = [_of(cursor, where, mark, upto, limit) for where, mark, upto in behind]
    return merge(*each, key=lambda found: found.at_ms)


def _of(
    cursor: apsw.Cursor, conversation: str, mark: int, upto: int, limit: int
) -> Iterator[Unhandled]:
    found = rows(cursor, _UNHANDLED, (conversation, mark, upto, limit))
    return map(Unhandled._make, found)


def hold(cursor: apsw.Cursor) -> None:
    """What a snapshot would have the handlers miss, before it takes the place of what the device
    had."""
    for conversation, seq in rows(cursor, _NEW_TO_IT):
        cursor.execute(_LOWER_TO, (seq - 1, conversation))
    cursor.execute(_LOWER_TO_REACHED)
    cursor.execute(_FIND_WHAT_IT_LEFT_OUT)
