"""The chat by what one sees of it, before a served node, on asyncio."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from postbox.chat.plain import plain_line
from postbox.chat.tokens import TokenFile
from postbox.client import (
    Change,
    Client,
    Conversation,
    Full,
    Message,
    State,
    What,
    open_client,
)
from postbox.client.core import changes as core
from postbox.client.core import inputs
from postbox.client.store.store import Store
from support.chat_screen import NARROW, PATIENCE_S, WIDE, ChatHost, names, on_asyncio, soon
from support.client_town import PNG
from support.hostile_texts import TEXTS


async def types(phone: Client, room: Conversation) -> bool:
    found = await phone.conversation(room)
    return found is not None and bool(await phone.typists(found))


async def said(phone: Client, room: Conversation) -> list[Message]:
    return await phone.messages(room)


async def shows(phone: Client, room: Conversation, *texts: str) -> bool:
    return [each.text for each in await said(phone, room)] == list(texts)


SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["80x24", "40x12"])


@SIZES
def test_messages_go_both_ways_and_say_how_far_they_have_come(
    host: ChatHost, size: tuple[int, int]
) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann, size) as seat:
            await seat.sees("live", "none yet")
            room = await phone.create("Lunch", [ann])
            await phone.send(room, "Noodles?")
            await seat.sees("Lunch", "1")
            await seat.press("enter")
            await seat.sees(f"{bob}", "Noodles?", "new")

            async def is_read() -> bool:
                return [each.state for each in await phone.messages(room)] == [State.READ]

            await soon(is_read)

            def types_seen() -> bool:
                phone.typing(room)  # again and again, as people do: it is shown for a few seconds
                return f"{bob} is typing…" in seat.text

            await seat.until(types_seen)
            await seat.type("Yes.")
            await soon(lambda: types(phone, room))
            await seat.press("enter")
            await seat.sees("you", "Yes. · ")
            await soon(lambda: shows(phone, room, "Noodles?", "Yes."))
            await phone.read((await phone.messages(room))[-1])
            await seat.sees("Yes. · read")

    on_asyncio(talk)


def test_a_message_is_edited_answered_reacted_to_and_deleted_by_keys(host: ChatHost) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann) as seat:
            room = await phone.create("Lunch", [ann])
            await phone.send(room, "Where?")
            await seat.sees("Lunch")
            await seat.press("enter")
            await seat.sees("Where?")

            await seat.press("up", "r")
            await seat.sees(f"reply to {bob}: Where?")
            await seat.type("Heer")
            await seat.press("enter")
            await seat.sees(f"┌ {bob}: Where?", "Heer", without="reply to")

            await seat.press("up", "e")
            await seat.sees("edit: Heer")
            await seat.press("backspace", "backspace", "backspace")
            await seat.type("ere")
            await seat.press("enter")
            await seat.sees("Here · edited", without="Heer")

            await seat.press("up", "up", "+")
            await seat.sees("With what?")
            await seat.press("enter")
            await seat.sees("👍 you", without="With what?")

            async def is_told() -> bool:
                first, *later = await said(phone, room)
                told = [(one.text, one.reply_to, len(first.reactions)) for one in later]
                return told == [("Here", first.key, 1)]

            await soon(is_told)
            await seat.press("d")
            await seat.sees("Only its author")
            await seat.press("down", "d")
            await seat.sees("Delete it for everybody?")
            await seat.press("n")
            await seat.sees("Here", without="Delete it")
            await seat.press("d", "y")
            await seat.sees("Where?", without="Here")
            await soon(lambda: shows(phone, room, "Where?"))

    on_asyncio(talk)


def test_what_is_half_written_stays_with_its_conversation_and_is_what_it_was(
    host: ChatHost,
) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann) as seat:
            trip = await phone.create("Trip", [ann])
            await phone.drained()  # the other one is later, and above it
            lunch = await phone.create("Lunch", [ann])
            await phone.send(lunch, "Where?")
            await seat.sees("Lunch              1", "Trip")
            await seat.press("up", "enter")
            await seat.sees("▸Lunch", "Where?")
            await seat.type("Heer")
            await seat.press("enter")
            await seat.sees("Heer · ")

            await seat.type("And w")
            await seat.press("shift+tab", "e")
            await seat.sees("edit: Heer", "› Heer")
            await seat.press("backspace", "backspace", "backspace", "alt+down")
            await seat.sees("▸Trip", without="edit:")
            await seat.sees("▸Trip", without="› H")
            await seat.type("Rome?")
            await soon(lambda: types(phone, trip))
            await seat.press("alt+up")
            await seat.sees("▸Lunch", "edit: Heer", "› H")
            await seat.type("ere")
            await seat.press("enter")
            await seat.sees("Here · edited", "› And w", without="edit:")
            await seat.type("hen?")
            await seat.press("enter")
            await seat.sees("And when? · ")
            await seat.press("alt+down")
            await seat.sees("▸Trip", "› Rome?")
            await seat.client.drained()
            await soon(lambda: shows(phone, lunch, "Where?", "Here", "And when?"))
            assert await said(phone, trip) == []

    on_asyncio(talk)


def test_a_conversation_begins_grows_is_renamed_and_left(host: ChatHost) -> None:
    ann, bob, carl = names("ann", "bob", "carl")
    of_ann, of_bob, of_carl = host.tokens(ann, bob, carl)

    async def talk() -> None:
        async with (
            host.phone(bob, of_bob) as of_b,
            host.phone(carl, of_carl) as of_c,
            host.seat(ann, of_ann) as seat,
        ):
            await seat.press("ctrl+n")
            await seat.sees("With whom?")
            await seat.type(f"{bob}, ")
            await seat.press("enter")
            await seat.type("Trip")
            await seat.press("enter")
            await seat.sees("▸Trip", without="With whom?")
            await seat.type("Where to?")
            await seat.press("enter")
            await seat.sees("Where to? · sent")

            await seat.press("ctrl+o")
            await seat.sees(bob, "owner", "Esc back")
            await seat.press("a")
            await seat.sees("Add somebody")
            await seat.type(carl)
            await seat.press("enter")
            await seat.sees("3 people", without="Add somebody")

            await seat.press("ctrl+o", "r")
            await seat.sees("Rename the conversation")
            await seat.press("end")
            await seat.type("s")
            await seat.press("enter")
            await seat.sees("▸Trips", without="Rename")

            async def is_told() -> bool:
                return [each.name for each in await of_c.conversations()] == ["Trips"]

            await soon(is_told)
            await seat.press("ctrl+o", "l")
            await seat.sees("Leave Trips?")
            await seat.press("y")
            await seat.sees("none yet", "No conversation is open")

            async def has_left() -> bool:
                rooms = await of_b.conversations()
                return [len(await of_b.members(room)) for room in rooms] == [2]

            await soon(has_left)

    on_asyncio(talk)


def test_what_the_host_refuses_is_seen_with_the_reason_and_dropped(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.seat(ann, of_ann) as seat:
            await seat.sees("live")
            await seat.press("ctrl+n")
            await seat.type("nobody-of-that-name")
            await seat.press("enter")
            await seat.type("Alone")
            await seat.press("enter")
            await seat.sees("could not be made", "nobody-of-that-name", "1 failed")
            await seat.press("ctrl+t")
            await seat.sees("new conversation in Alone", "refused")
            await seat.press("x")
            await seat.sees("Nothing waits.")
            await seat.press("escape")
            await seat.sees("none yet", without="failed")

    on_asyncio(talk)


def test_a_refused_conversation_is_tried_again_or_dropped_with_what_was_written_in_it(
    host: ChatHost,
) -> None:
    ann, bob, nobody = names("ann", "bob", "nobody")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.seat(ann, of_ann) as seat:
            await seat.sees("live")
            room = await seat.client.create("Early", [bob])
            await seat.client.send(room, "are you there?")
            await seat.sees("Early")
            await seat.press("enter")
            await seat.says("could not be made", "what was written here goes with it")
            await seat.press("up", "t")
            await seat.says("What it belongs to was refused")
            async with host.phone(bob, of_bob) as phone:
                await seat.press("ctrl+t")
                await seat.sees("new conversation in Early", "message in Early")
                await seat.press("t")
                await seat.sees("Nothing waits.")
                await seat.press("escape")
                await seat.sees("are you there? · ", without="could not be made")

                async def has_come() -> bool:
                    rooms = await phone.conversations()
                    return [await shows(phone, room, "are you there?") for room in rooms] == [True]

                await soon(has_come)

            lost = await seat.client.create("Lost", [nobody])
            await seat.client.send(lost, "into nothing")
            await seat.sees("Lost", "2 failed")
            await seat.press("ctrl+t", "x")
            await seat.sees("Drop it, with all that was written in it?")
            await seat.press("y")
            await seat.sees("Nothing waits.")
            await seat.press("escape")
            await seat.sees("Early", without="Lost")

    on_asyncio(talk)


@SIZES
def test_a_dialog_whose_answer_is_wrong_says_why_and_keeps_what_was_typed(
    host: ChatHost, size: tuple[int, int]
) -> None:
    """Also where people type the title first."""
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.seat(ann, of_ann, size) as seat:
            await seat.sees("live")
            await seat.press("ctrl+n")
            await seat.type("Lunch break")
            await seat.press("enter")
            await seat.type(ann)
            await seat.press("enter")
            await seat.says("neither a user's uuid nor a name", "space or control characters")
            await seat.sees("New conversation", "Lunch break", ann)
            await seat.press("shift+tab", "ctrl+u", "enter", "enter")
            await seat.sees(f"{ann}", "live", without="New conversation")
            assert [each.name for each in await seat.client.conversations()] == [ann]

            await seat.press("ctrl+o", "r", "end")
            await seat.sees("Rename the conversation")
            seat.app.screen.query_one(Input).value = "x" * 300
            await seat.press("enter")
            await seat.says("at most 256", "no control")
            await seat.sees("Rename the conversation", "xxx")
            await seat.press("escape", "ctrl+o", "n")
            await seat.type("Ann")
            await seat.press("enter", "enter")
            await seat.sees("live", without="Your name")
            mine = await seat.client.profile()
            assert mine is not None
            assert mine.display == "Ann"

    on_asyncio(talk)


def test_a_question_that_cannot_be_done_says_why_and_stays(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.seat(ann, of_ann) as seat:
            room = await seat.client.create("notes")
            message = await seat.client.send(room, "hello")
            await seat.sees("notes")
            await seat.press("enter")
            await seat.sees("hello · sent")
            await seat.press("up", "d")
            await seat.sees("Delete it for everybody?")
            await protect(seat.client)
            await seat.press("y")
            await seat.says("cannot be opened or written")
            await seat.sees("Delete it for everybody?")
            await seat.press("n")
            await seat.sees("hello", without="Delete it")
            assert await seat.client.message(message) is not None

    on_asyncio(talk)


async def protect(client: Client) -> None:
    """Its file: nothing can be written from now on."""
    await client._shelf.write(lambda store: store._writer.pragma("query_only", 1))


def test_invites_are_answered_and_guilds_and_pictures_are_seen(host: ChatHost) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann) as seat:
            await phone.set_picture(PNG)
            await phone.create("Lunch", [ann])
            await seat.sees("Lunch")
            await seat.press("enter", "ctrl+o")
            await seat.sees(bob, "owner, picture")
            await seat.press("escape")

            await told(seat.client, *OF_ANOTHER_HOST)
            await seat.sees("2 invites")
            await seat.press("ctrl+l")
            await seat.sees("Bob (bob@b.example) invites you to talk", "Garden", "guild at")
            await seat.press("a")
            await seat.sees("accepted")
            await seat.press("a")
            await seat.says("no invite that waits for an answer")
            await seat.press("down", "d")
            await seat.sees("declined")
            await seat.press("escape")
            await seat.sees("Lunch", "2 waiting", without="invite")

    on_asyncio(talk)


OF_ANOTHER_HOST: Sequence[core.Change] = (
    core.GuildEntered("b.example", "garden", "Garden"),
    core.InviteCame("b.example", "1", "bob@b.example", "talk", "Bob"),
    core.InviteCame("b.example", "2", "carl@b.example", "walk", "Carl"),
)


async def told(client: Client, *changes: core.Change) -> None:
    """As by its host, of another one; answers wait, as if there were no network."""

    def take(store: Store) -> None:
        store.take([(changes, store.place())], now_ms=0)

    client._running.tell(inputs.Stopped())
    await client._shelf.write(take)
    client._news.heard(changes)


def test_what_goes_wrong_is_told_whole_at_the_foot(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.seat(ann, of_ann) as seat:
            room = await seat.client.create("notes")
            await seat.sees("notes")
            await seat.press("enter")
            await seat.sees("the beginning")
            seat.app.writing.composer.put("x" * 70_000)
            await seat.press("enter")
            await seat.says("this makes an event of", "at most 65,536")
            assert len(seat.app.writing.composer.text) == 70_000
            assert await seat.client.messages(room) == []

    on_asyncio(talk)


def test_a_file_that_cannot_be_read_for_a_while_is_told_and_ends_nothing(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.seat(ann, of_ann) as seat:
            await seat.client.create("alone", ["nobody"])
            await seat.client.drained()
            room = await seat.client.create("notes")
            await seat.client.send(room, "milk")
            await seat.sees("notes", "alone")
            await seat.press("home", "enter")
            await seat.sees("milk · sent")
            await seat.press("up")
            shelf = seat.client._shelf

            def fails() -> Store:
                raise Full("no room for ann.db")

            shelf._open = fails  # type: ignore[method-assign]
            for key in ("enter", "ctrl+t"):
                seat.app._front.tell("")
                await seat.press(key)
                await seat.says("no room for ann.db")
            seat.client._news.listeners.tell(Change(What.MESSAGE, room.key))
            seat.client._news.listeners.tell(Change(What.QUEUE))
            await seat.pilot.pause(0.2)
            del shelf._open
            seat.app._front.tell("")
            await seat.press("ctrl+t")
            await seat.sees("refused: there is no such user")
            await seat.press("escape")
            await seat.client.send(room, "eggs")
            await seat.sees("milk", "eggs · sent")

    on_asyncio(talk)


@SIZES
def test_older_messages_come_when_one_scrolls_up(host: ChatHost, size: tuple[int, int]) -> None:
    """The device is sent the last 50 of a conversation; the rest it asks for."""
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone:
            async with host.phone(ann, of_ann):
                pass
            room = await phone.create("Long", [ann])
            for at in range(130):
                await phone.send(room, f"number {at}.")
            await phone.drained()
            (host.folder / f"{ann}.db").unlink()
            async with host.seat(ann, of_ann, size) as seat:
                await seat.sees("Long")
                await seat.press("enter")
                await seat.sees("number 129.")
                assert "number 50." not in seat.text
                await seat.press("up", "up")
                async with asyncio.timeout(PATIENCE_S):
                    while "number 0." not in seat.text:
                        before = seat.text
                        await seat.press("pageup")
                        await seat.pilot.pause()
                        assert _numbers(before)[0] >= _numbers(seat.text)[0]
                await seat.sees("number 0.", "the beginning")
                await seat.press("end")
                await seat.sees("number 129.")

    on_asyncio(talk)


def _numbers(text: str) -> list[int]:
    return [int(part.split(".")[0]) for part in text.split("number ")[1:]] or [10**6]


@SIZES
def test_no_text_of_a_stranger_breaks_the_screen(host: ChatHost, size: tuple[int, int]) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann, size) as seat:
            await seat.sees("live")
            room = await phone.create("[b]漢字[/b] \u202eLunch", [ann])
            await seat.sees("[b]漢字[/b] Lunch")
            await seat.press("enter")
            for text in TEXTS.values():
                if not _may_be_sent(text):
                    continue
                await phone.send(room, text)
                await phone.send(room, "a line of its own")
                await seat.sees("a line of its own")
                _check(seat.lines(), size)
            for step in ("up", *["pageup"] * 20, *["pagedown"] * 5):
                await seat.press(step)
                _check(seat.lines(), size)

    on_asyncio(talk)


def _may_be_sent(text: str) -> bool:
    """A host takes no message without a text, and no halves of characters."""
    return 0 < len(text) < 20_000 and all(ord(each) not in range(0xD800, 0xE000) for each in text)


def _check(lines: list[str], size: tuple[int, int]) -> None:
    """Each line has its width, each part its place, and nothing is obeyed."""
    width, height = size
    assert [cell_len(line) for line in lines] == [width] * height
    assert all(plain_line(line) == " ".join(line.split()) for line in lines)
    if size == WIDE:
        assert {_cell(line, 22) for line in lines[1:-1]} == {"│"}


def _cell(line: str, at: int) -> str:
    cells = "".join(char + " " * (cell_len(char) - 1) for char in line)
    return cells[at]


def test_a_token_that_is_no_good_any_more_is_replaced_in_its_file(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)
    file = host.folder / f"{ann}.token"
    signed, _, signature = of_ann.rpartition(".")
    file.write_text(f"{signed}.{signature[::-1]}")

    async def talk() -> None:
        async with host.seat(ann, of_ann, tokens=TokenFile(file)) as seat:
            await seat.sees("needs sign-in: F5")
            await seat.press("f5")
            await seat.sees("needs sign-in: F5")
            file.write_text("")
            await seat.press("f5")
            await seat.says("is empty: put a token there, then F5")
            file.write_text(of_ann)
            await seat.press("f5")
            await seat.sees("live", without="sign-in")

    on_asyncio(talk)


def test_a_chat_that_a_copy_of_its_file_displaced_takes_it_back(host: ChatHost) -> None:
    (ann,) = names("ann")
    (of_ann,) = host.tokens(ann)

    async def talk() -> None:
        async with host.phone(ann, of_ann) as phone:
            await phone.create("Lunch")
        copy = shutil.copy(host.folder / f"{ann}.db", host.folder / f"{ann}-copy.db")
        async with host.seat(ann, of_ann) as seat:
            await seat.sees("live", "Lunch")
            async with open_client(host.url, of_ann, copy) as other:
                await seat.sees("live elsewhere; F5 takes it back")
                await seat.press("f5")
                await seat.sees("live", without="elsewhere")
                await seat.until(lambda: not other.status.is_live)

    on_asyncio(talk)


def test_nothing_is_lost_when_the_size_changes(host: ChatHost) -> None:
    ann, bob = names("ann", "bob")
    of_ann, of_bob = host.tokens(ann, bob)

    async def talk() -> None:
        async with host.phone(bob, of_bob) as phone, host.seat(ann, of_ann) as seat:
            room = await phone.create("Lunch", [ann])
            await phone.send(room, "Noodles? " * 20)
            await seat.sees("Lunch")
            await seat.press("enter")
            await seat.sees("Noodles?")
            await seat.type("half a thought")
            for width, height in (NARROW, (20, 8), (200, 50), NARROW, WIDE):
                await seat.pilot.resize_terminal(width, height)
                await seat.pilot.pause()
                await seat.sees("Noodles?", "half a thought")
            await seat.sees("▸Lunch", "Noodles?", "half a thought", "live")

    on_asyncio(talk)
