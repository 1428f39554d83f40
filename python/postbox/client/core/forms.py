"""The form that an act must have. What every host would refuse for its form is refused before it is
promised to the user; what a host decides by what is there when it arrives, it decides then.
"""

from __future__ import annotations

import re
import unicodedata
from typing import assert_never

from postbox.client.core import acts
from postbox.client.core.ids import is_uuid
from postbox.rpc.fields import fields

FIRST_FOREIGN = 64
LAST_FOREIGN = 2**29 - 1  # protobuf has no others
MAX_EVENT_BYTES = MAX_PICTURE_BYTES = 64 * 2**10
MAX_NAME_CHARS = 256
MAX_REACTION_BYTES = 64
MAX_FIRST_MEMBERS = 100
MAX_USER_CHARS = 64
"""As docs/protocol/clients.md has them, "What goes up"."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MUST_NAME = ("conversation", "message")
_MAY_NAME = ("reply_to", "based_on")


class NoSuchAct(ValueError):
    """The text says what is wrong with it."""


def check(act: acts.Act) -> None:
    """Raises NoSuchAct."""
    _check_names(act)
    match act:
        case acts.CreateConversation(name, members):
            _check_name("the conversation's name", name)
            _check_members(members)
        case acts.RenameConversation(_, name):
            _check_name("the conversation's name", name)
        case acts.AddMember(_, user):
            _check_user(user)
        case acts.RemoveMember(_, user):
            _check_uuid("the user", user, is_needed=False)
        case acts.SendMessage(text=text, extra=extra) | acts.EditMessage(text=text, extra=extra):
            _check_said(text, extra)
        case acts.AddReaction(reaction=reaction) | acts.RemoveReaction(reaction=reaction):
            _check_reaction(reaction)
        case acts.SetDisplayName(name):
            _check_name("the name", name)
        case acts.SetPicture(png):
            _check_png(png)
        case acts.AnswerInvite(host, invite):
            _check_text("the host", host)
            _check_text("the invite", invite)
        case acts.Foreign(_, field):
            _check_foreign(field)
        case acts.DeleteMessage() | acts.Read():
            pass
        case _ as never:
            assert_never(never)


def _check_names(act: acts.Act) -> None:
    for what in _MUST_NAME:
        if hasattr(act, what):
            _check_uuid(f"the {what}", getattr(act, what), not isinstance(act, acts.Foreign))
    for what in _MAY_NAME:
        _check_uuid(what, getattr(act, what, ""), is_needed=False)


def _check_uuid(what: str, text: str, is_needed: bool) -> None:
    if not is_uuid(text) and (text or is_needed):
        raise NoSuchAct(f"{what} is {text[:80]!r}, which is no uuid in 36 characters")


def _check_members(members: tuple[str, ...]) -> None:
    if len(members) > MAX_FIRST_MEMBERS:
        most = f"a conversation begins with at most {MAX_FIRST_MEMBERS}"
        raise NoSuchAct(f"{len(members)} members: {most}, and more can be added then")
    for member in members:
        _check_user(member)


def _check_user(text: str) -> None:
    if not is_uuid(text) and not is_user_name(text):
        raise NoSuchAct(
            f"{text[:80]!r} is neither a user's uuid nor a name: 1 to {MAX_USER_CHARS} characters,"
            ' without "@", ":", space or control characters'
        )


def is_user_name(text: str) -> bool:
    return 0 < len(text) <= MAX_USER_CHARS and not any(map(_is_forbidden, text))


def _is_forbidden(char: str) -> bool:
    return char in ":@" or char.isspace() or unicodedata.category(char) in ("Cc", "Cs")


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoSuchAct(f"{what} has half of a surrogate pair, which no UTF-8 holds") from error


def _check_name(what: str, name: str) -> None:
    _check_text(what, name)
    if len(name) > MAX_NAME_CHARS or _CONTROL.search(name):
        raise NoSuchAct(
            f"{what} has {len(name)} characters: at most {MAX_NAME_CHARS}, and no control ones"
        )


def _check_reaction(reaction: str) -> None:
    _check_text("a reaction", reaction)
    size = len(reaction.encode())
    if not reaction.strip() or size > MAX_REACTION_BYTES or _CONTROL.search(reaction):
        raise NoSuchAct(
            f"a reaction has 1 to {MAX_REACTION_BYTES} bytes in UTF-8, no control characters"
        )


def _check_said(text: str, extra: bytes) -> None:
    _check_text("the message", text)
    if not text and not extra:
        raise NoSuchAct("the message has no text")
    if any(number < FIRST_FOREIGN for number in _numbers(extra)):
        raise NoSuchAct(f"an application's fields have numbers from {FIRST_FOREIGN} on")


def _check_png(png: bytes) -> None:
    if len(png) > MAX_PICTURE_BYTES:
        raise NoSuchAct(f"the picture has {len(png):,} bytes: at most {MAX_PICTURE_BYTES:,}")
    if png and not png.startswith(_PNG_SIGNATURE):
        raise NoSuchAct("the picture is no PNG")


def _check_foreign(field: bytes) -> None:
    numbers = _numbers(field)
    if len(set(numbers)) != 1 or numbers[0] < FIRST_FOREIGN:
        raise NoSuchAct(
            f"an application's event is exactly one field number, from {FIRST_FOREIGN} on"
        )


def _numbers(message: bytes) -> list[int]:
    try:
        return [field.number for field in fields(message)]
    except ValueError as error:
        raise NoSuchAct(f"these are no fields of protobuf: {error}") from error
