"""The client on real sockets, files and threads, on Trio and asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
import trio

from postbox.client import (
    AnotherOwner,
    Changes,
    Client,
    DatabaseInUse,
    State,
    What,
    open_client,
)
from postbox.client.store.store import Store
from postbox.world import system_world
from support.client_door import Door, door_at
from support.client_wires import ANY, ANY_ASYNCIO, GRPC, Way
from support.serving import served

T = TypeVar("T")

PATIENCE_S = 60


@asynccontextmanager
async def host(home: Path) -> AsyncIterator[tuple[Door, str]]:
    with trio.fail_after(PATIENCE_S):
        async with door_at(home / "host") as door:
            async with served(door.app, world=system_world()) as where:
                yield door, where.url


async def shows(client: Client, room: str, *texts: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        changes = client.changes()
        while [message.text for message in await client.messages(room)] != list(texts):
            await anext(changes)


@pytest.mark.parametrize("way", [ANY, ANY_ASYNCIO, GRPC], ids=str)
async def test_two_devices_talk_and_one_goes_on_where_it_was(tmp_path: Path, way: Way) -> None:
    async with host(tmp_path) as (door, url):
        await door.device("bob").sync()
        tokens = {name: door.token(name, "phone") for name in ("ann", "bob")}

        async def talk() -> None:
            def opened(name: str) -> AbstractAsyncContextManager[Client]:
                path = tmp_path / f"{name}.db"
                return open_client(url, tokens[name], path, transport=way.kind)

            async with opened("ann") as ann, opened("bob") as bob:
                room = (await ann.create("talk", ["bob"])).key
                incoming = bob.incoming()
                await ann.send(room, "hello")
                message = await anext(incoming)
                await bob.read(message)
                await bob.send(message.conversation, "hello yourself", message)
                await shows(ann, room, "hello", "hello yourself")
                with pytest.raises(DatabaseInUse):
                    async with opened("ann"):
                        pytest.fail("it opened twice")
            async with opened("ann") as ann:
                sent = await ann.send(room, "once more")
                assert sent.state is State.SENDING
                await ann.drained()
            async with opened("bob") as bob:
                await bob.caught_up()
                [there] = await bob.conversations()
                await shows(bob, there.uuid, "hello", "hello yourself", "once more")

        await way.run(talk)
        assert (tmp_path / "ann.db").stat().st_mode & 0o777 == 0o600


async def test_on_asyncio_a_call_that_is_given_up_by_a_timeout_leaves_the_client_whole(
    tmp_path: Path,
) -> None:
    """A timeout of asyncio's own does not wait for the thread that is at work."""
    async with host(tmp_path) as (door, url):
        token = door.token("ann", "phone")

        async def talk() -> None:
            async with open_client(url, token, tmp_path / "ann.db") as ann:
                room = (await ann.create("talk")).key
                await given_up(ann)
                for number in range(20):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.0001 * number):
                            await ann.send(room, f"message {number}", once=str(number))
                    await ann.send(room, f"message {number}", once=str(number))
                await ann.drained()
                await shows(ann, room, *(f"message {number}" for number in range(20)))

        await ANY_ASYNCIO.run(talk)


async def test_on_asyncio_what_a_call_that_is_given_up_has_dropped_or_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is on disk, and not before: who is told looks."""
    nowhere = "http://127.0.0.1:9"
    async with host(tmp_path) as (door, _):
        token = door.token("ann", "phone")

    async def talk() -> None:
        async with open_client(nowhere, token, tmp_path / "ann.db") as ann:
            changes = ann.changes()
            await cancelled_in(monkeypatch, "make", lambda: ann.create("lunch"))
            [room] = await looked_at(changes, ann.conversations, 1)
            await ann._shelf.write(lambda store: store.refuse(room.key, "QUOTA", "no more"))
            changes = ann.changes()
            await cancelled_in(monkeypatch, "dismiss", lambda: ann.dismiss(room.key))
            await looked_at(changes, ann.queue, 0)

    await ANY_ASYNCIO.run(talk)


async def cancelled_in(
    monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    """By asyncio itself, while a thread is in that method of the store, which takes a while yet."""
    has_begun, may_end = threading.Event(), threading.Event()
    method = getattr(Store, name)

    def slow(*args: Any, **kwargs: Any) -> Any:
        has_begun.set()
        assert may_end.wait(PATIENCE_S)
        return method(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Store, name, slow)
        calling = asyncio.create_task(call())
        while not has_begun.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    asyncio.get_running_loop().call_later(0.05, may_end.set)


async def looked_at(
    changes: Changes, look: Callable[[], Awaitable[list[T]]], count: int
) -> list[T]:
    """What is there when it is told that something changed, and at no other time."""
    with anyio.fail_after(PATIENCE_S):
        async for change in changes:
            if change.what is not What.STATUS and len(found := await look()) == count:
                return found
    raise AssertionError("nothing is told")


async def given_up(client: Client) -> None:
    """A write in whose midst the caller goes, and the next one begins."""
    has_begun, may_end = threading.Event(), threading.Event()

    def write(store: Store) -> None:
        with store._write():
            has_begun.set()
            assert may_end.wait(PATIENCE_S)

    writing = asyncio.create_task(client._shelf.write(write))
    while not has_begun.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    writing.cancel()
    asyncio.get_running_loop().call_later(0.05, may_end.set)
    await client.set_name("Ann")
    with suppress(asyncio.CancelledError):
        await writing


async def test_a_file_goes_to_a_host_of_another_name_only_when_the_app_says_that_it_moved(
    tmp_path: Path,
) -> None:
    async with host(tmp_path) as (door, url):
        token, file = door.token("ann", "phone"), tmp_path / "ann.db"
        async with open_client("http://localhost:9", token, file) as ann:
            room = await ann.create("made before")
        with pytest.raises(AnotherOwner, match="host_moved=True"):
            async with open_client(url, token, file):
                pytest.fail("it opened")
        async with open_client(url, token, file, host_moved=True) as ann:
            await ann.drained()
        async with open_client(url, token, file) as ann:
            assert [each.key for each in await ann.conversations()] == [room.key]
        with pytest.raises(AnotherOwner, match="is of the host"):
            async with open_client("http://localhost:9", token, file):
                pytest.fail("it opened")
