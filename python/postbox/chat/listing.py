"""What is listed, as lines: conversations, people, and what waits in the queue."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from postbox.chat import wording
from postbox.chat.desk import Waiting, invite_key
from postbox.chat.lines import Block, Line, Look, Span, fitted, joined, spread, wrapped
from postbox.chat.plain import plain_line
from postbox.client import Conversation, Guild, Invite, Member, State
from postbox.client.facts import UNREAD_AT_MOST


def conversations(
    all_: Sequence[Conversation], titles: Mapping[str, str], opened: str, width: int
) -> list[Block]:
    """One line each. `titles`: by key. `opened`: the key of the one that is shown."""
    return [Block(each.key, (_conversation(each, titles, opened, width),)) for each in all_]


def _conversation(
    conversation: Conversation, titles: Mapping[str, str], opened: str, width: int
) -> Line:
    is_open = conversation.key == opened
    look = Look.STRONG if conversation.unread or is_open else Look.PLAIN
    mark = "▸" if is_open else " "
    return spread(
        (Span(mark + titles.get(conversation.key, ""), look),), _counts(conversation), width
    )


def _counts(conversation: Conversation) -> Line:
    match conversation.state:
        case State.FAILED:
            return (Span("failed ", Look.BAD),)
        case State.SENDING:
            return (Span("sending ", Look.MARK),)
        case _ if conversation.unread:
            return (Span(f"{_unread(conversation.unread)} ", Look.MARK),)
        case _:
            return ()


def _unread(count: int) -> str:
    return f"{count:,}" if count < UNREAD_AT_MOST else f"{UNREAD_AT_MOST:,}+"


@dataclass(frozen=True)
class People:
    """What is known of members besides. `user`: whose chat it is. `newest_seq`: of the room."""

    user: str
    connected: Container[str] = ()
    pictured: Container[str] = ()
    newest_seq: int = 0


def people(members: Sequence[Member], known: People, width: int) -> list[Block]:
    return [Block(each.user, (_person(each, known, width),)) for each in members]


def _person(member: Member, known: People, width: int) -> Line:
    is_own = member.user == known.user
    is_here = is_own or member.user in known.connected
    notes = [Span("● " if is_here else "○ ", Look.GOOD if is_here else Look.DIM)]
    notes.append(Span(_both_names(member), Look.OWN if is_own else Look.PLAIN))
    return spread(tuple(notes), (Span(_standing(member, known), Look.DIM),), width)


def _both_names(member: Member) -> str:
    """Who may call itself as it likes is told by the name that it signs in with."""
    shown, name = wording.name_of(member.shown), plain_line(member.name)
    return shown if not name or shown == name else f"{shown} ({name})"


def _standing(member: Member, known: People) -> str:
    parts = ["owner"] if member.is_owner else []
    if member.user in known.pictured:
        parts.append("picture")
    if member.is_pending:
        parts.append("sending")
    elif member.user != known.user and member.read_seq >= known.newest_seq:
        parts.append("has read all")
    return ", ".join(parts)


def invites(all_: Sequence[Invite], width: int) -> list[Block]:
    """What is answered already and waits to be sent says so."""
    return [Block(invite_key(each), _invite(each, width)) for each in all_]


def _invite(invite: Invite, width: int) -> tuple[Line, ...]:
    lines = tuple((Span(line),) for line in wrapped(wording.invite(invite), width))
    if invite.answer is None:
        return lines
    answer = "accepted" if invite.answer else "declined"
    return (*lines, (Span(f"  {answer} · sending", Look.MARK),))


def guilds(all_: Sequence[Guild], width: int) -> list[Block]:
    return [
        Block(f"{each.host} {each.guild}", (_guild(each, width),))
        for each in sorted(all_, key=lambda each: (each.name, each.host))
    ]


def _guild(guild: Guild, width: int) -> Line:
    name = Span(wording.name_of(guild.name), Look.STRONG)
    return spread((name,), (Span(f"guild at {plain_line(guild.host)}", Look.DIM),), width)


def queue(rows: Sequence[Waiting], width: int) -> list[Block]:
    """In order of making: what it is, then why it is still here."""
    return [Block(row.why.queued.local, _waiting(row, width)) for row in rows]


def _waiting(row: Waiting, width: int) -> tuple[Line, ...]:
    reason = wording.why(row.why)
    about = Span(fitted(_about(row), width), Look.STRONG)
    lines = wrapped(reason.text, max(8, width - 2))
    return ((about,), *((Span(f"  {line}", reason.look),) for line in lines))


def _about(row: Waiting) -> str:
    queued = row.why.queued
    kind = f"{wording.clock(queued.made_ms)} {wording.queued(queued)}"
    return joined((joined((kind, row.title), " in "), plain_line(row.text[:200])), ": ")
