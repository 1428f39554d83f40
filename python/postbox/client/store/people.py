"""The people in conversations, and what of a user lies outside of them: guilds and invites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
from msgspec.structs import replace

from postbox.client.core.overlay import overlaid_invite, overlaid_members, overlaid_profile
from postbox.client.facts import Guild, Invite, Member, Profile, Row
from postbox.client.store import outbox
from postbox.client.store.messages import Reading
from postbox.client.store.names import ConversationNames
from postbox.client.store.rows import row, rows

MEMBERS = """select m.conversation, m.user, coalesce(p.name, ''), coalesce(p.display, ''),
    m.is_owner, coalesce(w.read_seq, 0),
    max(coalesce(w.read_seq, 0), coalesce(w.delivered_seq, 0))
  from member m left join person p on p.user = m.user
  left join watermark w on w.conversation = m.conversation and w.user = m.user
  where m.conversation = ? order by m.user"""

PROFILE = """select p.user, p.name, p.display, p.picture_sha256, coalesce(i.png, x''),
    p.change, p.picture_change
  from person p left join picture i on i.user = p.user and i.sha256 = p.picture_sha256
  where p.user = ?"""

PROFILES = """select user, name, display, picture_sha256, x'', change, picture_change
  from person order by user"""

MEMBERS_ON_TOP = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation in (?, ?) and kind in ('memberJoined', 'memberLeft') order by number"""

PROFILE_ON_TOP = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation = '' and kind in ('displayNameChanged', 'profilePictureChanged')
  order by number"""

INVITES_ON_TOP = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation = '' and kind = 'inviteDecided' order by number"""


# The device knows the name that its own user signs in with before the host has said it, and if a
# snapshot does not.
OWNER_KNOWN = """insert into person (user, name) select user, name from owner where name <> ''
  on conflict do update set name = excluded.name where person.name = ''"""


def know_owner(cursor: apsw.Cursor) -> None:
    cursor.execute(OWNER_KNOWN)


def read_members(look: Reading, names: ConversationNames) -> list[Member]:
    found = rows(look.cursor, MEMBERS, (names.uuid,))
    members = [_member(names, each) for each in found]
    on_top = _rows(look.cursor, MEMBERS_ON_TOP, *names.both)
    if names.maker is not None:
        on_top.insert(0, names.maker)
    if not on_top:
        return members
    known = {member.user for member in members}
    return [
        member if member.user in known else _introduced(look, names, member)
        for member in overlaid_members(members, on_top, look.user)
    ]


def _member(names: ConversationNames, found: Sequence[Any]) -> Member:
    member = Member(*found)
    return replace(member, conversation=names.key, is_owner=bool(member.is_owner))


def _introduced(look: Reading, names: ConversationNames, member: Member) -> Member:
    """With its names, if they are known from elsewhere."""
    member = replace(member, conversation=names.key)
    profile = row(look.cursor, PROFILE, (member.user,))
    return member if profile is None else replace(member, name=profile[1], display=profile[2])


def read_profile(look: Reading, user: str) -> Profile | None:
    """None: nothing is known of that user."""
    found = row(look.cursor, PROFILE, (user,))
    profile = None if found is None else Profile(*found)
    if user != look.user:
        return profile
    on_top = _rows(look.cursor, PROFILE_ON_TOP)
    if not on_top:
        return profile
    return overlaid_profile(profile or Profile(user, "", "", b"", b""), on_top)


def read_profiles(look: Reading) -> list[Profile]:
    return [Profile(*each) for each in rows(look.cursor, PROFILES)]


def read_guilds(look: Reading) -> list[Guild]:
    sql = "select host, guild, name from guild order by host, guild"
    return [Guild(*each) for each in rows(look.cursor, sql)]


def read_invites(look: Reading) -> list[Invite]:
    """Those that wait for an answer, or whose answer waits."""
    sql = "select host, invite, inviter, conversation, name from invite order by host, invite"
    invites = [Invite(*each) for each in rows(look.cursor, sql)]
    on_top = _rows(look.cursor, INVITES_ON_TOP)
    return [overlaid_invite(invite, on_top) for invite in invites] if on_top else invites


def _rows(cursor: apsw.Cursor, sql: str, *names: str) -> list[Row]:
    return [outbox.row_of(columns) for columns in rows(cursor, sql, names)]
