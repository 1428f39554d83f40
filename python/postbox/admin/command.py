"""What an operator can ask of a node, and who carries it out.

A command is the core of a verb: a name, what is asked, what is answered, and the function between
them. It is the same whether the node is open in the verb's own process (`local`) or serves
elsewhere and is asked over its socket (`remote`, `server`); no command reads or writes a file of
the operator's, since the node may run as another user.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from postbox.errors import Fault

if TYPE_CHECKING:
    from ssl import SSLContext

    from postbox.clients.door import Clients
    from postbox.hosts.door import Hosts
    from postbox.mesh.door import Mesh
    from postbox.node import Node

VERSION = version("postbox")


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """Asked by commands that need no more than their name, answered by those that say nothing."""


class Progress(Struct, frozen=True):
    """So many events so far, durable by then where they are taken in; `share`: of the whole, from
    0 to 1, where that is known."""

    count: int
    share: float | None = None


Tell: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Serving:
    """How a node serves: under which URL, since when (`Clock.elapsed_s`), by which doors.
    `doorkeeper` gives a secret that opens the operator's page once, and for how long it is good
    (seconds); None where there is no page. `tls`: what it shows to callers; None: plain HTTP."""

    url: str
    since_s: float
    mesh: Mesh
    hosts: Hosts
    clients: Clients | None = None
    doorkeeper: Callable[[], tuple[str, float]] | None = None
    tls: SSLContext | None = None


@dataclass(frozen=True)
class Desk:
    """Where commands are carried out: a node, and how it serves, if it does."""

    node: Node
    serving: Serving | None = None

    @asynccontextmanager
    async def mesh(self) -> AsyncIterator[Mesh]:
        """The mesh's door: that of the serving node, or one for as long as this lasts."""
        if self.serving is not None:
            yield self.serving.mesh
            return
        from postbox.metrics import Metrics

        async with self.node.open_mesh(Metrics()) as mesh:
            yield mesh

    @asynccontextmanager
    async def hosts(self) -> AsyncIterator[Hosts]:
        """The hosts' door, likewise. One that is opened here sends and takes nothing by itself."""
        if self.serving is not None:
            yield self.serving.hosts
            return
        from postbox.hosts.serving.naming import named
        from postbox.metrics import Metrics

        node = replace(self.node, config=named(self.node.config, ""))
        async with node.open_hosts(Metrics()) as hosts:
            yield hosts


Req = TypeVar("Req", bound=Struct)
Res = TypeVar("Res", bound=Struct)


@dataclass(frozen=True)
class Command(Generic[Req, Res]):
    """`run` raises faults with texts for the operator. Cancelled, it leaves what was durable."""

    name: str
    request: type[Req]
    result: type[Res]
    run: Callable[[Desk, Req, Tell], Awaitable[Res]]


class NodeGone(Fault):
    """The node ended, or did not answer any more. What it had counted is stored. `what` says no
    more than that; `then`, what to do."""

    def __init__(self, what: str, then: str) -> None:
        super().__init__(f"{what}. {then}")
        self.what = what


class Operator(Protocol):
    """Whoever carries commands out. Raises faults, NodeGone among them."""

    async def call(
        self, command: Command[Req, Res], request: Req, tell: Tell | None = None
    ) -> Res: ...
