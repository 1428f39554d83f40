"""What a route of the mesh is: a value that says who may ask, how much, and who answers.

`server.py` serves a table of them and does all that they have in common: who asks, how often, how
large the body may be, the signature around the answer. Whoever adds a route writes one function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from postbox.mesh.serving.callers import Gate
from postbox.net.asgi import Reply


class Call(NamedTuple):
    """A POST with its body. `sender`: the name that it proved; "" where none is asked for.
    `headers`: names in lower case."""

    sender: str
    address: str | None
    headers: Mapping[str, str]
    body: bytes


class Query(NamedTuple):
    """A GET, by nobody in particular. Of an argument that is there twice the first counts."""

    address: str | None
    arguments: Mapping[str, str]


Answerer: TypeAlias = Callable[[Call], Awaitable[Reply]]
Teller: TypeAlias = Callable[[Query], Awaitable[Reply]]


class SignedPost(NamedTuple):
    """For whoever proves its name. `answer` may raise WireError and Fault, which become replies by
    `replies.py`; whatever it says leaves signed. `max_body_bytes`: a longer one is 413. `gate`:
    has bounds of its own, beside those that all routes share."""

    answer: Answerer
    max_body_bytes: int
    gate: Gate | None = None


class OpenPost(NamedTuple):
    """For anybody who may call from where it calls; not signed."""

    answer: Answerer
    max_body_bytes: int


class OpenGet(NamedTuple):
    """For anybody, and HEAD likewise; not signed. `from_anywhere`: also where no peer may call
    from. `is_large`: its answers count among those that wait in memory until they are read."""

    answer: Teller
    from_anywhere: bool = False
    is_large: bool = False


class Routes(NamedTuple):
    """By path, as it is sent."""

    posts: Mapping[str, SignedPost | OpenPost]
    gets: Mapping[str, OpenGet]
