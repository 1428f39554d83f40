"""`postbox chat` as a process, on a terminal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from postbox.client import open_client
from support.command import TIMEOUT_S, Call, ready_url, running
from support.ports import free_port
from support.terminals import Terminal, on_terminal

ENTER, CTRL_Q, CTRL_T = "\r", "\x11", "\x14"
IDLE_S = 1.5
"""In which a chat that draws what did not change would do so: it looks once a second."""

MOST_PIECES = 50
"""Of what is written behind an event."""


def chat(home: Path, user: str) -> list[str | Path]:
    return ["chat", "--home", home, "--user", user]


def said_to(url: str, token: str, path: Path) -> list[str]:
    """All that a device is told was said."""

    async def ask() -> list[str]:
        async with open_client(url, token, path) as client:
            await client.caught_up()
            (room,) = await client.conversations()
            return [each.text for each in await client.messages(room)]

    return asyncio.run(ask())


def begin(ann: Terminal, bob: Terminal, url: str, token: str, path: Path) -> None:
    """A conversation of the two, open before both."""
    ann.sees("live")
    bob.sees("live")
    asyncio.run(created(url, token, path))
    for terminal in (ann, bob):
        terminal.sees("Lunch")
        terminal.type(ENTER)
        terminal.sees("▸Lunch", "Noodles?")


async def created(url: str, token: str, path: Path, members: Sequence[str] = ("bob",)) -> None:
    async with open_client(url, token, path) as client:
        room = await client.create("Lunch", members)
        await client.send(room, "Noodles?")
        await client.drained()


def test_two_side_by_side_survive_the_kill_of_their_host(tmp_path: Path, call: Call) -> None:
    """What was typed meanwhile arrives, once, and in the order in which each wrote it."""
    home, path, listen = tmp_path / "home", tmp_path / "tablet.db", f"127.0.0.1:{free_port()}"
    minted = call("token", "mint", "--user", "ann", "--device", "tablet", "--home", home)
    token = minted.out.strip()
    with running("serve", "--home", home, "--listen", listen, "--loopback") as host:
        url = ready_url(host)
        with on_terminal(*chat(home, "ann")) as ann, on_terminal(*chat(home, "bob")) as bob:
            begin(ann, bob, url, token, path)
            host.send_signal(signal.SIGKILL)
            host.wait()
            for terminal, word in ((ann, "eins"), (bob, "one")):
                terminal.sees("no answer from the host")
                terminal.forget()
                terminal.type(f"{word} 1{ENTER}{word} 2{ENTER}{word} 3{ENTER}")
                terminal.sees(" waiting", f"{word} 3", "sending")
            ann.type(CTRL_T)
            ann.sees("What waits, and why", "message in Lunch: eins 2", "waits")
            ann.type("q")
            for terminal in (ann, bob):
                terminal.forget()
            with running("serve", "--home", home, "--listen", listen, "--loopback") as again:
                assert ready_url(again) == url
                ann.sees("live", "one 3")
                bob.sees("live", "eins 3")
                for terminal in (ann, bob):
                    terminal.type(CTRL_Q)
                    while terminal.take(TIMEOUT_S):
                        pass
                    assert terminal.process.wait(TIMEOUT_S) == 0
                texts = said_to(url, token, path)
    assert sorted(texts) == sorted(
        ["Noodles?", *(f"{word} {at}" for word in ("eins", "one") for at in (1, 2, 3))]
    )
    for word in ("eins", "one"):
        of_one = [text for text in texts if text.startswith(word)]
        assert of_one == [f"{word} {at}" for at in (1, 2, 3)]


def test_only_what_changed_is_drawn_and_a_killed_chat_has_kept_all(
    tmp_path: Path, call: Call
) -> None:
    home = tmp_path / "home"
    minted = call("token", "mint", "--user", "ann", "--device", "tablet", "--home", home)
    with running("serve", "--home", home, "--listen", "127.0.0.1:0", "--loopback") as host:
        url = ready_url(host)
        asyncio.run(created(url, minted.out.strip(), tmp_path / "tablet.db", []))
        with on_terminal(*chat(home, "ann")) as ann:
            ann.sees("live", "Lunch")
            ann.type(ENTER)
            ann.sees("▸Lunch", "Noodles?")
            assert rests(ann), "nothing happens, and something is drawn"
            ann.forget()
            drawn = len(ann.written)
            ann.type("x")
            ann.sees("x")
            assert rests(ann)
            assert len(ann.written) - drawn < 400, "a line is 80 characters: one was typed in"
            ann.type(" marks the spot")
            ann.sees("spot")
            ann.forget()
            ann.type(ENTER)
            ann.sees("x marks the spot")
            ann.process.kill()
        with on_terminal(*chat(home, "ann")) as ann:
            ann.sees("Lunch", "x marks the spot")


def rests(terminal: Terminal) -> bool:
    """Whether it comes to write nothing for a while."""
    return not all(terminal.take(IDLE_S) for _ in range(MOST_PIECES))


def test_it_ends_with_its_terminal(tmp_path: Path, call: Call) -> None:
    """Else it would look for keys for ever, with all that a core can do."""
    home, token = tmp_path / "home", tmp_path / "token"
    token.write_text(call("token", "mint", "--user", "ann", "--device", "chat", "--home", home).out)
    words = ["--user", "ann", "--token-file", str(token), "--file", str(tmp_path / "ann.db")]
    with on_terminal("chat", "http://127.0.0.1:1", *words) as terminal:
        terminal.sees("no answer from the host")
        terminal.hang_up()
        terminal.process.wait(TIMEOUT_S)


def test_it_says_what_it_needs(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = call("chat", "--user", "ann")
    assert alone.code == 1
    assert "needs a terminal" in alone.err
    monkeypatch.setattr("postbox.cli.chat.find_spec", lambda _: None)
    without = call("chat", "--user", "ann")
    assert (without.code, without.out) == (1, "")
    assert "pip install 'postbox[chat]'" in without.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which host?"),
        (["http://127.0.0.1:1"], "how does ann sign in?"),
        (["ftp://host", "--token-file", "TOKEN"], "no address of a host"),
        (["https://host", "--token-file", "NOWHERE"], "no token can be read from"),
        (["https://host", "--token-file", "EMPTY"], "is empty"),
        (["https://host", "--token-file", "BINARY"], "is no text"),
        (["https://host", "--token-file", "TOKEN"], "this is no token of a user"),
    ],
)
def test_it_is_called_wrongly_and_says_so(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "TOKEN").write_text("a secret")
    (tmp_path / "EMPTY").write_text("")
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe")
    known = [str(tmp_path / word) if word.isupper() else word for word in words]
    with on_terminal("chat", *known, "--user", "ann", XDG_DATA_HOME=str(tmp_path)) as terminal:
        terminal.sees(told)
        while terminal.take(TIMEOUT_S):
            pass
        assert terminal.process.wait(TIMEOUT_S) in (1, 2)
        assert "Traceback" not in terminal.text
        assert "secret" not in terminal.text
