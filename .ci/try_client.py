"""URL TOKEN_FILE TOKEN_FILE: two users of the installed client library, one that writes before it
has a network, and a bot. Run where nothing of the server is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import anyio

import postbox.chat.run
from postbox.client import open_client

SERVER = ("postbox._core", "postbox.node", "postbox.cli", "connectrpc", "hypercorn", "nacl")
NOWHERE = "http://127.0.0.1:9"


async def sign_in(url: str, token: str) -> None:
    async with open_client(url, token, "bob.db") as bob:
        await bob.send(await bob.create("Notes"), "Who never signed in cannot be written to.")
        await bob.drained()


async def write_offline(token: str) -> None:
    async with open_client(NOWHERE, token, "ann.db") as ann:
        await ann.send(await ann.create("Lunch", ["bob"]), "Noodles?")


async def hear(url: str, token: str) -> None:
    async with open_client(url, token, "ann.db", host_moved=True) as ann:
        message = await anext(ann.incoming())
        sys.stdout.write(f"{message.author_name}: {message.text}\n")
        assert message.text == "Noodles? Yes!"


async def answer(url: str, token: str) -> None:
    async with open_client(url, token, "bob.db", transport="grpc") as bob:
        message = await anext(bob.incoming())
        await bob.send(message.conversation, f"{message.text} Yes!", once=message.uuid)
        await bob.drained()


async def deliver(url: str, token: str) -> None:
    async with open_client(url, token, "ann.db", host_moved=True) as ann:
        await ann.drained()


def main(url: str, *files: str) -> None:
    assert [module for module in SERVER if _is_there(module)] == []
    assert postbox.chat.run.__doc__
    ann, bob = (Path(file).read_text().strip() for file in files)
    anyio.run(sign_in, url, bob)
    anyio.run(write_offline, ann)
    anyio.run(deliver, url, ann)
    anyio.run(answer, url, bob, backend="trio")
    anyio.run(hear, url, ann)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of its package
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
