"""Commands as a reader could type them: printed, then run as processes of their own.

Every one has a deadline, and ends with the task that waits for it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from postbox.errors import Fault

DEADLINE_S = 120.0
"""For any command: the longest takes seconds, on a machine that has time."""
_PROGRESS = re.compile(r": ([0-9]+) events")


class DemoFailed(Fault):
    """Something that the demo started did not do what it should."""


def say(text: str) -> None:
    """Lines for the reader, now: also where stdout is a file, and a process writes there next."""
    print(text, flush=True)


def show_command(words: Sequence[str], note: str = "") -> None:
    say(f"  $ {shlex.join(words)}{note}")


def postbox(*words: str, home: str) -> list[str]:
    """What a reader types in the folder of the homes."""
    return ["postbox", *words, "--home", home]


class Commands:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arguments(self, words: Sequence[str]) -> list[str]:
        """Of this very postbox, whatever is called that on PATH."""
        return [sys.executable, "-m", "postbox", *words[1:]]

    async def ask(self, *words: str, home: str, show: Sequence[str] = ()) -> dict[str, Any]:
        """Shown and run; what it says, which is shown too. `show`: no more than these of it."""
        command = postbox(*words, "--json", home=home)
        show_command(command)
        result = await self._result(command)
        said = _json({key: result[key] for key in show or result})
        say(f"    {said[:-1]}, ...}}" if show else f"    {said}")
        return result

    async def ask_each(
        self, asked: Mapping[str, Sequence[str]], tell: Callable[[str, int], None]
    ) -> dict[str, dict[str, Any]]:
        """The same for several homes at once, but for the results, which `say_each` shows. `tell`:
        how many events a home's command counts."""
        commands = {home: postbox(*words, "--json", home=home) for home, words in asked.items()}
        results: dict[str, dict[str, Any]] = {}

        async def run(home: str) -> None:
            results[home] = await self._result(commands[home], partial(tell, home))

        for command in commands.values():
            show_command(command, " &")
        async with trio.open_nursery() as nursery:
            for home in commands:
                nursery.start_soon(run, home)
        return {home: results[home] for home in commands}

    def say_each(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        for home, result in results.items():
            say(f"    {home:<6} {_json(result)}")

    async def _result(
        self, command: Sequence[str], tell: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Its progress goes to `tell`, or else to our stderr."""
        start = partial(
            trio.run_process,
            self.arguments(command),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if tell else None,
            check=False,
        )
        text = shlex.join(command)
        with trio.move_on_after(DEADLINE_S) as deadline:
            async with trio.open_nursery() as nursery:
                process: trio.Process = await nursery.start(start)
                if tell:
                    nursery.start_soon(_relay, process, tell)
                assert process.stdout is not None
                said = b"".join([part async for part in process.stdout])
        if deadline.cancelled_caught:
            raise DemoFailed(f"{text} was not done after {DEADLINE_S:.0f} s")
        if process.returncode:
            raise DemoFailed(f"{text} ended with {process.returncode}")
        return msgspec.json.decode(said.splitlines()[-1], type=dict[str, Any])


async def _relay(process: trio.Process, tell: Callable[[int], None]) -> None:
    """Progress to `tell`, all else to our stderr."""
    assert process.stderr is not None
    async for line in lines(process.stderr):
        counted = _PROGRESS.search(line)
        if counted:
            tell(int(counted[1]))
        else:
            print(line, file=sys.stderr, flush=True)


async def lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """Without their ends. The stream is that of a process of ours, so lines are short."""
    rest = b""
    async for part in stream:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _json(result: Mapping[str, Any]) -> str:
    return msgspec.json.encode(result).decode()
