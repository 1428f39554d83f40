"""A client, from its file and its host's address, until the end of a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio

from postbox.client.client import Client
from postbox.client.core.ids import user_uuid
from postbox.client.credentials import Credentials, Token, claims_of
from postbox.client.facts import Owner
from postbox.client.news import News
from postbox.client.running import Running
from postbox.client.shelf import Shelf
from postbox.client.store.open import open_store
from postbox.client.store.store import Store
from postbox.client.system import client_world
from postbox.client.transport.address import read_url
from postbox.client.transport.open import open_transport
from postbox.client.typing import OwnTyping
from postbox.errors import leaves
from postbox.world import Pool, World


@asynccontextmanager
async def open_client(
    url: str,
    token: Token,
    path: str | Path,
    *,
    user: str = "",
    device: str = "",
    transport: Literal["connect", "grpc"] = "connect",
    ca: str | Path | None = None,
    host_moved: bool = False,
    world: World | None = None,
) -> AsyncIterator[Client]:
    """The client of one device, of which `path` is the file: made if there is none, and one process
    has it at a time. It can be used at once, network or not.

    `url`: of the host, as https://chat.example:7433. `token`: that the host takes, or an async
    function that gets one, which is called whenever the host wants a new one. `user`: the name that
    the user signs in with, needed the first time if the token comes later. `device`: its name, if
    the token does not say it; one is made up the first time, and kept. `ca`: a file with the
    certificates of a private authority. `host_moved`: the host has another name than it had when
    this file was open last; a file is never shown to another host than its own otherwise.

    Raises ValueError for what it is given, AnotherOwner (the file is another user's or device's),
    DatabaseInUse, NoDatabase, BrokenDatabase, SchemaTooNew and Full.
    """
    world, host = world or client_world(), read_url(url).host
    try:
        async with _opened(world, str(path)) as store:
            owner = await _owner(world, store, token, host, user, device, host_moved)
            credentials = Credentials(owner, token)
            async with open_transport(
                url,
                transport,
                token=credentials.current,
                device=owner.device,
                net=world.net,
                ca=ca,
            ) as wire:
                shelf, news = Shelf(store, world.threads), News(world.clock.elapsed_s)
                async with anyio.create_task_group() as tasks:
                    running = Running(world, shelf, wire, credentials, news, tasks)
                    typing = OwnTyping(world.clock, shelf, wire, news, tasks)
                    await running.start()
                    try:
                        yield Client(world, owner, shelf, news, credentials, running, typing)
                    finally:
                        news.listeners.end()
                        tasks.cancel_scope.cancel()
    except ExceptionGroup as group:  # what the block raised, and what else: mostly it is one
        found = leaves(group)
        if len(found) > 1:
            raise
        raise found[0] from found[0].__cause__


@asynccontextmanager
async def _opened(world: World, path: str) -> AsyncIterator[Store]:
    store = await world.threads.run(Pool.WRITER, lambda: open_store(world.disk, path))
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await world.threads.run(Pool.WRITER, store.close)


async def _owner(
    world: World, store: Store, token: Token, host: str, user: str, device: str, moved: bool
) -> Owner:
    """Whose file it is, from now on if it is new. Raises ValueError and AnotherOwner."""
    claims = claims_of(token) if isinstance(token, str) else None
    known = store.owner
    name = user or (claims.sub if claims else "")
    if not name and known is None:
        raise ValueError(
            "whose file is this? It is new, and there is no token yet: give user=..., the name "
            "that the user signs in with"
        )
    owner = Owner(
        user=user_uuid(name) if name or known is None else known.user,
        device=device
        or (claims.device if claims else "")
        or (known.device if known else f"device-{world.random.bytes(_DEVICE_BYTES).hex()}"),
        host=host,
    )
    await world.threads.run(Pool.WRITER, lambda: store.claim(owner, moves=moved))
    return owner


_DEVICE_BYTES = 4
