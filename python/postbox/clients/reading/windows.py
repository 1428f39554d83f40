"""What a user may see of the log: its own stream, and of each conversation what was written while
it was in.

A view is true as of one position. Whatever lets a user in or out puts an entry of kind MEMBERSHIP
into the user's stream before all else that it writes; a reader that comes to one beyond its view
looks anew before it reads on. So nothing behind a leaving gets out, and nothing of a joining is
missed, even where one commit has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, user_stream
from postbox.log.committed import Interest
from postbox.log.windows import StreamWindows
from postbox.store.contract import MAX_POS, Lane, Query, Reader, Row, Window

_PERIOD = 'conversation, number, sees_all, joined, "left"'

_PLACED = """cross join entry j indexed by entry_id_4 on j.id = p.joined and j.lane = 4
  left join entry l on l.id = p."left" and l.lane = 4"""
_PLACED_POSTGRES = """cross join lateral (select pos, kind from entry where lane = 4
    and id >= p.joined and id <= p.joined order by id limit 1) j
  left join lateral (select pos from entry where lane = 4
    and id >= p."left" and id <= p."left" order by id limit 1) l on true"""

_SEEN = f"""with seen as (
    select {_PERIOD} from period indexed by period_open where "user" = :user and "left" = x''
    union all select p.conversation, p.number, p.sees_all, p.joined, p."left"
    from (select distinct body from entry indexed by entry_stream_4
      where lane = 4 and stream = :own and pos >= :after and kind = 1) m
    cross join period p on p."user" = :user and p.conversation = m.body and p."left" <> x'')"""
_SEEN_POSTGRES = f"""with seen as (
    select {_PERIOD} from period where "user" = %(user)s and "left" = ''
    union all select p.* from (select distinct body from entry where lane = 4
      and (stream, pos) >= (%(own)s, %(after)s)
      and (stream, pos) <= (%(own)s, 9223372036854775807) and kind = 1) m
    cross join lateral (select {_PERIOD} from period
      where "user" = %(user)s and conversation = m.body and "left" <> '' offset 0) p)"""
"""The periods that last, and those of conversations of which the user's stream says that they were
entered or left, from a position on. What was left before costs nothing: it may be any number."""

_COLUMNS = """p.conversation, p.number, p.sees_all, p.joined, j.pos, j.kind,
  length(p."left") = 0, l.pos"""

PERIODS = Query(
    "periods_seen",
    f"""{_SEEN} select {_COLUMNS} from seen p {_PLACED}
    where l.pos is null or l.pos > :after""",
    postgres=f"""{_SEEN_POSTGRES} select {_COLUMNS} from seen p {_PLACED_POSTGRES}
    where l.pos is null or l.pos > %(after)s""",
)
"""With the positions of joining and leaving."""

PERIODS_IN = Query(
    "periods_seen_in_conversation",
    f"""select {_COLUMNS} from period p {_PLACED}
  where p."user" = :user and p.conversation = :conversation""",
    postgres=f"""select {_COLUMNS} from period p {_PLACED_POSTGRES}
  where p."user" = %(user)s and p.conversation = %(conversation)s""",
)

NEWEST_SEEN = Query(
    "newest_seen",
    """select max((select max(e.pos) from entry e indexed by entry_stream_4
    where e.lane = 4 and e.stream = cast(x'632f' || p.conversation as blob)))
  from period p indexed by period_open where p."user" = :user and p."left" = x''""",
    postgres="""select max(e.pos) from period p cross join lateral (
    select pos from entry where lane = 4 and (stream, pos) > ('\\x632f'::bytea || p.conversation, 0)
      and (stream, pos) <= ('\\x632f'::bytea || p.conversation, 9223372036854775807)
    order by stream desc, pos desc limit 1) e
  where p."user" = %(user)s and p."left" = ''""",
)
"""The position of the newest entry of the conversations that a user is in; null: of none."""

VISIBLE_BEHIND = Query(
    "visible_behind",
    f"""{_SEEN} select count(*) from (select 1 from seen p {_PLACED}
  cross join entry e indexed by entry_stream_4 on e.lane = 4
    and e.stream = cast(x'632f' || p.conversation as blob)
    and e.pos > max(:after, j.pos - 1) and e.pos <= coalesce(l.pos, :upto)
  limit :limit)""",
    postgres=f"""{_SEEN_POSTGRES} select count(*) from (select from seen p {_PLACED_POSTGRES}
  cross join lateral (select from entry e where e.lane = 4
    and (e.stream, e.pos) >
      ('\\x632f'::bytea || p.conversation, greatest(%(after)s, j.pos - 1))
    and (e.stream, e.pos) <= ('\\x632f'::bytea || p.conversation, coalesce(l.pos, %(upto)s))
    limit %(limit)s) e
  limit %(limit)s) visible""",
)
"""How many entries beyond a position a user sees in conversations: at most `limit`."""

OWN_BEHIND = Query(
    "own_behind",
    """select count(*) from (select 1 from entry indexed by entry_stream_4
    where lane = 4 and stream = :own and pos > :after limit :limit)""",
    postgres="""select count(*) from (select from entry where lane = 4
    and (stream, pos) > (%(own)s, %(after)s)
    and (stream, pos) <= (%(own)s, 9223372036854775807) limit %(limit)s) own""",
)
"""How many there are in the user's stream. Asked first: it bounds what it costs to look at it."""


