"""What an app gives to a call that is none of what it takes: the call says so, and does nothing."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from postbox.client import Client, Conversation, Customs, Invite, Message, open_client
from support.library_phone import Street, in_street

ROOM, MESSAGE, TEXT = "a room", "a message", "text"
INVITE = Invite("host", "invite", "bob", "conversation", "name")

CALLS: dict[str, dict[str, Any]] = {
    "create": {"name": "lunch", "members": ["bob"]},
    "rename": {"conversation": ROOM, "name": "dinner", "based_on": ""},
    "add": {"conversation": ROOM, "user": "bob", "is_owner": False, "history": False},
    "remove": {"conversation": ROOM, "user": "bob"},
    "leave": {"conversation": ROOM},
    "conversations": {"limit": 1, "before": ""},
    "conversation": {"conversation": ROOM},
    "members": {"conversation": ROOM},
    "send": {"conversation": ROOM, "text": TEXT, "reply_to": "", "once": "", "extra": b""},
    "edit": {"message": MESSAGE, "text": TEXT, "based_on": ""},
    "delete": {"message": MESSAGE},
    "react": {"message": MESSAGE, "reaction": "+1"},
    "unreact": {"message": MESSAGE, "reaction": "+1"},
    "read": {"message": MESSAGE},
    "messages": {"conversation": ROOM, "before": "", "limit": 1},
    "message": {"message": MESSAGE},
    "older": {"conversation": ROOM, "limit": 1},
    "profile": {"user": "bob"},
    "set_name": {"name": "Ann", "based_on": ""},
    "set_picture": {"png": b"", "based_on": ""},
    "answer_invite": {"invite": INVITE, "accept": True},
    "typing": {"conversation": ROOM},
    "stopped_typing": {"conversation": ROOM},
    "typists": {"conversation": ROOM},
    "incoming": {"name": "bot", "only_new": False},
    "queue": {"limit": 1},
    "why": {"key": TEXT},
    "dismiss": {"key": TEXT, "whole": False},
    "dismiss_refused": {"older_than_s": 1.0},
    "again": {"key": TEXT},
    "set_active": {"is_active": True},
    "sign_in": {"token": "a.b.c"},
}
"""Every call that is given something, with something of the kind that it takes."""


def _real(value: object, room: Conversation, message: Message) -> object:
    return room if value == ROOM else message if value == MESSAGE else value


class Nothing:
    """What no call takes."""


async def called(client: Client, call: str, **given: Any) -> None:
    done = getattr(client, call)(**given)
    if inspect.isawaitable(done):
        await done


@in_street
async def test_each_call_says_what_it_takes_and_does_nothing_else(street: Street) -> None:
    ann = await street.phone("ann")
    room = await ann.client.create("notes")
    message = await ann.client.send(room, "hello")
    before = await ann.client.queue()
    for call, takes in CALLS.items():
        given = {name: _real(value, room, message) for name, value in takes.items()}
        for name in given:
            number = isinstance(given[name], int | float)
            for wrong in (None, "7" if number else 7, Nothing()):
                with pytest.raises(TypeError) as raised:
                    await called(ann.client, call, **{**given, name: wrong})
                assert str(raised.value).startswith(f"{call}(): {name} is a"), str(raised.value)
    with pytest.raises(TypeError, match=r"members is a list of str, and not"):
        await called(ann.client, "create", name="lunch", members=[room])
    with pytest.raises(TypeError, match=r"conversation is a Conversation or a str, and not a Mess"):
        await called(ann.client, "send", conversation=message, text="hello")
    with pytest.raises(TypeError, match="text"):
        await called(ann.client, "send", conversation=room)
    assert await ann.client.queue() == before


@in_street
async def test_a_page_has_at_least_one_thing(street: Street) -> None:
    ann = await street.phone("ann")
    room = await ann.client.create("notes")
    for call, takes in CALLS.items():
        for limit in (0, -1, 2**31) if "limit" in takes else ():
            given = {**takes, "limit": limit}
            given |= {"conversation": room} if "conversation" in takes else {}
            with pytest.raises(ValueError, match=rf"{call}\(\): limit is {limit}: at least 1"):
                await called(ann.client, call, **given)


@in_street
async def test_seconds_are_a_number_from_0_on(street: Street) -> None:
    ann = await street.phone("ann")
    await ann.client.create("lunch", ["nobody"])
    await ann.client.drained()
    seconds = [
        (call, name)
        for call, takes in CALLS.items()
        for name, value in takes.items()
        if isinstance(value, float)
    ]
    assert ("dismiss_refused", "older_than_s") in seconds
    for call, name in seconds:
        for wrong in (float("nan"), float("inf"), float("-inf"), -1, -(10**30)):
            with pytest.raises(ValueError, match=rf"^{call}\(\): {name} is {wrong}: seconds"):
                await called(ann.client, call, **{**CALLS[call], name: wrong})
    assert len(await ann.client.queue()) == 1


def test_there_is_no_other_call_that_is_given_something() -> None:
    public = {name: call for name, call in vars(Client).items() if inspect.isfunction(call)}
    takes = {
        name: list(inspect.signature(call).parameters)[1:]
        for name, call in public.items()
        if not name.startswith("_")
    }
    told = {name: list(given) for name, given in CALLS.items()}
    told["edit"].append("extra")  # None leaves it as it is
    assert {name: names for name, names in takes.items() if names} == told


def test_a_framework_that_asks_sees_what_is_to_be_awaited() -> None:
    calls = [*vars(Client).values(), *vars(Customs).values()]
    awaited = {call.__name__ for call in calls if inspect.iscoroutinefunction(call)}
    assert {"send", "older", "of"} <= awaited
    assert not {"typing", "changes", "sign_in"} & awaited


def test_a_client_is_opened_with_what_it_takes(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "url": "https://chat.example",
        "token": "a.b.c",
        "path": tmp_path / "ann.db",
        "device": "phone",
    }
    for name in given:
        for wrong in (None, 7):
            with pytest.raises(TypeError, match=rf"^open_client\(\): {name} is a .*, and not "):
                open_client(**{**given, name: wrong})
    assert list(tmp_path.iterdir()) == []
