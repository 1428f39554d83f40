"""What each change does to a device's file: a table of SQL, whose parameters are the change's
fields. `{}` around a name stands for a table of the base, or for its shadow while a snapshot fills
those.

Nothing here asks whether a change is news: that was decided before (`core.apply`). Of what becomes
of a message the greatest number counts, in whatever order it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import apsw
from msgspec.structs import asdict

from postbox.client.core import changes
from postbox.client.core.changes import Change, Place
from postbox.client.store import handling, people, shadow
from postbox.client.store.rows import row, value

_OF_A_CONVERSATION = (
    "hole",
    "member",
    "watermark",
    "message",
    "edit",
    "deleted",
    "reaction",
    "foreign_event",
)

_FORGET = (
    *(
        f"delete from {{{table}}} where conversation = :conversation"
        for table in _OF_A_CONVERSATION
    ),
    "delete from {conversation} where uuid = :conversation",
)

_IS_THERE = """not exists (select 1 from {deleted} d
  where d.conversation = :conversation and d.message = :message)"""

# The host tells what it was told. This device may have called it otherwise.
_CALLED_HERE = "coalesce((select local from outbox where sent_as = :local), :local)"

_LOWER_FLOOR = "floor = iif(:is_backfill, min(coalesce(floor, :seq), :seq), floor)"

_CLEAR_MESSAGE = (
    "delete from {message} where uuid = :message",
    "delete from {edit} where conversation = :conversation and message = :message",
    "delete from {reaction} where conversation = :conversation and message = :message",
)

_REACT = f"""insert into {{reaction}} (conversation, message, reaction, user, seq, is_there)
  select :conversation, :message, :reaction, :user, :seq, %d where {_IS_THERE}
  on conflict do update set seq = excluded.seq, is_there = excluded.is_there
  where excluded.seq > seq"""

_RAISE = """insert into {watermark} (conversation, user, %s) values (:conversation, :user, :seq)
  on conflict do update set %s = max(%s, excluded.%s)"""

STATEMENTS: Mapping[type[Change], Sequence[str]] = {
    # -- the queue -----------------------------------------------------------------------------
    # What left no entry would be judged anew, by what is there then: its answer said `duplicate`,
    # and nothing ever came down. But these kinds always leave one.
    changes.KeptAgain: (
        """update outbox set standing = 0, caught_up = 0 where standing = 1 or standing = 3
          and (not is_duplicate or kind in ('conversationCreated', 'sendingNewMessage', ''))""",
    ),
    changes.Settled: (
        """update outbox set standing = 3, uuid = :uuid, is_duplicate = 0, kept_ms = :now_ms
          where sent_as = :local""",
    ),
    changes.CaughtUp: (
        "update outbox set caught_up = caught_up + 1 where standing = 1",
        "update outbox set standing = 3, kept_ms = :now_ms where standing = 1 and caught_up > 1",
    ),
    # -- users ---------------------------------------------------------------------------------
    changes.UserMet: (
        """insert into {person} (user, name, display, picture_sha256)
          values (:user, :name, :display_name, :picture)
          on conflict do update set name = excluded.name, display = excluded.display,
            change = iif(display = excluded.display, change, ''),
            picture_sha256 = excluded.picture_sha256,
            picture_change = iif(picture_sha256 = excluded.picture_sha256, picture_change, '')""",
    ),
    changes.DisplayNameChanged: (
        """insert into {person} (user, display, change) values (:user, :display_name, :event)
          on conflict do update set display = excluded.display, change = excluded.change""",
    ),
    changes.PictureChanged: (
        """insert into {person} (user, picture_sha256, picture_change)
          values (:user, :sha256, :event)
          on conflict do update set picture_sha256 = excluded.picture_sha256,
            picture_change = excluded.picture_change""",
        "delete from {picture} where user = :user and sha256 <> :sha256",
        """insert into {picture} (user, sha256, png) select :user, :sha256, :png where :png <> x''
          on conflict do update set png = excluded.png""",
    ),
    # -- conversations -------------------------------------------------------------------------
    changes.ConversationBegun: _FORGET,
    changes.ConversationForgotten: _FORGET,
    changes.ConversationMade: (
        """insert into {conversation} (uuid, name, change, newest_ms)
          values (:conversation, :name, :conversation, :at_ms)
          on conflict do update set name = excluded.name, change = excluded.change,
            newest_ms = max(newest_ms, excluded.newest_ms) where change = ''""",
    ),
    changes.ConversationRenamed: (
        "update {conversation} set name = :name, change = :event where uuid = :conversation",
    ),
    changes.MemberCame: (
        """insert into {member} (conversation, user, is_owner)
          values (:conversation, :user, :is_owner)
          on conflict do update set is_owner = excluded.is_owner""",
    ),
    changes.MemberWent: (
        "delete from {member} where conversation = :conversation and user = :user",
    ),
    changes.ReadUpTo: (_RAISE % (("read_seq",) * 4),),
    changes.DeliveredUpTo: (_RAISE % (("delivered_seq",) * 4),),
    changes.Reached: (
        """insert into {conversation} (uuid, reached, floor) values (:conversation, :seq, :seq)
          on conflict do update set reached = max(reached, excluded.reached),
            floor = coalesce(floor, excluded.floor)""",
    ),
    changes.HoleFound: (
        """insert into {hole} (conversation, after, before)
          values (:conversation, :after, :before) on conflict do nothing""",
    ),
    # -- messages ------------------------------------------------------------------------------
    changes.MessageCame: (
        f"""insert into {{message}}
            (uuid, local, conversation, seq, author, text, reply_to, at_ms, extra, is_own)
          select :message, {_CALLED_HERE}, :conversation, :seq, :author, :text, :reply_to, :at_ms,
            :extra, :author in (select user from owner)
          where {_IS_THERE} on conflict do nothing""",
        f"""update {{conversation}} set newest_ms = max(newest_ms, :at_ms), {_LOWER_FLOOR}
          where uuid = :conversation and (newest_ms < :at_ms or :is_backfill)""",
    ),
    changes.MessageEdited: (
        f"""insert into {{edit}} (conversation, message, seq, event, text, extra)
          select :conversation, :message, :seq, :event, :text, :extra where {_IS_THERE}
          on conflict do update set seq = excluded.seq, event = excluded.event,
            text = excluded.text, extra = excluded.extra where excluded.seq > seq""",
    ),
    changes.MessageDeleted: (
        "insert or ignore into {deleted} (conversation, message) values (:conversation, :message)",
        *_CLEAR_MESSAGE,
    ),
    changes.ReactionAdded: (_REACT % 1,),
    changes.ReactionRemoved: (_REACT % 0,),
    changes.NumberErased: (
        """insert or ignore into {deleted} (conversation, message)
          select :conversation, :event where :why <> 'edited'""",
        *(statement.replace(":message", ":event") for statement in _CLEAR_MESSAGE),
        "delete from {edit} where event = :event",
        "delete from {foreign_event} where conversation = :conversation and uuid = :event",
    ),
    changes.ForeignCame: (
        f"""insert or ignore into {{foreign_event}}
            (conversation, uuid, local, seq, author, at_ms, body)
          values (:conversation, :event, {_CALLED_HERE}, :seq, :author, :at_ms, :body)""",
        f"update {{conversation}} set {_LOWER_FLOOR} where uuid = :conversation and :is_backfill",
    ),
    # -- guilds and invites --------------------------------------------------------------------
    changes.GuildEntered: (
        """insert into {guild} (host, guild, name) values (:host, :guild, :name)
          on conflict do update set name = excluded.name""",
    ),
    changes.GuildExited: ("delete from {guild} where host = :host and guild = :guild",),
    changes.InviteCame: (
        """insert into {invite} (host, invite, inviter, conversation, name)
          values (:host, :invite, :inviter, :conversation, :name)
          on conflict do update set inviter = excluded.inviter,
            conversation = excluded.conversation, name = excluded.name""",
    ),
    changes.InviteDecided: ("delete from {invite} where host = :host and invite = :invite",),
}
"""Of all changes but those that a snapshot begins and ends with."""


def take_in(cursor: apsw.Cursor, several: Iterable[Change], now_ms: int) -> None:
    """In a transaction of the caller's. `now_ms`: from when on rows that are done are kept."""
    prefix = shadow.PREFIX if shadow.is_there(cursor) else ""
    for change in several:
        match change:
            case changes.SnapshotBegan():
                shadow.begin(cursor)
                prefix = shadow.PREFIX
            case changes.SnapshotEnded():
                handling.hold(cursor)
                shadow.put_in_place(cursor)
                people.know_owner(cursor)
                prefix = ""
            case changes.SnapshotDropped():
                shadow.drop(cursor)
                prefix = ""
            case _:
                params = asdict(change) | {"now_ms": now_ms}
                for statement in _statements(type(change), prefix):
                    cursor.execute(statement, params)


