"""The first part of the way to another host, looked at step by step as `postbox doctor HOST` does:
from its name to a connection on which gRPC can be spoken."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

import trio
from msgspec import Struct

from postbox.connections import MAX_ADDRESSES
from postbox.errors import leaves
from postbox.net.addresses import Reach
from postbox.net.client import CONNECT_S
from postbox.trust.host_names import split_host
from postbox.world import Net

HANDSHAKE_S = 5.0
"""For TLS: two round trips on the worst link worth using."""
ENDS_SOON_S = 7 * 86_400
"""What renews itself has done so by then."""

State = Literal["ok", "warning", "wrong"]


class Step(Struct, frozen=True):
    """What was looked at, what was found, and what to do about it."""

    what: str
    state: State
    text: str
    cure: str = ""


class Blocked(Exception):
    """The way ends here: what comes after this step rests on it."""

    def __init__(self, what: str, text: str, cure: str) -> None:
        super().__init__(text)
        self.step = Step(what, "wrong", text, cure)


async def addresses_of(net: Net, host: str, reach: Reach, *, is_tls: bool) -> list[str]:
    """Of a canonical name, all of which may be called. Raises Blocked."""
    domain, _ = split_host(host)
    try:
        with trio.fail_after(CONNECT_S):
            addresses = await net.resolve(domain)
    except trio.TooSlowError as error:
        text = f"{domain} was not resolved within {CONNECT_S:.0f} s"
        raise Blocked("address", text, "look at this machine's resolver") from error
    except OSError as error:
        cure = f"is {domain} spelt right, and in the DNS? Its operator adds an A or AAAA record"
        text = f"{domain} has no address: {_said(error)}"
        raise Blocked("address", text, cure) from error
    for address in addresses:
        refusal = reach.refusal(address, is_tls=is_tls)
        if refusal is not None:
            text = f"{domain} is not called: {refusal}"
            cure = "a host has public addresses only; under --loopback, for tests, private ones too"
            raise Blocked("address", text, cure)
    return addresses


@asynccontextmanager
async def connected(
    net: Net, host: str, addresses: Sequence[str], found: list[Step]
) -> AsyncIterator[trio.abc.Stream]:
    """A connection to the first address that answers, closed at the end. Raises Blocked."""
    domain, port = split_host(host)
    silent: list[str] = []
    for address in addresses[:MAX_ADDRESSES]:
        stream = await _connection(net, address, port, silent)
        if stream is None:
            continue
        text = f"answers at {address}, port {port}"
        if silent:
            cure = (
                f"the operator of {domain} takes those addresses out of the DNS, or listens there"
            )
            found.append(Step("address", "warning", f"{text}; not at {'; '.join(silent)}", cure))
        else:
            found.append(Step("address", "ok", text))
        try:
            yield stream
        finally:
            await trio.aclose_forcefully(stream)
        return
    cure = (
        f"is the server there running, does it listen on port {port}, and does every firewall on"
        " the way let it through? A port is part of a host's name: without one it is 2289"
    )
    text = f"nothing answers at {'; '.join(silent)}" if silent else f"{domain} has no address"
    raise Blocked("address", text, cure)


async def _connection(
    net: Net, address: str, port: int, silent: list[str]
) -> trio.abc.Stream | None:
    try:
        with trio.fail_after(CONNECT_S):
            return await net.connect(address, port)
    except trio.TooSlowError:
        silent.append(f"{address} port {port} (no answer within {CONNECT_S:.0f} s)")
    except OSError as error:
        silent.append(f"{address} port {port} ({_said(error)})")
    return None


def _said(error: OSError) -> str:
    """By the system, whose error is the cause of trio's."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = leaves(cause.__cause__)[0]
    match cause:
        case OSError(errno=int(number)) if number > 0:  # below: of resolving
            return os.strerror(number)
        case _:
            return error.strerror or str(error)


async def shake_hands(
    stream: trio.abc.Stream, domain: str, tls: ssl.SSLContext, now_s: float
) -> Step:
    """Over TLS, as it is spoken with hosts. Raises Blocked."""
    secured = trio.SSLStream(stream, tls, server_hostname=domain, https_compatible=True)
    try:
        with trio.fail_after(HANDSHAKE_S):
            await secured.do_handshake()
    except trio.TooSlowError as error:
        text = f"what listens there did not answer to TLS within {HANDSHAKE_S:.0f} s"
        raise Blocked("tls", text, _CURE_NO_TLS) from error
    except trio.BrokenResourceError as error:
        raise _broken(domain, error.__cause__) from error
    if secured.selected_alpn_protocol() != "h2":
        text = "TLS is spoken there, HTTP/2 is not"
        cure = f"let the proxy in front of {domain} speak HTTP/2: gRPC needs it"
        raise Blocked("tls", text, cure)
    return _certificate(secured, now_s)


def _certificate(secured: trio.SSLStream[trio.abc.Stream], now_s: float) -> Step:
    shown = secured.getpeercert() or {}
    end_s = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    text = f"{secured.version()}, its certificate is valid until"
    text = f"{text} {datetime.fromtimestamp(end_s, UTC):%F %R} UTC"
    if end_s - now_s < ENDS_SOON_S:
        return Step("tls", "warning", text, "its operator renews it, and starts the node again")
    return Step("tls", "ok", text)


_CURE_NO_TLS = "is that its port? The operator there sets serve.tls_cert and serve.tls_key"
_CURES = {
    9: "its operator renews it; or this machine's clock is slow",
    10: "its operator renews it, and starts the node again",
    62: "its operator gets one for {domain}; or that is not its name",
}
"""By OpenSSL's X509_V_ERR_: not yet valid, expired, for another name."""
_CURE_AUTHORITY = (
    "its operator gets one from an authority that others trust, and serves the whole chain; an"
    " authority of your own is named in hosts.ca"
)


def _broken(domain: str, cause: BaseException | None) -> Blocked:
    if isinstance(cause, ssl.SSLCertVerificationError):
        cure = _CURES.get(cause.verify_code, _CURE_AUTHORITY)
        text = f"the certificate is not believed: {cause.verify_message}"
        return Blocked("tls", text, cure.format(domain=domain))
    if isinstance(cause, ssl.SSLError):
        why = (cause.reason or "it failed").replace("_", " ").lower()
        return Blocked("tls", f"no TLS comes about: {why}", _CURE_NO_TLS)
    return Blocked("tls", "the connection was closed during the handshake", _CURE_NO_TLS)
