"""`postbox demo`: the three doors, mesh, hosts and clients, each with a failure, shown and checked.

Every step is the command that is printed before it, run as a process of its own on homes in a
temporary folder; the history is made from a seed. Ends by itself, with 0 only if all held, and
leaves no process behind however it ends.
"""

from __future__ import annotations

import errno
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import trio

from postbox.cli.demo.commands import DemoFailed, say
from postbox.cli.demo.history import ALL
from postbox.cli.demo.story import Told, play
from postbox.cli.options import FLAG, Common, Usage, run
from postbox.errors import Fault, leaves
from postbox.mesh.memory import capacity_of
from postbox.world import system_world

MEMORY = "100000"
"""What all fits in with some to spare, also on a machine with little memory."""
WHERE = "TMPDIR=DIR postbox demo has them elsewhere"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(*, keep: Annotated[bool, FLAG] = False, common: Common | None = None) -> int:
    """Make a history, let three nodes on this machine sync it and show how, cut one off and bring
    it back; post to a host that is down; let two users' devices talk while their host is killed;
    and say what was proved.

    Parameters
    ----------
    keep
        Let the nodes serve when all is shown, until Ctrl-C, with their pages' addresses; and leave
        the homes, the devices' files and the nodes' logs there.
    """
    options = common or Common()

    async def verb() -> int:
        memory, world = _memory(options.memory), system_world()
        started_s = world.clock.elapsed_s()
        with _folder(keep) as folder, _room_in(folder):
            code = await until_told(partial(play, world, folder, memory), keep)
        if code <= 1 and not keep:  # then it is as long as somebody looked
            say(f"All of it took {world.clock.elapsed_s() - started_s:.0f} s.")
        if code == 0:
            say(f"Now try: {_called()} serve --home ~/postbox/ann --loopback")
        return code

    return run(verb)


def _memory(given: str | None) -> str:
    try:
        capacity = capacity_of(given or MEMORY)
    except ValueError as error:
        raise Usage(str(error)) from error
    if capacity < ALL:
        raise Usage(f"the demo's nodes hold {ALL:,} events: {given} is too little for them")
    return given or MEMORY


async def until_told(play: Callable[[Told | None], Awaitable[int]], keep: bool) -> int:
    """A signal ends the demo with all that it has started; the first one after `play` has shown
    everything, and waits to be told, only tells it."""
    code: int | None = None
    is_awaited, end = False, trio.Event()

    async def told() -> None:
        nonlocal is_awaited
        is_awaited = True
        await end.wait()

    with trio.open_signal_receiver(*ENDING) as signals, trio.CancelScope() as scope:

        async def obey() -> None:
            nonlocal code
            async for number in signals:
                if is_awaited and not end.is_set():
                    end.set()
                    continue
                code = 128 + number  # as a shell has it
                scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(obey)
                code = await play(told if keep else None)
                nursery.cancel_scope.cancel()
        except* Fault:
            if not scope.cancel_called:  # else: a process that the same Ctrl-C had ended
                raise
    return 1 if code is None else code


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="postbox-demo-"))
    except OSError as error:
        raise DemoFailed(
            f"cannot make a folder for the demo's files: {error.strerror}: {WHERE}"
        ) from error
    try:
        yield folder
    finally:
        if keep:
            say("\nHomes, logs and events stay; cd there to repeat any command:")
            say(f"  {folder}")
        else:
            shutil.rmtree(folder)
            say("\nThe homes of the demo are gone; with --keep they stay.")


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except* OSError as errors:
        if not all(isinstance(e, OSError) and e.errno in FULL for e in leaves(errors)):
            raise
        raise DemoFailed(f"no room for the demo's files in {folder.parent}: {WHERE}") from None


def _called() -> str:
    """As the reader has to type it."""
    typed = sys.argv[0]
    is_found = shutil.which("postbox") == typed
    return typed if Path(typed).name == "postbox" and not is_found else "postbox"