@cache
def _statements(kind: type[Change], prefix: str) -> list[str]:
    names = {table: prefix + table for table in shadow.BASE}
    return [statement.format(**names) for statement in STATEMENTS[kind]]


def wants_history(cursor: apsw.Cursor, conversation: str) -> bool:
    """Not of one that the user has left meanwhile, nor while a snapshot comes that replaces it."""
    is_there = row(cursor, "select 1 from conversation where uuid = ?", (conversation,)) is not None
    return is_there and not shadow.is_there(cursor)


def fill(cursor: apsw.Cursor, conversation: str, before: int, lowest: int, has_more: bool) -> None:
    """A page of History was taken in: all that there is from the number `lowest` up to `before`
    (0: to the newest), and if nothing is older than the page, all that there ever was."""
    upto = before or _beyond(cursor, conversation)
    low = lowest if has_more else 0
    cursor.execute(
        "delete from hole where conversation = ? and before <= ? and after + 1 >= ?",
        (conversation, upto, low),
    )
    cursor.execute(
        "update hole set before = ? where conversation = ? and before <= ? and before > ?",
        (low, conversation, upto, low),
    )
    cursor.execute(
        """update conversation set floor = min(floor, coalesce(?, floor)),
            is_whole = max(is_whole, ?)
          where uuid = ? and floor <= ?""",
        (lowest or None, not has_more, conversation, upto),
    )


def _beyond(cursor: apsw.Cursor, conversation: str) -> int:
    sql = "select reached from conversation where uuid = ?"
    return int(value(cursor, sql, (conversation,), 0)) + 1


def put_place(cursor: apsw.Cursor, place: Place) -> None:
    cursor.execute(
        "update place set token = ?, uuid = ?, epoch = ?", (place.token, place.uuid, place.epoch)
    )
