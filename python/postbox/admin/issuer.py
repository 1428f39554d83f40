"""The issuer that signs users in, looked at from where this node runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.errors import Fault, WireError

if TYPE_CHECKING:
    from postbox.clients.identity.issuers import Issuer


class IssuerSeen(Struct, frozen=True):
    """`name`: None if the operator named none; `kids`: of its keys that count; `passed_over`: those
    that do not, and why; `error`: why its keys could not be had."""

    name: str | None = None
    kids: list[str] = []
    passed_over: list[str] = []
    error: str = ""


async def _examine(desk: Desk, _: Nothing, tell: Tell) -> IssuerSeen:
    config = desk.node.config
    name = config.clients.issuer
    if not name:
        return IssuerSeen()
    from postbox.clients.identity.issuers import fetch_from  # HTTP and tokens: slow to load
    from postbox.clients.identity.jwks import read_key_set

    try:
        found = read_key_set(await fetch_from(desk.node.world, config)())
    except (Fault, WireError, OSError) as error:
        return IssuerSeen(name, error=str(error))
    return IssuerSeen(name, sorted(found.keys), list(found.passed_over))


def known_issuer(desk: Desk, issuer: Issuer | None) -> IssuerSeen:
    """As a serving node found it by its own fetches: nobody is asked now."""
    if issuer is None or not (issuer.error or issuer.keys):
        return IssuerSeen()
    name, keys = desk.node.config.clients.issuer, issuer.keys
    if keys is None:
        return IssuerSeen(name, error=issuer.error)
    return IssuerSeen(name, sorted(keys.keys), list(keys.passed_over), issuer.error)


EXAMINE_ISSUER = Command("examine-issuer", Nothing, IssuerSeen, _examine)
