"""Calls of the client library that are cancelled wherever they wait: the host sees each connection
end, nobody waits for it, and what is asked next is answered."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio

from postbox.client.transport.contract import Transport
from support.client_liars import Liar, Lie, Talk, late, lying
from support.client_liars import telling as telling_one
from support.client_wires import (
    ANY,
    ANY_ASYNCIO,
    GRPC,
    HTTP1,
    HTTP1_ASYNCIO,
    HTTP2,
    HTTP2_ASYNCIO,
    Steps,
    Way,
)

WAYS = (HTTP1, HTTP2, HTTP1_ASYNCIO, HTTP2_ASYNCIO, GRPC)
MESSAGE = b"\0\0\0\0\3one"
"""In an envelope of Connect's or gRPC's: for a unary answer of Connect it is a message as well."""


def telling(way: Way) -> Talk:
    """The same to every request: whole where it is unary, and a stream that goes on."""
    if way.kind == "grpc":
        kind = {"content-type": "application/grpc"}
        return telling_one(Lie(200, kind, MESSAGE, "whole", {"grpc-status": "0"}))
    return telling_one(Lie(200, {"content-type": "application/proto"}, MESSAGE))


def streaming(way: Way) -> Talk:
    kind = "grpc" if way.kind == "grpc" else "connect+proto"
    return telling_one(Lie(200, {"content-type": f"application/{kind}"}, MESSAGE, "never"))


async def ask(wire: Transport) -> None:
    await wire.submit(b"x" * 100_000)
    await wire.history(b"")


async def listen(wire: Transport) -> None:
    async with wire.stream(b"") as messages:
        await anext(messages)
        with anyio.move_on_after(0.02):
            await anext(messages)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("talk", [ask, listen])
async def test_wherever_a_call_is_cancelled_its_connection_ends(
    way: Way, talk: Callable[[Transport], Awaitable[None]]
) -> None:
    async with lying(telling(way) if talk is ask else streaming(way)) as liar:
        assert await waits_of(way, liar, talk) > 5


async def waits_of(way: Way, liar: Liar, talk: Callable[[Transport], Awaitable[None]]) -> int:
    """How often it waits, after it was cancelled each time."""

    async def once(at: int) -> bool:
        """Did it wait so often?"""
        with anyio.CancelScope() as scope:
            steps = Steps(at, scope.cancel)
            await steps.run(talking())
        if way.loop == "asyncio":
            assert asyncio.all_tasks() == {asyncio.current_task()}
            trio.from_thread.run(liar.all_gone)
        else:
            await liar.all_gone()
        return steps.count > at

    async def run() -> int:
        at = 0
        while await once(at):
            at += 1
        return at

    async def talking() -> None:
        async with way.open(liar.url) as wire:
            await talk(wire)

    return await way.run(run)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("is_late", [False, True])
async def test_a_transport_on_which_calls_were_cancelled_goes_on(way: Way, is_late: bool) -> None:
    async def run() -> int:
        async with way.open(liar.url) as wire:
            return await goes_on(wire, lambda: wire.submit(b""))

    talk = telling(way)
    async with lying(late(talk) if is_late else talk) as liar:
        assert await way.run(run) >= 3
        await liar.all_gone()


@pytest.mark.parametrize("way", [ANY, ANY_ASYNCIO, GRPC], ids=str)
async def test_wherever_a_call_over_tls_is_cancelled_its_connection_ends(
    way: Way, tls: ssl.SSLContext, ca: Path
) -> None:
    async def run() -> int:
        async with way.open(liar.url, ca=ca) as wire:
            return await goes_on(wire, anyio.lowlevel.checkpoint)  # each call has a new connection

    async with lying(telling(way), tls) as liar:
        assert await way.run(run) > 5
        assert liar.came > 2
        await liar.all_gone()


async def goes_on(wire: Transport, meanwhile: Callable[[], Awaitable[object]]) -> int:
    """How often a call waits, after it was cancelled each time."""
    at = 0
    while True:
        with anyio.CancelScope() as scope:
            steps = Steps(at, scope.cancel)
            await steps.run(wire.submit(b"x" * 100_000))
        await meanwhile()
        if steps.count <= at:
            return at
        at += 1
