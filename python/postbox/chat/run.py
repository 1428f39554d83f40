"""The chat of one device, from its file and its host's address, until the user ends it."""

from __future__ import annotations

from pathlib import Path

from postbox.chat.app import Chat
from postbox.chat.tokens import Tokens
from postbox.client import open_client


async def run_chat(
    url: str,
    tokens: Tokens,
    path: Path,
    *,
    user: str,
    device: str = "",
    ca: Path | None = None,
) -> int:
    """In an asyncio loop, on the terminal. An exit code. Raises what `open_client` raises."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    opening = open_client(url, tokens.fresh, path, device=device, ca=ca)
    async with opening as client:
        app = Chat(client, f"{user} · {url.partition('://')[2].rstrip('/')}", tokens.again)
        await app.run_async()
    return app.return_code or 0
