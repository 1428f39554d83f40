"""A client, from its file and its host's address, until the end of a block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from postbox.client.arguments import checked
from postbox.client.client import Client
from postbox.client.core.ids import user_uuid
from postbox.client.core.inputs import Stopped
from postbox.client.credentials import NO_TOKEN, Credentials, Token, claims_of
from postbox.client.errors import SignInNeeded
from postbox.client.facts import Owner
from postbox.client.news import News
from postbox.client.running import Running
from postbox.client.shelf import Shelf
from postbox.client.store.open import open_store
from postbox.client.system import client_world
from postbox.client.transport.open import Kind, check_way, open_transport
from postbox.client.typing import OwnTyping
from postbox.errors import leaves
from postbox.world import Pool, World


@asynccontextmanager
@checked
async def open_client(
    url: str,
    token: Token,
    path: str | Path,
    *,
    device: str = "",
    transport: Kind = "connect",
    ca: str | Path | None = None,
    host_moved: bool = False,
    world: World | None = None,
) -> AsyncIterator[Client]:
    """The client of one device, of which `path` is the file: made if there is none, and one process
    has it at a time. It can be used at once, network or not.

    `url`: of the host, as https://chat.example:7433. `token`: that the host takes, or an async
    function that gets one. It is called whenever the host wants a new one; for a new file at once,
    to know whose it is, and what it raises comes out. `device`: what the host calls this device, if
    the token does not say it; one is made up the first time, and kept. `transport`: "connect", or
    "grpc" on Trio. `ca`: a file with the certificates of a private authority. `host_moved`: the
    host has another name than it had when this file was open last; a file is shown to no other host
    than its own otherwise.

    Raises ValueError and TypeError for what it is given, SignInNeeded (a new file, and no token),
    AnotherOwner (the file is another user's, device's or host's), DatabaseInUse, NoDatabase,
    BrokenDatabase, SchemaTooNew and Full.
    """
    world, host = world or client_world(), check_way(url, transport, ca).host
    with _alone():
        async with _shelf(world, str(path)) as shelf:
            credentials = await _credentials(world, shelf, token, host, device, host_moved)
            async with open_transport(
                url,
                transport,
                token=credentials.current,
                device=credentials.owner.device,
                net=world.net,
                ca=ca,
            ) as wire:
                news = News(credentials.owner.user, world.clock.elapsed_s)
                async with anyio.create_task_group() as tasks:
                    running = Running(world, shelf, wire, credentials, news, tasks)
                    typing = OwnTyping(world.clock, shelf, wire, news, tasks)
                    await running.start()
                    try:
                        yield Client(world, shelf, news, credentials, running, typing)
                    finally:
                        running.tell(Stopped())
                        news.listeners.end()
                        tasks.cancel_scope.cancel()


@contextmanager
def _alone() -> Iterator[None]:
    """What the block raises comes out as it is, and not in a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        found = leaves(group)
        if len(found) > 1 or isinstance(found[0], anyio.get_cancelled_exc_class()):
            raise
        raise found[0] from found[0].__cause__


@asynccontextmanager
async def _shelf(world: World, path: str) -> AsyncIterator[Shelf]:
    store = await world.threads.run(Pool.WRITER, lambda: open_store(world.disk, path))
    shelf = Shelf(store, world.threads)
    try:
        yield shelf
    finally:
        await shelf.aclose()


async def _credentials(
    world: World, shelf: Shelf, token: Token, host: str, device: str, moved: bool
) -> Credentials:
    """Whose file it is, from now on if it is new. Raises ValueError and AnotherOwner, and for a new
    file whatever the app's function raises."""
    known = await shelf.read(lambda store: store.owner)
    first = token if isinstance(token, str) else "" if known else await token()
    if not (first or known):
        raise SignInNeeded("a new file needs a token, which says whose it is, and there is none")
    claims = claims_of(first) if first else None
    if first and claims is None:
        raise ValueError(NO_TOKEN)
    owner = Owner(
        user=user_uuid(claims.sub) if claims else known.user if known else "",
        device=(
            device
            or (claims.device if claims else "")
            or (known.device if known else f"device-{world.random.bytes(_DEVICE_BYTES).hex()}")
        ),
        host=host,
        name=claims.sub if claims else "",
    )
    await shelf.write(lambda store: store.claim(owner, moves=moved))
    return Credentials(owner, first, None if isinstance(token, str) else token)


_DEVICE_BYTES = 4
