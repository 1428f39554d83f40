"""`postbox demo`: the main job, shown with the commands that do it, and checked.

Every step is the command that is printed before it, run as a process of its own on homes in a
temporary folder; the history is made from a seed. Ends by itself, with 0 only if all held.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trio
from cyclopts import Parameter

from postbox.cli.options import Common, run
from postbox.cli.progress import progress
from postbox.errors import Fault
from postbox.mesh.chunks import chunks
from postbox.mesh.synthetic import emitters_for, generate, identities
from postbox.world import World, system_world

SEED = 2026
EVENTS = 80_000
SAMPLE = 5_000
STOP_S = 15.0  # a node stops within 10
MINUTE_NS = 60 * 10**9


class DemoFailed(Fault):
    """A command of the demo failed; what it said stands above."""


def demo(
    *, keep: Annotated[bool, Parameter(negative="")] = False, common: Common | None = None
) -> int:
    """Import a history with a progress bar, look at it, let one node pull all of it and another a
    sample from a third over HTTP, check every signature, and say what was proved.

    Parameters
    ----------
    keep
        Leave the homes there, to look around in them.
    """
    with _folder(keep) as folder:
        demo = _Demo(folder, system_world(), common or Common())
        return run(partial(_until_told, demo.play))


async def _until_told(play: Callable[[], Awaitable[int]]) -> int:
    """SIGTERM ends the demo with all it has started."""
    code = 1
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def obey() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(obey)
            code = await play()
            nursery.cancel_scope.cancel()
    return code


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    if not keep:
        with tempfile.TemporaryDirectory(prefix="postbox-demo-") as name:
            yield Path(name)
        return
    folder = Path(tempfile.mkdtemp(prefix="postbox-demo-"))
    yield folder
    print(f"\nThe homes are in {folder}. Look around: postbox status --home {folder}/north")


class _Demo:
    def __init__(self, folder: Path, world: World, options: Common) -> None:
        self._folder = folder
        self._world = world
        # What the history fits in, also on a machine with little memory.
        self._memory = "medium" if options.memory == "auto" else options.memory
        self._proved: list[tuple[bool, str]] = []

    async def play(self) -> int:
        self._say("A history of signed events, as a mesh of 50 nodes would write it in 120 days")
        self._make_history()
        await self._import()
        await self._meet()
        self._say("north serves; south pulls all it has, east a sample")
        async with self._served("north") as url:
            await self._postbox("sync", url, "--mode", "page", home="south")
            sampled = await self._ask("sync", url, "--mode", "sample", home="east")
        await self._compare(sampled)
        await self._check_signatures()
        return self._conclude()

    def _make_history(self) -> None:
        end_ns = self._world.clock.now_ns() - MINUTE_NS
        events = generate(SEED, EVENTS, end_ns)
        with (
            (self._folder / "history.jsonl").open("wb") as file,
            progress(f"making history (seed {SEED})", self._world.clock) as show,
        ):
            for number, chunk in enumerate(chunks(events, 2_000), 1):
                file.write(b"\n".join(chunk) + b"\n")
                show(number * 2_000, number * 2_000 / EVENTS)
        crowd = identities(SEED, emitters_for(EVENTS))
        rows = [
            {"Name": one.name, "PublicKey": one.public_key_base64, "ID": one.id} for one in crowd
        ]
        (self._folder / "keys.json").write_bytes(msgspec.json.encode(rows))

    async def _import(self) -> None:
        self._say("north takes it in: each event's id is recomputed, each signature checked")
        history = str(self._folder / "history.jsonl")
        first = await self._ask("import", history, home="north")
        self._prove(
            first == {"imported": EVENTS, "duplicates": 0, "rejected": 0, "pruned": 0},
            f"{EVENTS:,} events imported, none refused",
        )
        again = await self._ask("import", history, home="north")
        self._prove(again["duplicates"] == EVENTS, "a second import changes nothing")

    async def _meet(self) -> None:
        self._say("Whose votes count in checkpoints, the operator says")
        for home in ("north", "south", "east"):
            await self._postbox("trust", "import", str(self._folder / "keys.json"), home=home)
        self._say("Three nodes get to know each other")
        for home, other in (("south", "north"), ("east", "north")):
            for here, there in ((home, other), (other, home)):
                keys = await self._ask("keys", "show", home=there, quiet=True)
                await self._postbox(
                    "trust", "add", keys["name"], keys["public_key"], "--id", keys["id"], home=here
                )
        self._say("What north holds")
        await self._postbox("status", home="north")

    async def _compare(self, sampled: dict[str, Any]) -> None:
        self._say("What came of it")
        shown = {}
        for home in ("north", "south", "east"):
            shown[home] = await self._ask("status", home=home, quiet=True)
            print(f"  {home:<6} {shown[home]['events']:>6,} events  digest {shown[home]['digest']}")
        self._prove(
            shown["north"]["digest"] == shown["south"]["digest"],
            "south holds every event of north, byte for byte, with the same standing",
        )
        services = shown["east"]["services"]
        self._prove(
            sampled["imported"] == SAMPLE
            and services["checkpoint"] == shown["north"]["services"]["checkpoint"],
            f"east's sample is {SAMPLE:,} events with every checkpoint among them",
        )

    async def _check_signatures(self) -> None:
        self._say("Every signature once more, on the pulled copy")
        result = await self._ask("verify", home="south")
        self._prove(
            result["checked"] == EVENTS and not result["wrong"] and not result["unproven"],
            f"{result['attested']:,} signatures verify, {result['hearsay']:,} events are"
            " unsigned observations, none is wrong",
        )

    def _conclude(self) -> int:
        self._say("What was proved")
        for holds, what in self._proved:
            print(f"  {'yes' if holds else 'NO '}  {what}")
        return int(not all(holds for holds, _ in self._proved))

    def _prove(self, holds: bool, what: str) -> None:
        self._proved.append((holds, what))

    def _say(self, what: str) -> None:
        print(f"\n{what}", flush=True)

    async def _postbox(self, *words: str, home: str) -> None:
        await self._command(words, home, capture=False)

    async def _ask(self, *words: str, home: str, quiet: bool = False) -> dict[str, Any]:
        """A command's result, from its JSON."""
        said = await self._command((*words, "--json"), home, capture=True, quiet=quiet)
        return msgspec.json.decode(said.splitlines()[-1], type=dict[str, Any])

    async def _command(
        self, words: Sequence[str], home: str, *, capture: bool, quiet: bool = False
    ) -> bytes:
        if not quiet:
            self._show_command(words, home)
        done = await trio.run_process(
            self._arguments(words, home), capture_stdout=capture, check=False
        )
        if done.returncode:
            raise DemoFailed(f"postbox {words[0]} ended with {done.returncode}")
        if capture and not quiet:
            print("   ", done.stdout.decode().strip()[:160], flush=True)
        return done.stdout or b""

    @asynccontextmanager
    async def _served(self, home: str) -> AsyncIterator[str]:
        words = ("serve", "--listen", "127.0.0.1:0")
        self._show_command(words, home)
        async with trio.open_nursery() as nursery:
            start = partial(
                trio.run_process,
                self._arguments(words, home),
                stdout=subprocess.PIPE,
                check=False,
            )
            process: trio.Process = await nursery.start(start)
            yield await self._ready(process)
            process.send_signal(signal.SIGTERM)
            with trio.fail_after(STOP_S):
                self._prove(await process.wait() == 0, "north served, and stopped when told to")

    async def _ready(self, process: trio.Process) -> str:
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            part = await process.stdout.receive_some(1024)
            if not part:
                raise DemoFailed("postbox serve ended before it was ready")
            line += part
        print("   ", line.decode().strip(), flush=True)
        return line.decode().removeprefix("ready ").strip()

    def _show_command(self, words: Sequence[str], home: str) -> None:
        shown = [word.removeprefix(f"{self._folder}/") for word in words if word != "--json"]
        print(f"  $ postbox {shlex.join(shown)} --home {home}", flush=True)

    def _arguments(self, words: Sequence[str], home: str) -> list[str]:
        options = ["--home", str(self._folder / home), "--memory", self._memory]
        return [sys.executable, "-m", "postbox", *words, *options]
