"""`postbox chat`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import trio
from cyclopts import Parameter

from postbox.cli.main import FAILED
from postbox.cli.options import HOME_VARIABLE, Common, Usage, Verb, run
from postbox.cli.output import complain
from postbox.home import home_at

if TYPE_CHECKING:
    from postbox.chat.tokens import Tokens

TOKEN_VARIABLE = "POSTBOX_TOKEN"
DEVICE = "chat"


def chat(
    url: str | None = None,
    /,
    *,
    user: str,
    token_file: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    home: Annotated[str | Path | None, Parameter(env_var=HOME_VARIABLE, metavar="DIR")] = None,
    device: str = DEVICE,
    file: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    ca: Annotated[Path | None, Parameter(metavar="FILE")] = None,
) -> int:
    """Chat in this terminal, as a user of a host. Everything is kept on this device: one reads and
    writes without a network, too, and what was written is sent when there is one.

    Parameters
    ----------
    url
        Of the host, as https://chat.example.org:7433; by default that of the node of --home.
    user
        The name that the user signs in with.
    token_file
        Where a token for the user is; else POSTBOX_TOKEN has one, or --home makes one. A new one
        may be put there while the chat runs.
    home
        A node's folder on this machine, whose operator you are: the token is made there, as postbox
        token mint does it.
    device
        What this device is called. A user has one chat for each, at a time.
    file
        Where the device's conversations are kept; by default among the user's own data, or in the
        home.
    ca
        Certificates in PEM that are trusted besides the system's.
    """
    if find_spec("textual") is None:
        complain(
            "the chat is drawn by textual, which is not installed: pip install 'postbox[chat]'"
        )
        return FAILED

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        complain("the chat needs a terminal: its keys and its screen")
        return FAILED
    asked = Asked(url, user, token_file, str(home or ""), device, file, ca)
    return run(partial(_chat, asked), by=_on_asyncio)


def _on_asyncio(verb: Verb) -> int:
    return asyncio.run(verb())


@dataclass(frozen=True)
class Asked:
    """As the options were given."""

    url: str | None
    user: str
    token_file: Path | None
    home: str
    device: str
    file: Path | None
    ca: Path | None


async def _chat(asked: Asked) -> int:
    from postbox.chat.run import run_chat

    url = asked.url or await _url_of(asked)
    try:
        return await run_chat(
            url,
            _tokens(asked),
            asked.file or _file(asked, url),
            user=asked.user,
            device=asked.device,
            ca=asked.ca,
        )
    except ValueError as error:
        raise Usage(str(error)) from error


def _tokens(asked: Asked) -> Tokens:
    from postbox.chat.tokens import Minted, OneToken, TokenFile

    if asked.token_file is not None:
        return TokenFile(asked.token_file)
    if given := os.environ.get(TOKEN_VARIABLE):
        return OneToken(given.strip(), TOKEN_VARIABLE)
    if not asked.home:
        raise Usage(
            f"how does {asked.user} sign in? Say --token-file FILE, set {TOKEN_VARIABLE}, or say"
            f" --home DIR of a node whose operator you are"
        )
    return Minted(partial(_in_node, asked.home, partial(_mint, asked.user, asked.device)))


async def _url_of(asked: Asked) -> str:
    if not asked.home:
        raise Usage("which host? Say its URL, or --home DIR of a node on this machine")
    return await _in_node(asked.home, _url)


def _file(asked: Asked, url: str) -> Path:
    """One for each user, host and device. A node's home has those that were made with it: whoever
    throws it away has no use for them."""
    name = quote(f"{asked.user}-{asked.device}", safe="") + ".db"
    if asked.home and not asked.url:
        return home_at(asked.home) / "chat" / name
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (
        Path(data) / "postbox" / "chat" / quote(url.partition("://")[2].strip("/"), safe="") / name
    )


async def _in_node(home: str, ask: Callable[[Common], Awaitable[str]]) -> str:
    """The node's half of postbox runs on Trio."""
    return await asyncio.to_thread(trio.run, ask, Common(home=home))


async def _mint(user: str, device: str, common: Common) -> str:
    from postbox.admin.devices import MINT_TOKEN, MintToken
    from postbox.cli.node import operated

    async with operated(common) as operator:
        return (await operator.call(MINT_TOKEN, MintToken(user, device))).token


async def _url(common: Common) -> str:
    from postbox.cli.address import address_of
    from postbox.cli.node import operated

    async with operated(common) as operator:
        return await address_of(operator, common)
