"""What is under way on a link: at most two batches, so that the host has one to work on while the
next one comes. A batch that is begun before the one ahead of it was answered is *early*: it may
get there first, and is then sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from postbox.hosts.links.numbered import Numbered
from postbox.hosts.sending.course import Course, Reply

Ask: TypeAlias = Callable[[Callable[[], None]], Awaitable[Reply]]
"""Posts a batch; tells its argument when all of it was sent."""


class Post:
    """A batch, from when it is begun until it was answered."""

    def __init__(self, batch: Sequence[Numbered], most: int, *, is_early: bool) -> None:
        """`most`: events that the host takes at once."""
        self.batch = batch
        self.most = most
        self.is_early = is_early
        self._scope = trio.CancelScope()
        self._sent = trio.Event()
        self._over = trio.Event()
        self._answer: Reply | Exception | None = None

    @property
    def has_failed(self) -> bool:
        return isinstance(self._answer, Exception)

    async def run(self, ask: Ask) -> None:
        """Raises nothing: what went wrong is for who waits for the reply."""
        with self._scope:
            try:
                self._answer = await ask(self._sent.set)
            except Exception as error:
                self._answer = error
            self._sent.set()
            self._over.set()

    async def wait_sent(self) -> None:
        """Until the host has all of it, or never will."""
        await self._sent.wait()

    async def wait_reply(self) -> Reply:
        """Raises what the asking raised."""
        await self._over.wait()
        if isinstance(self._answer, Reply):
            return self._answer
        assert self._answer is not None
        raise self._answer

    def give_up(self) -> None:
        """Nobody waits for the reply any more. The host may take the batch all the same."""
        self._scope.cancel()


@dataclass
class Flight:
    course: Course
    posts: deque[Post] = field(default_factory=deque)
    ahead: Sequence[Numbered] = ()
    """Read, to be sent after what is under way."""

    def end(self) -> None:
        for post in self.posts:
            post.give_up()
        self.posts.clear()
        self.ahead = ()
