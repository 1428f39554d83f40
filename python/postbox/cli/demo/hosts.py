"""The hosts' part of the demo: one posts to another that is down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from postbox.admin.command import Nothing
from postbox.admin.links import LINKS
from postbox.cli.demo.commands import DemoFailed, say
from postbox.cli.demo.stage import IN_STEP_S, Stage
from postbox.cli.demo.watch import PAUSE_S

DOOR = "Host to host"
NOTES = 100
"""Events that are posted to a host which is down."""


async def post(stage: Stage) -> None:
    say("\nHost to host: north posts to south, which was killed just before. The events")
    say("wait on disk until south is back")
    await stage.kill("south")
    south = stage.urls["south"].removeprefix("http://")
    notes = stage.folder / "notes.jsonl"
    notes.write_text("".join(f'{{"note":{number}}}\n' for number in range(NOTES)))
    words = ("post", south, "--type", "org.example.Note", "--data", notes.name)
    posted = await stage.commands.ask(*words, home="north")
    waiting = await stage.commands.ask("links", home="north", show=_link)
    await stage.start(["south"])
    took_s = await _delivered(stage)
    say(f"  south has acknowledged all of them {took_s:.1f} s after it was ready")
    came = await stage.commands.ask("inbox", home="south", show=_came)
    stage.proofs.add(
        DOOR,
        posted["posted"] == waiting["links"][0]["queued"] == NOTES
        and [event["data"] for event in came["events"]] == [{"note": n} for n in range(NOTES)],
        f"{NOTES} events posted to a host that was down arrived there once, in order",
    )


async def _delivered(stage: Stage) -> float:
    """The seconds until nothing of north's waits any more."""
    started_s = stage.world.clock.elapsed_s()
    with trio.move_on_after(IN_STEP_S):
        async with stage.nodes.operator(stage.serving["north"]) as operator:
            while True:
                links = (await operator.call(LINKS, Nothing())).links
                if not any(link.queued for link in links):
                    return stage.world.clock.elapsed_s() - started_s
                await trio.sleep(PAUSE_S)
    raise DemoFailed(f"what north posted was not at south within {IN_STEP_S:.0f} s")


def _link(links: Mapping[str, Any]) -> str:
    [link] = links["links"]
    return (
        f'{{"links":[{{"host":"{link["host"]}","queued":{link["queued"]},'
        f'"acknowledged":{link["acknowledged"]},...}}],...}}'
    )


def _came(inbox: Mapping[str, Any]) -> str:
    first, *_, last = [msgspec.json.encode(event).decode() for event in inbox["events"]]
    return f'{{"events":[{first},...,{last}],...}}'
