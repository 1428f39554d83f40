"""Chats on screens that tests look at, with a served node."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import trio
from rich.console import Console
from textual.pilot import Pilot

from postbox.admin.devices import MINT_TOKEN, MintToken
from postbox.chat.app import Chat
from postbox.chat.tokens import OneToken, Tokens
from postbox.cli.node import operated
from postbox.cli.options import Common
from postbox.client import Client, open_client
from support.command import served

PATIENCE_S = 60
LOOK_S = 0.02
WIDE, NARROW = (80, 24), (40, 12)


@dataclass
class ChatHost:
    """A node that serves, as a process. Each user of a test has a name of its own."""

    url: str
    home: Path
    folder: Path

    def tokens(self, *users: str) -> list[str]:
        async def mint() -> list[str]:
            async with operated(Common(home=str(self.home))) as operator:
                asked = [MintToken(user, "chat") for user in users]
                return [(await operator.call(MINT_TOKEN, each)).token for each in asked]

        return trio.run(mint)

    @asynccontextmanager
    async def phone(self, user: str, token: str) -> AsyncIterator[Client]:
        """Without a screen, and caught up, so that the host knows the user."""
        async with open_client(self.url, token, self.folder / f"{user}.db") as client:
            await asyncio.wait_for(client.caught_up(), PATIENCE_S)
            yield client

    @asynccontextmanager
    async def seat(
        self, user: str, token: str, size: tuple[int, int] = WIDE, tokens: Tokens | None = None
    ) -> AsyncIterator[Seat]:
        """Before a screen of that size."""
        tokens = tokens or OneToken(token, "a test")
        async with open_client(self.url, tokens.fresh, self.folder / f"{user}.db") as client:
            app = Chat(client, user, tokens.again)
            async with app.run_test(size=size) as pilot:
                yield Seat(app, pilot, client)


@dataclass
class Seat:
    app: Chat
    pilot: Pilot[None]
    client: Client

    def lines(self) -> list[str]:
        """What is on the screen."""
        console = Console(
            width=self.app.size.width,
            height=self.app.size.height,
            file=io.StringIO(),
            force_terminal=True,
            record=True,
            legacy_windows=False,
        )
        compositor = self.app.screen._compositor
        behind = self.app._background_screens
        console.print(compositor.render_update(full=True, screen_stack=behind))
        return console.export_text(styles=False).splitlines()

    @property
    def text(self) -> str:
        return "\n".join(self.lines())

    async def press(self, *keys: str) -> None:
        """Each when what the one before it opened is there, with its focus."""
        for key in keys:
            await self.pilot.press(key)

    async def type(self, text: str) -> None:
        await self.press(*text)

    async def sees(self, *parts: str, without: str = "") -> None:
        """Waits until all of them stand on the screen, and the one does not."""

        def is_there() -> bool:
            text = self.text
            return all(part in text for part in parts) and not (without and without in text)

        await self.until(is_there)

    async def says(self, *parts: str) -> None:
        """As `sees`, of what may be broken into lines anywhere."""

        def is_there() -> bool:
            shown = " ".join(_words(line) for line in self.lines())
            return all(part in " ".join(shown.split()) for part in parts)

        await self.until(is_there)

    async def until(self, is_so: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_so():  # noqa: ASYNC110  (a screen tells nobody that it was drawn)
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"that is not on the screen:\n{self.text}") from None


def _words(line: str) -> str:
    """Of what stands in front, if something does."""
    parts = line.split("│")
    return parts[len(parts) // 2]


async def soon(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110  (as above)
            await asyncio.sleep(LOOK_S)


def on_asyncio(talk: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(talk())


@contextmanager
def chat_host(folder: Path) -> Iterator[ChatHost]:
    home = folder / "home"
    with served(home) as url:
        yield ChatHost(url, home, folder)


_USERS = count(1)


def names(*words: str) -> list[str]:
    """Of users that nobody has met."""
    at = next(_USERS)
    return [f"{word}{at}" for word in words]
