"""What stands in each part of the screen, of what the desk has."""

from __future__ import annotations

from postbox.chat import listing, wording
from postbox.chat.desk import Desk, Room, Waiting
from postbox.chat.help import HELP
from postbox.chat.lines import Block, Line, Look, Span, joined, padded, wrapped
from postbox.chat.pane import Make
from postbox.chat.plain import plain, plain_line
from postbox.chat.talk import Talk, blocks
from postbox.client import Message, State, Why

PROMPT: Line = (Span("› ", Look.STRONG),)
WELCOME = "No conversation is open.\n\nCtrl+N begins one. Ctrl+G says what the keys do."
EMPTY = "none yet: Ctrl+N"

KEYS = {
    "composer": (
        "^G help",
        "Enter send",
        "Tab move",
        "^N new",
        "^O people",
        "^T waiting",
        "^Q end",
    ),
    "talk": ("^G help", "r reply", "+ react", "e edit", "d delete", "Enter all of it"),
    "list": ("^G help", "Enter open", "^N new", "^O people", "^T waiting", "^Q end"),
}


def status(desk: Desk) -> Line:
    client = desk.client
    counts = wording.Counts(desk.unanswered, desk.refused, desk.unanswered_invites)
    return wording.connection(client.status, counts, client.now_s())


def keys(where: str) -> Line:
    return (Span("  ".join(KEYS.get(where, KEYS["list"]))),)


def conversations(desk: Desk) -> Make:
    opened = desk.room.key if desk.room else ""

    def make(width: int) -> list[Block]:
        if not desk.conversations:
            return [Block("", ((Span(EMPTY, Look.DIM),),))]
        return listing.conversations(desk.conversations, desk.titles, opened, width)

    return make


def talk(desk: Desk) -> Make:
    room = desk.room
    if room is None:
        return prose(WELCOME)
    shown = Talk(room.messages, desk.client.user, room.names, room.new_after, room.has_older)
    failed = room.conversation.state is State.FAILED

    def make(width: int) -> list[Block]:
        made = blocks(shown, width)
        return made + _failure(room, width) if failed else made

    return make


def _failure(room: Room, width: int) -> list[Block]:
    why = wording.refusal(room.conversation.code, room.conversation.detail)
    text = (
        f"This conversation could not be made: {why}. ^T has it: try it again, and what was written"
        " here goes with it; or drop it."
    )
    return [Block("", tuple((Span(line, Look.BAD),) for line in wrapped(text, width)))]


def title(desk: Desk) -> tuple[Line, Line]:
    room = desk.room
    if room is None:
        return (), ()
    others = {member.user for member in room.members} - {desk.client.user}
    here = len(others & set(desk.client.connected()))
    people = f"{room.conversation.members} people" if len(others) != 1 else ""
    where = f"{here} here" if len(others) > 1 else ("here" if here else "")
    return (
        (Span(desk.title(room.conversation), Look.STRONG),),
        (Span(joined((people, where)), Look.DIM),),
    )


def passing(desk: Desk, notice: str) -> Span:
    """What goes by itself: who types, or else what went wrong just now."""
    if notice:
        return Span(notice, Look.BAD)
    return Span(wording.typing(desk.room.typists if desk.room else ()), Look.DIM)


def about(kind: str, message: Message) -> Line:
    said = plain_line(message.text[:200])
    word = "edit" if kind == "edit" else f"reply to {wording.name_of(message.author_name)}"
    return (Span(f"{word}: ", Look.STRONG), Span(said, Look.DIM))


def prose(text: str) -> Make:
    """A text to read."""

    def make(width: int) -> list[Block]:
        return [Block("", ((Span(line),),)) for line in wrapped(text, width)]

    return make


def help_() -> Make:
    def make(width: int) -> list[Block]:
        keys = min(18, width // 3)
        return [Block("", lines) for lines in (_helped(*row, keys, width) for row in HELP)]

    return make


def _helped(key: str, text: str, keys: int, width: int) -> tuple[Line, ...]:
    room = width - keys if key else width
    return tuple(
        (Span(padded(key if not at else "", keys) if key else "", Look.STRONG), Span(line))
        for at, line in enumerate(wrapped(text, room))
    )


def people(desk: Desk) -> Make:
    room, client = desk.room, desk.client

    def make(width: int) -> list[Block]:
        if room is None:
            return []
        connected = set(client.connected())
        newest = room.conversation.newest_seq
        shown = listing.People(client.user, connected, desk.pictured, newest)
        return listing.people(room.members, shown, width)

    return make


def invites(desk: Desk) -> Make:
    def make(width: int) -> list[Block]:
        if not (desk.invites or desk.guilds):
            return [Block("", ((Span("Nobody invites you, and you are in no guild.", Look.DIM),),))]
        return listing.invites(desk.invites, width) + listing.guilds(desk.guilds, width)

    return make


def queue(rows: list[Waiting]) -> Make:
    def make(width: int) -> list[Block]:
        if not rows:
            return [Block("", ((Span("Nothing waits.", Look.DIM),),))]
        return listing.queue(rows, width)

    return make


def whole(message: Message, room: Room, why: Why | None) -> Make:
    """All of a message."""
    facts = [
        joined((wording.moment(message.at_ms), wording.name_of(message.author_name))),
        wording.reach(message) if why is None or message.uuid else wording.why(why).text,
    ]
    reactions = [
        f"{plain_line(each.reaction)} "
        + ", ".join(wording.name_of(room.names.get(user, "")) for user in each.users)
        for each in message.reactions
    ]
    return prose("\n".join([plain(message.text), "", *filter(None, facts), *reactions]))
