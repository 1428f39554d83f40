"""What the queue makes of the base: what a user did is seen at once, on top of what the stream
said.

All of it is a function of both, so there is no second copy that could be left behind: when a row is
KEPT, the base has what it does; when it is REFUSED, it is undone by doing nothing, but for what it
made itself, which is shown as failed. The rows given are those that concern the thing, in the order
of making.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from postbox.client.core import acts
from postbox.client.core.ids import is_uuid, user_uuid
from postbox.client.core.outgoing import act_of, custom_of
from postbox.client.facts import (
    Conversation,
    Custom,
    Invite,
    Member,
    Message,
    Profile,
    Queued,
    Reaction,
    Row,
    Standing,
    State,
)

_STATES = {
    Standing.QUEUED: State.SENDING,
    Standing.SENT: State.SENT,
    Standing.REFUSED: State.FAILED,
    Standing.KEPT: State.SENT,
}


def _counting(rows: Iterable[Row]) -> Iterator[tuple[Queued, acts.Act]]:
    """Those that do something, with what that is."""
    for row in rows:
        if row.queued.standing in (Standing.QUEUED, Standing.SENT):
            yield row.queued, act_of(row.body)


def _is_pending(queued: Queued) -> bool:
    return queued.standing is Standing.QUEUED


def _name_of(queued: Queued) -> str:
    """By which the next change may say what it is based on."""
    return queued.uuid or queued.local


# -- messages --------------------------------------------------------------------------------------


def message_made(row: Row, author: str, author_name: str) -> Message:
    """Of a row that sends one, and that the base does not have."""
    queued, act = row.queued, act_of(row.body)
    assert isinstance(act, acts.SendMessage)
    return Message(
        uuid=queued.uuid,
        local=queued.local,
        conversation=queued.conversation,
        seq=0,
        author=author,
        author_name=author_name,
        text=act.text,
        state=_STATES[queued.standing],
        at_ms=queued.made_ms,
        reply_to=act.reply_to,
        code=queued.code,
        detail=queued.detail,
        change=_name_of(queued),
        extra=act.extra,
    )


def overlaid_message(message: Message, rows: Sequence[Row], user: str) -> Message | None:
    """`user`: whose device it is. None: the user deletes it."""
    for queued, act in _counting(rows):
        match act:
            case acts.DeleteMessage():
                return None
            case acts.EditMessage(text=text, extra=extra):
                name = _name_of(queued)
                message = replace(message, text=text, extra=extra, is_edited=True, change=name)
            case acts.AddReaction(reaction=reaction):
                message = replace(message, reactions=_with(message.reactions, reaction, user))
            case acts.RemoveReaction(reaction=reaction):
                message = replace(message, reactions=_without(message.reactions, reaction, user))
            case _:
                continue
        message = replace(message, is_pending=message.is_pending or _is_pending(queued))
    return message


def _with(reactions: Sequence[Reaction], reaction: str, user: str) -> tuple[Reaction, ...]:
    users = {user for each in reactions if each.reaction == reaction for user in each.users}
    others = [each for each in reactions if each.reaction != reaction]
    return _in_order([*others, Reaction(reaction, tuple(sorted({*users, user})))])


def _without(reactions: Sequence[Reaction], reaction: str, user: str) -> tuple[Reaction, ...]:
    left = [
        replace(each, users=tuple(one for one in each.users if one != user))
        if each.reaction == reaction
        else each
        for each in reactions
    ]
    return _in_order([each for each in left if each.users])


def _in_order(reactions: Iterable[Reaction]) -> tuple[Reaction, ...]:
    return tuple(sorted(reactions, key=lambda each: each.reaction.encode()))


def custom_made(row: Row, author: str) -> Custom | None:
    """Of a row that sends one, and that the base does not have."""
    queued, said = row.queued, custom_of(row.body)
    if said is None:
        return None
    return Custom(
        uuid=queued.uuid,
        local=queued.local,
        conversation=queued.conversation,
        seq=0,
        author=author,
        number=said[0],
        value=said[1],
        state=_STATES[queued.standing],
        at_ms=queued.made_ms,
        code=queued.code,
        detail=queued.detail,
    )


# -- conversations ---------------------------------------------------------------------------------


def conversation_made(row: Row, user: str) -> Conversation:
    """Of a row that makes one, and that the base does not have."""
    queued, act = row.queued, act_of(row.body)
    assert isinstance(act, acts.CreateConversation)
    return Conversation(
        uuid=queued.uuid,
        local=queued.local,
        name=act.name,
        state=_STATES[queued.standing],
        unread=0,
        read_seq=0,
        newest_seq=0,
        newest_ms=queued.made_ms,
        newest=None,
        is_owner=True,
        members=len({user, *map(_user_of, act.members)}),
        has_older=False,
        oldest_seq=0,
        code=queued.code,
        detail=queued.detail,
        change=_name_of(queued),
    )


def overlaid_conversation(
    conversation: Conversation, rows: Sequence[Row], user: str
) -> Conversation | None:
    """None: the user leaves it. Its `members` are counted as the base has them."""
    seqs = {row.queued.local: row.target_seq for row in rows}
    for queued, act in _counting(rows):
        match act:
            case acts.RenameConversation(_, name):
                pending = conversation.is_pending or _is_pending(queued)
                conversation = replace(
                    conversation, name=name, change=_name_of(queued), is_pending=pending
                )
            case acts.Read():
                read_seq = max(conversation.read_seq, seqs[queued.local])
                conversation = replace(conversation, read_seq=read_seq)
            case acts.AddMember(_, member, is_owner) if _user_of(member) == user:
                conversation = replace(conversation, is_owner=is_owner)
            case acts.RemoveMember(_, member) if member in ("", user):
                return None
            case _:
                pass
    return conversation


def overlaid_members(members: Sequence[Member], rows: Sequence[Row], user: str) -> list[Member]:
    """By their uuids. Of who is added by its uuid the names are left empty."""
    found = {member.user: member for member in members}
    for row in rows:
        made = act_of(row.body)
        if isinstance(made, acts.CreateConversation):  # also if it was refused: it is shown as such
            names = {_user_of(each): each for each in made.members}
            for uuid, name in {**names, user: user}.items():
                found[uuid] = _member(row.queued, uuid, name, is_owner=uuid == user)
    for queued, act in _counting(rows):
        match act:
            case acts.AddMember(_, name, is_owner):
                uuid = _user_of(name)
                known = found.get(uuid) or _member(queued, uuid, name, is_owner)
                found[uuid] = replace(known, is_owner=is_owner, is_pending=_is_pending(queued))
            case acts.RemoveMember(_, uuid):
                found.pop(uuid or user, None)
            case _:
                pass
    return [found[uuid] for uuid in sorted(found)]


def _member(queued: Queued, uuid: str, name: str, is_owner: bool) -> Member:
    return Member(
        conversation=queued.conversation,
        user=uuid,
        name="" if is_uuid(name) else name,
        display="",
        is_owner=is_owner,
        read_seq=0,
        delivered_seq=0,
        is_pending=_is_pending(queued),
    )


def _user_of(member: str) -> str:
    return member.lower() if is_uuid(member) else user_uuid(member)


# -- users -----------------------------------------------------------------------------------------


def overlaid_profile(profile: Profile, rows: Sequence[Row]) -> Profile:
    for queued, act in _counting(rows):
        match act:
            case acts.SetDisplayName(name):
                profile = replace(profile, display=name, name_change=_name_of(queued))
            case acts.SetPicture(png):
                sha256 = hashlib.sha256(png).digest() if png else b""
                profile = replace(
                    profile, picture=png, picture_sha256=sha256, picture_change=_name_of(queued)
                )
            case _:
                pass
    return profile


def overlaid_invite(invite: Invite, rows: Sequence[Row]) -> Invite:
    for _, act in _counting(rows):
        match act:
            case acts.AnswerInvite(invite.host, invite.invite, accepted):
                invite = replace(invite, answer=accepted)
            case _:
                pass
    return invite
