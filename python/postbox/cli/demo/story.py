"""What the demo shows, in its order, and what is there to look at when it is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import trio

from postbox.cli.demo import clients, hosts
from postbox.cli.demo.clients import HOST
from postbox.cli.demo.commands import say
from postbox.cli.demo.history import EVENTS
from postbox.cli.demo.mesh import MeshPart
from postbox.cli.demo.nodes import free_urls
from postbox.cli.demo.stage import HOMES, Stage
from postbox.world import World

OPENING = f"""\
Three nodes on this machine, strangers to each other, each with another two
thirds of {EVENTS:,} signed events, find each other and pull what they lack.
One is killed, misses some news and comes back. Every signature is checked
once more. Then one posts to another that is down, as host to host. In the end
two users' devices talk, and their host is killed meanwhile. All of it takes a
minute, or three and more where the machine has other things to do."""
Told: TypeAlias = Callable[[], Awaitable[None]]


async def play(world: World, folder: Path, memory: str, told: Told | None) -> int:
    """The exit code: 0 if all was proved. `told`: then the nodes serve again, until it returns."""
    urls = dict(zip(HOMES, await free_urls(world, len(HOMES)), strict=True))
    async with trio.open_nursery() as nursery:
        stage = Stage(world, folder, urls, nursery)
        say(OPENING)
        await _mesh(MeshPart(stage), memory)
        await hosts.post(stage)
        await clients.chat(stage)
        await _stop(stage)
        code = stage.proofs.conclude()
        if told is not None:
            await serve_again(stage, told)
            nursery.cancel_scope.cancel()
    return code


async def _mesh(part: MeshPart, memory: str) -> None:
    await part.prepare(memory)
    await part.meet()
    await part.cut()
    await part.heal()
    await part.check()


async def serve_again(stage: Stage, told: Told) -> None:
    """Nodes to look at; a Ctrl-C reaches them, too."""
    say(f"\nThe nodes serve again, to be looked at. Their homes are in\n  {stage.folder}")
    await stage.start(stage.urls)
    for node in stage.serving.values():
        node.may_end = True
    say("\nThe operator's page, which lets in whoever opens this link first")
    await stage.commands.address("open", home=HOST, field="url")
    for user in ("ann", "bob"):
        say(f"{user}'s chat, in a browser, which asks whether to sign in as {user}")
        mint = ("token", "mint", "--user", user, "--device", "browser", "--link")
        await stage.commands.address(*mint, home=HOST, field="link")
    say("\nThey serve until you press Ctrl-C")
    await told()


async def _stop(stage: Stage) -> None:
    say("\nAll are told to stop")
    codes = await stage.stop()
    for home, code in codes.items():
        say(f"    {home:<6} ended with exit code {code}")
    stage.proofs.add(
        "All of it", set(codes.values()) == {0}, "all stopped when told to, with exit code 0"
    )
