"""`postbox hosts`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from cyclopts import Parameter

from postbox.admin.command import Nothing
from postbox.admin.hosts import LIST_HOSTS, SET_HOST, Hosts, HostSeen, SetHost
from postbox.cli.asking import ask
from postbox.cli.options import Common
from postbox.cli.output import print_rows, print_text


def list_(*, common: Common | None = None) -> int:
    """Who may post here, who may not, and whom there was contact with."""
    return ask(LIST_HOSTS, Nothing(), _print, common)


def allow(host: str, /, *, common: Common | None = None) -> int:
    """Let HOST post here, and ask it for what it has.

    Parameters
    ----------
    host
        A domain, with a port or without (then 2289), or *.example.org for all below it.
    """
    return _set(SetHost(host, admit="allow"), common)


def block(host: str, /, *, common: Common | None = None) -> int:
    """Take nothing from HOST, whatever else is allowed. What is posted to it is sent all the same.

    Parameters
    ----------
    host
        A domain, with a port or without (then 2289), or *.example.org for all below it.
    """
    return _set(SetHost(host, admit="block"), common)


def set_(
    host: str,
    /,
    *,
    tokens: Annotated[Literal["strict", "plain"], Parameter(show_choices=True)],
    common: Common | None = None,
) -> int:
    """Say how HOST proves who it is.

    Parameters
    ----------
    host
        A domain, with a port or without (then 2289).
    tokens
        strict: each token is for one request here; plain: a host that knows only the PostBox
        specification, whose tokens anybody who saw one can use again.
    """
    return _set(SetHost(host, tokens=tokens), common)


def forget(host: str, /, *, common: Common | None = None) -> int:
    """Take back what was said of HOST by allow, block and set. Its events stay.

    Parameters
    ----------
    host
        As postbox hosts list has it.
    """
    return _set(SetHost(host, admit="", tokens=""), common)


def _set(request: SetHost, common: Common | None) -> int:
    show = partial(_print_changed, is_of_tokens=bool(request.tokens))
    return ask(SET_HOST, request, show, common)


def _print(found: Hosts) -> None:
    name = found.name or "not named: postbox serve --host DOMAIN:PORT, or hosts.name in config.toml"
    print_text(name, "this host: ", "  ")
    print_text(_ADMITS[found.admits], "takes events from: ", "  ")
    if found.hosts:
        print_rows([("host", "may post", "tokens", "last contact"), *map(_row, found.hosts)])


_ADMITS = {
    "open": "every host that proves its name, less the blocked ones (hosts.admit)",
    "list": "the hosts that are allowed (postbox hosts allow HOST)",
}


def _row(host: HostSeen) -> tuple[str, ...]:
    contact = "-" if host.last_contact is None else f"{host.last_contact:%F %T} UTC"
    return (host.host, host.admit or "-", host.tokens, contact)


def _print_changed(changed: HostSeen, *, is_of_tokens: bool) -> None:
    is_worth_saying = is_of_tokens or changed.tokens == "plain"
    tokens = f"{changed.tokens} tokens" if is_worth_saying else ""
    said = ", ".join(filter(None, (_SAID[changed.admit], tokens)))
    print(f"{changed.host}: {said or 'nothing is said of it any more'}")


_SAID = {"allow": "may post here", "block": "may not post here", "": ""}
