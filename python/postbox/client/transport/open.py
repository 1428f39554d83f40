"""A transport to a host, from its address."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import httpcore2
import trio

from postbox.client.transport.address import Address, Caller, read_url
from postbox.client.transport.connect import ConnectTransport
from postbox.client.transport.contract import Transport
from postbox.client.transport.grpc import GrpcTransport
from postbox.client.transport.http import Http, Version
from postbox.connections import (
    Backend,
    Dial,
    client_tls,
    dial_h2,
    first_that_answers,
    h2_client_tls,
)
from postbox.rpc.client import Channel
from postbox.world import Net

Kind: TypeAlias = Literal["connect", "grpc"]


def open_transport(
    url: str,
    kind: Kind = "connect",
    *,
    token: Callable[[], str],
    net: Net,
    device: str = "",
    ca: str | Path | None = None,
    version: Version = "any",
) -> AbstractAsyncContextManager[Transport]:
    """To the host at `url`, which is called when something is asked of it.

    `token`: asked before each call. `device`: the device's name, if no token has it. `ca`: a PEM
    file of authorities that are trusted beside the system's. `net` is called on Trio; on asyncio,
    where Connect alone is spoken, the system is. Raises ValueError for what makes no sense.
    """
    address, caller = check_way(url, kind, ca), Caller(token, device)
    authorities = None if ca is None else Path(ca)
    if kind == "connect":
        is_trio = trio.lowlevel.in_trio_task()
        backend = Backend(partial(_dial, net)) if is_trio else httpcore2.AnyIOBackend()
        tls = _trusting(client_tls, authorities) if address.is_tls else None
        return _open_connect(Http(address, backend, tls, version), caller)
    tls = _trusting(h2_client_tls, authorities) if address.is_tls else None
    return _open_grpc(net, address, caller, tls)


def check_way(url: str, kind: Kind, ca: str | Path | None) -> Address:
    """Whom it leads to. Raises ValueError for what no host is called by."""
    address = read_url(url)
    if kind not in get_args(Kind):
        kinds = " and ".join(f'"{each}"' for each in get_args(Kind))
        raise ValueError(f"transport={kind!r}: there are {kinds}")
    if kind == "grpc" and not trio.lowlevel.in_trio_task():
        raise ValueError('transport="grpc" needs Trio: on asyncio use "connect"')
    if ca is not None and not address.is_tls:
        raise ValueError(f"ca={str(ca)!r}: {url} shows no certificate: write https://, or no ca")
    return address


@asynccontextmanager
async def _open_connect(http: Http, caller: Caller) -> AsyncIterator[Transport]:
    try:
        yield ConnectTransport(http, caller)
    finally:
        await http.aclose()


@asynccontextmanager
async def _open_grpc(
    net: Net, address: Address, caller: Caller, tls: ssl.SSLContext | None
) -> AsyncIterator[Transport]:
    dial: Dial = partial(_dial, net)
    if tls is not None:
        dial = dial_h2(dial, tls)
    async with trio.open_nursery() as nursery:
        channel = Channel(
            partial(dial, address.host, address.port),
            address.authority,
            is_tls=address.is_tls,
            nursery=nursery,
            metadata=caller.headers,
        )
        yield GrpcTransport(channel)
        nursery.cancel_scope.cancel()


async def _dial(net: Net, host: str, port: int) -> trio.abc.Stream:
    return await first_that_answers(net, await net.resolve(host), port)


def _trusting(
    make: Callable[[Path | None], ssl.SSLContext], authorities: Path | None
) -> ssl.SSLContext:
    try:
        return make(authorities)
    except ssl.SSLError:
        raise ValueError(f"ca: there is no certificate in {authorities}, in PEM") from None
    except OSError as error:
        raise ValueError(f"ca: cannot read {authorities}: {error.strerror}") from None
