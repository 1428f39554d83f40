"""Commands as a reader could type them: printed, then run as processes of their own.

Every one has a deadline, and ends with the task that waits for it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import trio

from postbox.errors import Fault

DEADLINE_S = 120.0
"""For any command: the longest takes seconds, on a machine that has time."""
COLUMNS = 79
"""What is said fits into a terminal of 80, and a word stays whole."""
_PROGRESS = re.compile(r": ([0-9]+) events")


Show: TypeAlias = Callable[[dict[str, Any]], str]
"""What is shown of a long result."""


class DemoFailed(Fault):
    """Something that the demo started did not do what it should."""


def say(text: str) -> None:
    """Lines for the reader, now: also where stdout is a file, and a process writes there next."""
    print(text, flush=True)


def show_command(words: Sequence[str], note: str = "") -> None:
    pieces: list[str] = []
    for word in words:
        if pieces and pieces[-1].startswith("--") and not word.startswith("--"):
            pieces[-1] += f"{shlex.quote(word)} "  # an option and its value
        else:
            pieces.append(f"{shlex.quote(word)} ")
    say(_folded([*pieces, note], "  $ ", "      ", "\\"))


def show_result(text: str, home: str = "") -> None:
    """JSON, which may be broken behind a comma."""
    first = f"    {home:<6} " if home else "    "
    say(_folded(re.split("(?<=,)", text), first, " " * len(first)))


def _folded(pieces: Sequence[str], first: str, later: str, end: str = "") -> str:
    """Lines of whole pieces. `first` and `later`: what they begin with; `end`: with what those end
    that go on."""
    lines = [first]
    for piece in pieces:
        if len(lines[-1]) + len(piece.rstrip()) + len(end) > COLUMNS:
            lines[-1] += end
            lines.append(later)
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def postbox(*words: str, home: str) -> list[str]:
    """What a reader types in the folder of the homes."""
    return ["postbox", *words, "--home", home]


class Commands:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arguments(self, words: Sequence[str]) -> list[str]:
        """Of this very postbox, whatever is called that on PATH."""
        return [sys.executable, "-m", "postbox", *words[1:]]

    async def ask(self, *words: str, home: str, show: Show | None = None) -> dict[str, Any]:
        """Shown and run; what it says, which is shown too, or what `show` makes of it."""
        command = postbox(*words, "--json", home=home)
        show_command(command)
        result = await self._result(command)
        show_result(show(result) if show else _json(result))
        return result

    async def address(self, *words: str, home: str, field: str) -> None:
        """Shown and run, and the address that it prints, whole, to be opened or copied. `field`: of
        its JSON."""
        show_command(postbox(*words, home=home))
        result = await self._result(postbox(*words, "--json", home=home))
        say(f"    {result[field]}")

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
            show_command(command, "&")
        async with trio.open_nursery() as nursery:
            for home in commands:
                nursery.start_soon(run, home)
        return {home: results[home] for home in commands}

    def say_each(self, results: Mapping[str, dict[str, Any]], show: Show | None = None) -> None:
        for home, result in results.items():
            show_result(show(result) if show else _json(result), home)

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


async def lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
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
