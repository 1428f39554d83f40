"""A conversation as lines: by day, by author, each message with its time, what it answers, how far
it has come, and who reacted.

bob
  12:03 ┌ ann: Where shall we go?
        Noodles?
        👍 ann
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from postbox.chat import wording
from postbox.chat.lines import (
    Block,
    Line,
    Look,
    Span,
    fitted,
    text_of,
    width_of,
    wrapped,
)
from postbox.chat.plain import plain, plain_line
from postbox.client import Message, Reaction, State

INDENT = " " * 2
TIME = 6
"""`12:03 `."""

MOST_LINES = 30
"""Of one message: a page and a half. A longer one is read whole by itself."""

MOST_TEXT = 4_000
"""Characters of a message that are looked at for those lines: else one of 64 KiB would be wrapped
at each change of width."""


@dataclass(frozen=True)
class Talk:
    """`new_after`: the number that the user had read up to when the conversation was opened, or
    None for no mark."""

    messages: Sequence[Message]
    user: str
    names: Mapping[str, str]
    new_after: int | None = None
    has_older: bool = False
    zone: tzinfo | None = None


def blocks(talk: Talk, width: int) -> list[Block]:
    """Oldest first."""
    return list(_blocks(talk, width))


def _blocks(talk: Talk, width: int) -> Iterator[Block]:
    yield _rule("older messages: scroll up" if talk.has_older else "the beginning", width)
    told = _told(talk)
    before: Message | None = None
    is_new_said = False
    for message in talk.messages:
        if before is None or _day(before, talk) != _day(message, talk):
            yield _rule(_day(message, talk), width, Look.DIM)
            before = None
        if not is_new_said and _is_new(message, talk):
            yield _rule("new", width, Look.MARK)
            before, is_new_said = None, True
        if before is None or before.author != message.author:
            yield Block("", (_author(message, talk, width),))
        yield Block(message.key, tuple(_lines(message, talk, told, width)))
        before = message


def _day(message: Message, talk: Talk) -> str:
    return wording.day(message.at_ms, talk.zone)


def _is_new(message: Message, talk: Talk) -> bool:
    return (
        talk.new_after is not None and message.seq > talk.new_after and message.author != talk.user
    )


def _rule(text: str, width: int, look: Look = Look.DIM) -> Block:
    ruled = fitted(f"── {text} ──", width)
    return Block("", ((Span(ruled.center(width).rstrip(), look),),))


def _author(message: Message, talk: Talk, width: int) -> Line:
    if message.author == talk.user:
        return (Span("you", Look.OWN),)
    return (Span(fitted(wording.name_of(message.author_name), width), Look.STRONG),)


def _told(talk: Talk) -> set[str]:
    """Of which own messages the state is said: of the last that has come so far, since all before
    it have, too; and of each that is on its way, or failed."""
    told: set[str] = set()
    seen: set[str] = set()
    for message in reversed(talk.messages):
        if message.author != talk.user:
            continue
        state = wording.state_of(message).text
        if state not in seen or message.state in (State.SENDING, State.FAILED):
            told.add(message.key)
        seen.add(state)
    return told


def _lines(message: Message, talk: Talk, told: set[str], width: int) -> Iterator[Line]:
    room = max(8, width - len(INDENT) - TIME)
    body = [*_reply(message, talk, room), *_text(message, room)]
    body = _with_notes(body, _notes(message, message.key in told), room)
    if message.reactions:
        body.append((Span(fitted(_reactions(message.reactions, talk), room)),))
    for at, line in enumerate(body):
        time = wording.clock(message.at_ms, talk.zone) if not at else ""
        yield (Span(INDENT + time.ljust(TIME), Look.DIM), *line)


def _reply(message: Message, talk: Talk, room: int) -> Iterator[Line]:
    if not message.reply_to:
        return
    for each in talk.messages:
        if message.reply_to in (each.uuid, each.local):
            who = "you" if each.author == talk.user else wording.name_of(each.author_name)
            yield (Span(fitted(f"┌ {who}: {plain_line(each.text[:200])}", room), Look.DIM),)
            return
    yield (Span(fitted("┌ an older message", room), Look.DIM),)


def _text(message: Message, room: int) -> Iterator[Line]:
    lines = wrapped(plain(message.text[:MOST_TEXT]).strip("\n"), room)
    for line in lines[:MOST_LINES]:
        yield (Span(line),)
    if len(lines) > MOST_LINES or len(message.text) > MOST_TEXT:
        yield (Span(fitted("… more: Enter shows all of it", room), Look.MARK),)


def _notes(message: Message, is_told: bool) -> list[Span]:
    notes: list[Span] = []
    if message.is_edited:
        notes.append(Span("edited", Look.DIM))
    if message.is_pending and message.state is not State.SENDING:
        notes.append(Span("sending a change", Look.MARK))
    if is_told:
        notes.append(wording.state_of(message))
    return notes


def _with_notes(body: list[Line], notes: list[Span], room: int) -> list[Line]:
    """Behind the text if there is place, else below it."""
    for note in notes:
        last = body[-1]
        between = Span(" · " if text_of(last) else "", Look.DIM)
        if width_of((*last, between, note)) <= room:
            body[-1] = (*last, between, note)
        else:
            body += [(Span(line, note.look),) for line in wrapped(note.text, room)]
    return body


def _reactions(reactions: Sequence[Reaction], talk: Talk) -> str:
    return "  ".join(_reaction(reaction, talk) for reaction in reactions)


def _reaction(reaction: Reaction, talk: Talk) -> str:
    shown = fitted(plain_line(reaction.reaction) or "?", 12)
    if len(reaction.users) > 2:
        return f"{shown} {len(reaction.users)}"
    return f"{shown} {', '.join(_name(user, talk) for user in reaction.users)}"


def _name(user: str, talk: Talk) -> str:
    return "you" if user == talk.user else wording.name_of(talk.names.get(user, ""))
