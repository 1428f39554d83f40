"""`postbox serve`."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter

from postbox.admin import open_files
from postbox.admin.listening import crowded, doubts
from postbox.app import run as run_node
from postbox.cli import garbage
from postbox.cli.options import FLAG, Common, Usage, is_bug, run
from postbox.config import BadConfig, Config
from postbox.hosts.serving.naming import named
from postbox.logs import configure, get
from postbox.world import system_world


def serve(
    *,
    listen: Annotated[str | None, Parameter(metavar="ADDRESS:PORT")] = None,
    name: Annotated[str | None, Parameter(metavar="NAME")] = None,
    host: Annotated[str | None, Parameter(metavar="DOMAIN:PORT")] = None,
    peer: Annotated[tuple[str, ...], FLAG, Parameter(metavar="URL")] = (),
    mqtt: Annotated[str | None, Parameter(metavar="URL")] = None,
    loopback: Annotated[bool, FLAG] = False,
    tls_cert: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    tls_key: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    common: Common | None = None,
) -> int:
    """Run a node until SIGTERM or Ctrl-C. Says `ready URL` on stdout when it answers; logs go to
    stderr. What is not said here is as HOME/config.toml has it (`postbox config`).

    Parameters
    ----------
    listen
        Where it listens, 127.0.0.1:7433 by default; port 0 takes a free one.
    name
        What a node that is made now is called; by default a name made from its key.
    host
        What other hosts call this one, as chat.example.org:2289: with it events are sent to other
        hosts and taken from them.
    peer
        A peer whose events shall be here too, as http://100.64.0.7:7433; may be given again.
    mqtt
        The MQTT broker that the peers share, as mqtts://mqtt.example.org.
    loopback
        Allow plain HTTP to and from this machine and private addresses: for tests and
        demonstrations.
    tls_cert
        Certificate chain in PEM; with it the node speaks TLS.
    tls_key
        The certificate's secret key in PEM.
    """
    options = common or Common()

    async def verb() -> int:
        config = options.config(
            {
                "serve.listen": listen,
                "serve.tls_cert": tls_cert and str(tls_cert),
                "serve.tls_key": tls_key and str(tls_key),
                "serve.loopback": loopback or None,
                "hosts.name": host,
                "mesh.peers": list(peer) or None,
                "mesh.mqtt": mqtt,
            }
        )
        _check_host(config, is_option=host is not None)
        world = system_world()
        with closing(configure(config.log, world.clock, sys.stderr)):
            _warn(config)
            _take_open_files(config)
            try:
                await _until_told(partial(run_node, world, options.home_folder(), config, name))
            except Exception as error:
                if is_bug(error):  # told on stderr too, but not where it arose
                    get("postbox.serve").exception("the node ended by a bug")
                raise
        return 0

    return run(verb)


def _check_host(config: Config, *, is_option: bool) -> None:
    """Before anything is said of a host that is none."""
    try:
        named(config, "")
    except BadConfig as error:
        if is_option:
            raise Usage(str(error)) from error
        raise


async def _until_told(node: Callable[..., Awaitable[None]]) -> None:
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, stop, nursery.cancel_scope)
            await node(stop=stop, ready=_be_ready)
            nursery.cancel_scope.cancel()


async def _obey(signals: AsyncIterator[int], stop: trio.Event, work: trio.CancelScope) -> None:
    """The first signal ends the node in order, a second one at once."""
    async for _ in signals:
        if stop.is_set():
            work.cancel()
        stop.set()


def _be_ready(url: str) -> None:
    garbage.look_rarely()
    with suppress(OSError):  # nobody reads it, or its disk is full: no reason not to serve
        print(f"ready {url}", flush=True)


def _take_open_files(config: Config) -> None:
    open_files.take(config)
    doubt = crowded(config)
    if doubt is not None:
        get("postbox.serve").warning(
            doubt.event, connections=open_files.room(config), remedy=doubt.cure
        )


def _warn(config: Config) -> None:
    log = get("postbox.serve")
    for doubt in doubts(config):
        listen = str(config.serve.listen)
        log.warning(doubt.event, listen=listen, why=doubt.why, remedy=doubt.cure)
    if config.serve.loopback:
        log.warning(
            "--loopback: peers on this machine and on private addresses are let in over plain"
            " HTTP, and whoever introduces itself from there is believed; for tests and"
            " demonstrations only"
        )