class Viewer(NamedTuple):
    """A device, and whose it is. `name`: that the user signs in with."""

    user: bytes
    device: bytes
    name: str


class Period(NamedTuple):
    conversation: bytes
    number: int  # of the user's periods in it
    sees_all: bool  # and what was said before
    joined: bytes  # the event
    joined_pos: int
    is_creation: bool  # it is that of the conversation, before which there is nothing
    is_open: bool
    left_pos: int

    @property
    def window(self) -> Window:
        return Window(conversation_stream(self.conversation), self.joined_pos - 1, self.left_pos)

    @property
    def is_joining(self) -> bool:
        """It lasts, and the user came into what was there before."""
        return self.is_open and not self.is_creation

    def shows(self, pos: int) -> bool:
        return self.joined_pos <= pos <= self.left_pos


class View(Struct, frozen=True):
    """`windows`: in no order, without those that end before where the reader is. `joins`: by
    position, each period that still lasts and began with a joining."""

    as_of: int
    windows: Sequence[Window]
    joins: dict[int, Period]
    interest: Interest

    @property
    def streams(self) -> frozenset[bytes]:
        """In which there may be more to see: the user's own, and of conversations that it is in."""
        return self.interest.streams or frozenset()

    def clipped(self, after: int, upto: int) -> list[Window]:
        """To what lies between: however much there is beyond, a page costs no more than that."""
        return [
            Window(stream, low, min(high, upto))
            for stream, low, high in self.windows
            if low < upto and high > after
        ]


def read_periods(user: bytes, after: int, reader: Reader) -> list[Period]:
    """Those that last, and those that ended beyond `after`."""
    rows = reader.query(PERIODS, user=user, own=user_stream(user), after=after)
    return [_period(row) for row in rows]


def read_periods_in(user: bytes, conversation: bytes, reader: Reader) -> list[Period]:
    """Of one conversation, all that are kept."""
    rows = reader.query(PERIODS_IN, user=user, conversation=conversation)
    return [_period(row) for row in rows]


def read_view(user: bytes, after: int, reader: Reader) -> View:
    """As of the reader's head, for who has everything up to `after`."""
    return view_of(user, read_periods(user, after, reader), after, reader.head)


def view_of(user: bytes, periods: Sequence[Period], after: int, as_of: int) -> View:
    beyond = [period for period in periods if period.left_pos > after]
    is_open = [period for period in beyond if period.is_open]
    own = user_stream(user)
    return View(
        as_of,
        StreamWindows([Window(own), *[period.window for period in beyond]]),
        {each.joined_pos: each for each in is_open if each.is_joining},
        Interest(Lane.CLIENTS, frozenset([own, *[each.window.stream for each in is_open]])),
    )


def is_far_behind(user: bytes, after: int, most: int, reader: Reader) -> bool:
    """Whether there are more than `most` entries beyond `after` that the user sees."""
    if reader.head - after <= most:
        return False
    limit, own = most + 1, user_stream(user)
    ((count,),) = reader.query(OWN_BEHIND, own=own, after=after, limit=limit)
    if count == limit:
        return True
    ((count,),) = reader.query(
        VISIBLE_BEHIND, user=user, own=own, after=after, upto=MAX_POS, limit=limit
    )
    return count == limit


def newest_seen(user: bytes, reader: Reader) -> bytes:
    """The event; empty: there is none."""
    ((pos,),) = reader.query(NEWEST_SEEN, user=user)
    return (reader.id_at(pos) or b"") if isinstance(pos, int) else b""


def _period(row: Row) -> Period:
    match row:
        case (
            bytes(conversation),
            int(number),
            sees_all,
            bytes(joined),
            int(pos),
            kind,
            open_,
            left,
        ):
            is_creation = kind == Kind.CONVERSATION_CREATED
            left_pos = left if isinstance(left, int) else MAX_POS
            return Period(
                *(conversation, number, bool(sees_all), joined),
                *(pos, is_creation, bool(open_), left_pos),
            )
        case _:
            raise ValueError(f"not a row of {PERIODS.name}: {row!r}")
