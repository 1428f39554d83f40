"""What the node's other processes commit, brought to this one's tail.

A connection of its own listens. It is drained after every wake; the log is read after every wake,
every few seconds without one, and after every new connection has begun to listen, so that nothing
is missed between two of them. For shared stores only.
"""

from __future__ import annotations

import trio

from postbox.errors import Unavailable
from postbox.log.retries import Retries
from postbox.log.tail import Tail
from postbox.logs import get
from postbox.store.contract import Expect, Listening
from postbox.store.runner import StoreRunner

POLL_S = 5.0  # what a lost notification costs; a look is two statements


async def feed(store: StoreRunner, tail: Tail, expect: Expect) -> None:
    """Until it is cancelled. `expect`: that the log still goes on from what is known; what that
    raises, and HistoryChanged, ends the feed and with it the node."""
    log, retries = get("postbox.log"), Retries()
    while True:
        try:
            await _listen(store, tail, expect, retries)
        except Unavailable as fault:
            log.warning("other processes are not heard for a while", why=str(fault))
        await retries.wait()


async def _listen(store: StoreRunner, tail: Tail, expect: Expect, retries: Retries) -> None:
    listening = await store.listen()
    try:
        while True:
            await store.read(expect())
            await tail.catch_up()
            retries.succeeded()
            await _wait_news(listening)
    finally:
        listening.close()


async def _wait_news(listening: Listening) -> None:
    with trio.move_on_after(POLL_S):
        while True:
            await trio.lowlevel.wait_readable(listening.fileno())
            if listening.drain():
                return
    listening.drain()
