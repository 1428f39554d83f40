"""docs/client.md says what works: its programs are run, and killed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from postbox.client import Client, open_client
from postbox.world import system_world
from structure.tree import ROOT
from support.client_door import Door, door_at
from support.serving import served

PATIENCE_S = 60


def program(name: str) -> str:
    page = (ROOT / "docs/client.md").read_text(encoding="utf-8")
    return page.partition(f"<!-- {name} -->\n```python\n")[2].partition("```\n")[0]


def lines(name: str) -> int:
    return sum(bool(line.strip()) for line in program(name).splitlines())


def command(name: str, home: Path, url: str, token: str) -> list[str]:
    """It keeps its file in `home`."""
    text = program(name).replace("move_on_after(5)", "move_on_after(1)")
    (home / name).write_text(text, encoding="utf-8")
    return [sys.executable, "-W", "error", name, url, token]


async def said(home: Path, *about: str) -> list[str]:
    run = await trio.run_process(command("offline.py", home, *about), cwd=home, capture_stdout=True)
    return run.stdout.decode().splitlines()


@asynccontextmanager
async def bot(home: Path, *about: str) -> AsyncIterator[None]:
    """While it lives; it ends by kill -9."""
    process = await trio.lowlevel.open_process(command("bot.py", home, *about), cwd=home)
    try:
        yield
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@asynccontextmanager
async def host(home: Path) -> AsyncIterator[tuple[Door, str]]:
    with trio.fail_after(PATIENCE_S):
        async with door_at(home / "host") as door:
            async with served(door.app, world=system_world()) as where:
                yield door, where.url


async def shows(client: Client, room: str, *texts: str) -> None:
    with trio.fail_after(PATIENCE_S):
        changes = client.changes()
        while [message.text for message in await client.messages(room)] != list(texts):
            await anext(changes)


def test_the_bot_has_ten_lines_and_the_script_twenty() -> None:
    assert 0 < lines("bot.py") <= 10
    assert 10 < lines("offline.py") <= 20


def test_the_readmes_bot_is_the_same() -> None:
    assert program("bot.py") in (ROOT / "README.md").read_text(encoding="utf-8")


async def test_the_bot_answers_each_message_once_though_it_is_killed(tmp_path: Path) -> None:
    async with host(tmp_path) as (door, url):
        await door.device("bot", "one").sync()  # it is known to the host
        about = url, door.token("bot", "one")
        async with open_client(url, door.token("ann", "phone"), tmp_path / "ann.db") as ann:
            room = (await ann.create("talk", ["bot"])).key
            await ann.send(room, "hello")
            talk = ["hello", "You said: hello"]
            async with bot(tmp_path, *about):
                await shows(ann, room, *talk)
            await ann.send(room, "are you there?")
            await ann.drained()
            talk += ["are you there?", "You said: are you there?"]
            async with bot(tmp_path, *about):
                await shows(ann, room, *talk)


async def test_the_offline_script_says_the_same_with_and_without_a_network(
    tmp_path: Path,
) -> None:
    async with host(tmp_path) as (door, url):
        token = door.token("ann", "phone")
        await door.device("bob").sync()
        assert await said(tmp_path, "http://127.0.0.1:9", token) == [
            "ann: Noodles? (sending)",
            "conversationCreated waits for the host: not tried yet",
            "sendingNewMessage waits for its turn: not tried yet",
        ]
        lines = await said(tmp_path, url, token)
        assert [line.split(" (")[0] for line in lines[:2]] == ["ann: Noodles?"] * 2
        assert "sending)" not in "".join(lines)
        async with open_client(url, door.token("bob", "phone"), tmp_path / "bob.db") as bob:
            await bob.caught_up()
            [room] = await bob.conversations()
            await shows(bob, room.uuid, "Noodles?", "Noodles?")
