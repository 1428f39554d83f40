"""What an application does about events, by their type.

A handler is given each event of its type in the order of its link, one at a time a host, again and
again until it returns. So it is either harmless to repeat (`on`; a delivery's id stays the same),
or what it does and the note that it was done are one transaction (`on_in_transaction`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from postbox.hosts.applications.events import BadEvent, type_name

if TYPE_CHECKING:
    from postbox.store.application import Connection

M = TypeVar("M")


@dataclass(frozen=True)
class Delivery(Generic[M]):
    """An event, as it is handed over."""

    host: str  # who sent it, proven by its key
    number: int  # in the order of what came from that host: 1, 2, 3 ...
    id: bytes  # 16 bytes, the same however often it is handed over
    posted_ms: int  # Unix milliseconds by the sender's clock; 0: it did not say
    type_url: str
    message: M


@dataclass(frozen=True)
class Loss:
    """That some events of a host will never come: it does not have them any more."""

    first: int  # of the link's numbers, at the sender
    last: int


Handler: TypeAlias = Callable[[Delivery[M]], Awaitable[None]]
InTransaction: TypeAlias = "Callable[[Delivery[M], Connection], None]"


@dataclass(frozen=True)
class Task:
    """What is to be done with an event. One of the two is there."""

    read: Callable[[bytes], Any]
    handler: Handler[Any] | None = None
    in_transaction: InTransaction[Any] | None = None


LOSS = "a loss"  # among names of types, none of which has a space


class Handlers:
    """By the type's name; whoever adds them sees to their types (`Host.on`)."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    @property
    def types(self) -> frozenset[str]:
        """That there is a handler for; `LOSS` among them, if there is one for that."""
        return frozenset(self._tasks)

    def add(self, kind: type[Any] | str, handler: Handler[Any]) -> None:
        """One handler a type: raises ValueError for a second one."""
        self._add(kind, Task(_reader_of(kind), handler=handler))

    def add_in_transaction(self, kind: type[Any] | str, handler: InTransaction[Any]) -> None:
        """As `add`."""
        self._add(kind, Task(_reader_of(kind), in_transaction=handler))

    def add_loss(self, handler: Handler[Loss]) -> None:
        """In the place where the lost events would have been."""
        self._add(LOSS, Task(bytes, handler=handler))

    def find(self, name: str) -> Task | None:
        """Of a type's name, or of LOSS."""
        return self._tasks.get(name)

    def _add(self, kind: type[Any] | str, task: Task) -> None:
        name = type_name(kind) if isinstance(kind, str) else kind.desc().type_name
        if name in self._tasks:
            raise ValueError(f"{name} has a handler already")
        self._tasks[name] = task


def _reader_of(kind: type[Any] | str) -> Callable[[bytes], Any]:
    if isinstance(kind, str):
        return bytes

    def read(value: bytes) -> Any:
        try:
            return kind.from_binary(value)
        except (ValueError, RecursionError) as error:
            raise BadEvent(f"the bytes are no {kind.desc().type_name}: {error}") from error

    return read
