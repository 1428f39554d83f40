"""What the demo shows, step by step, and what each step proves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from postbox.admin.command import Nothing
from postbox.admin.links import LINKS
from postbox.admin.trust import LIST_KEYS
from postbox.cli.demo.commands import Commands, DemoFailed, say, show_command
from postbox.cli.demo.history import ALL, EVENTS, History, make_history, write_events, write_keys
from postbox.cli.demo.nodes import Nodes, ServingNode, configure, free_urls
from postbox.cli.demo.view import DIGITS
from postbox.cli.demo.watch import PAUSE_S, Holds, Look, Watch, in_step
from postbox.cli.progress import progress
from postbox.trust.tables import Source
from postbox.world import World

HOMES = ("north", "south", "east")
SAMPLE = 5_000
_MET = (Source.CONFIGURED, Source.INTRODUCTION)
NOT_NEW = ("duplicates", "rejected", "pruned")
OPENING = f"""\
Three nodes on this machine, strangers to each other, each with another two
thirds of {EVENTS:,} signed events, find each other and pull what they lack.
One is killed, misses some news and comes back. Every signature is checked
once more. Then one posts to another that is down, as host to host. All of it
takes a minute, or three and more where the machine has other things to do."""
NOTES = 100
"""Events that are posted to a host which is down."""
IN_STEP_S = 120.0
"""For nodes to pull from each other what they lack: seconds, on a machine that has time."""


async def play(world: World, folder: Path, memory: str) -> int:
    """The exit code: 0 if all was proved."""
    urls = dict(zip(HOMES, await free_urls(world, len(HOMES)), strict=True))
    async with trio.open_nursery() as nursery:
        story = _Story(world, folder, urls, nursery)
        await story.prepare(memory)
        await story.meet()
        await story.cut()
        await story.heal()
        await story.check()
        await story.post()
        await story.stop()
    return story.conclude()


class _Story:
    def __init__(
        self, world: World, folder: Path, urls: Mapping[str, str], nursery: trio.Nursery
    ) -> None:
        self._world = world
        self._folder = folder
        self._urls = urls
        self._commands = Commands(folder)
        self._nodes = Nodes(world, self._commands, nursery)
        self._watch = Watch(self._nodes, world.clock, urls)
        self._serving: dict[str, ServingNode] = {}
        self._proved: list[tuple[bool, str]] = []

    async def prepare(self, memory: str) -> None:
        say(OPENING)
        say("\nEvents, as a mesh of 50 nodes would sign them in 120 days")
        history = await make_history(self._world)
        self._write(history)
        self._configure(memory)
        say("\nSome events, checkpoints, carry votes. Whose count is for each node's operator")
        say("to say, by a list of names, keys and ids")
        trust = ("trust", "import", "keys.json")
        self._commands.say_each(
            await self._commands.ask_each(dict.fromkeys(HOMES, trust), lambda home, count: None)
        )
        say("\nEach takes in another two thirds of the past: every id is recomputed, every")
        say("signature checked")
        await self._import(history)

    def _configure(self, memory: str) -> None:
        for home, url in self._urls.items():
            others = [other for other in self._urls.values() if other != url]
            configure(self._folder / home, url, others, memory)
        say("\nEach node is told the addresses of the two others")
        say("  $ cat north/config.toml")
        text = (self._folder / "north" / "config.toml").read_text(encoding="utf-8")
        say("\n".join(f"    {line}" for line in text.splitlines()))

    def _write(self, history: History) -> None:
        write_keys(self._folder / "keys.json")
        for number, home in enumerate(HOMES):
            write_events(self._folder / f"{home}.jsonl", history.share(number, len(HOMES)))
        write_events(self._folder / "news-of-north.jsonl", history.news[::2])
        write_events(self._folder / "news-of-east.jsonl", history.news[1::2])

    async def _import(self, history: History) -> None:
        sizes = {home: len(history.share(at, len(HOMES))) for at, home in enumerate(HOMES)}
        total = sum(sizes.values())
        counts = dict.fromkeys(HOMES, 0)
        with progress("importing", self._world.clock) as show:

            def tell(home: str, count: int) -> None:
                counts[home] = count
                show(sum(counts.values()), sum(counts.values()) / total)

            asked = {home: ("import", f"{home}.jsonl") for home in HOMES}
            took = await self._commands.ask_each(asked, tell)
            show(total, 1.0)
        self._commands.say_each(took, _taken)
        self._prove(
            all(_is_all_new(took[home], sizes[home]) for home in HOMES),
            f"{EVENTS:,} events imported, two thirds of them by each node, none refused",
        )

    async def meet(self) -> None:
        say("\nThey serve, find each other, introduce themselves, and pull what they lack.")
        say("Shown is `postbox status` and `postbox peers` of each, asked again and again")
        await self._start(HOMES)
        await self._until(_all(in_step(EVENTS), _pulled_from_all), "three equal ledgers")
        self._prove(
            await self._are_introduced(), "strangers introduced themselves: each knows both others"
        )
        self._prove(True, "each pulled what it lacked: three ledgers, equal byte for byte")

    async def _are_introduced(self) -> bool:
        """Does each know the two others by meeting them, at their URLs or at its own?"""
        introduced = []
        for node in self._serving.values():
            async with self._nodes.operator(node) as operator:
                keys = (await operator.call(LIST_KEYS, Nothing())).keys
            introduced.append(sum(key.source in _MET for key in keys))
        return introduced == [len(HOMES) - 1] * len(HOMES)

    async def cut(self) -> None:
        say("\neast is cut off: killed, with no time to say or save anything")
        events, digest = self._watch.events_of("east"), self._watch.digest_of("east")
        await self._kill("east")
        held = await self._commands.ask("status", home="east", show=_digest_of)
        self._prove(
            held["events"] > events or (held["events"], held["digest"]) == (events, digest),
            "killed with -9, east lost nothing of what it had",
        )
        await self._go_on()

    async def _go_on(self) -> None:
        news = ALL - EVENTS
        here = news - news // 2
        say("\nMeanwhile there is news on both sides of the cut: north serves, east is down")
        took = await self._commands.ask("import", "news-of-north.jsonl", home="north", show=_taken)
        await self._until(in_step(EVENTS + here), "north and south are equal without east")
        apart = await self._commands.ask("import", "news-of-east.jsonl", home="east", show=_taken)
        again = await self._commands.ask("import", "news-of-north.jsonl", home="north", show=_taken)
        self._prove(
            _is_all_new(took, here) and _is_all_new(apart, news - here),
            f"north and south went on without it: {here} new events reached both",
        )
        self._prove(_is_all_known(again, here), "a second import changes nothing")

    async def heal(self) -> None:
        say("\neast comes back, with the home that it had")
        await self._start(["east"])
        await self._until(in_step(ALL), "three equal ledgers again")
        self._prove(
            True,
            f"east came back and caught up: three equal ledgers again, with all {ALL:,} events",
        )

    async def check(self) -> None:
        say("\nEvery signature once more, on the node that was killed")
        found = await self._commands.ask("verify", home="east")
        self._prove(
            found["checked"] >= ALL and not found["wrong"] and not found["unproven"],
            f"{found['attested']:,} signatures verify, none is wrong;"
            f" {found['hearsay']:,} events are unsigned",
        )
        say("\nA newcomer that nobody was told of asks for a sample")
        sync = ("sync", self._urls["south"], "--loopback", "--mode", "sample")
        sampled = await self._commands.ask(*sync, home="west", show=_taken)
        west = await self._commands.ask("status", home="west", show=_checkpoints_of)
        north = await self._commands.ask("status", home="north", show=_checkpoints_of)
        checkpoints = north["services"]["checkpoint"]
        self._prove(
            _is_all_new(sampled, SAMPLE) and west["services"]["checkpoint"] == checkpoints,
            f"a newcomer's sample is {SAMPLE:,} events, all {checkpoints} checkpoints among them",
        )

    async def post(self) -> None:
        say("\nHost to host: north posts to south, which was killed just before. The events")
        say("wait on disk until south is back")
        await self._kill("south")
        south = self._urls["south"].removeprefix("http://")
        notes = self._folder / "notes.jsonl"
        notes.write_text("".join(f'{{"note":{number}}}\n' for number in range(NOTES)))
        post = ("post", south, "--type", "org.example.Note", "--data", notes.name)
        posted = await self._commands.ask(*post, home="north")
        waiting = await self._commands.ask("links", home="north", show=_link)
        await self._start(["south"])
        took_s = await self._delivered()
        say(f"  south has acknowledged all of them {took_s:.1f} s after it was ready")
        came = await self._commands.ask("inbox", home="south", show=_came)
        self._prove(
            posted["posted"] == waiting["links"][0]["queued"] == NOTES
            and [event["data"] for event in came["events"]] == [{"note": n} for n in range(NOTES)],
            f"{NOTES} events posted to a host that was down arrived there once, in order",
        )

    async def _delivered(self) -> float:
        """The seconds until nothing of north's waits any more."""
        started_s = self._world.clock.elapsed_s()
        with trio.move_on_after(IN_STEP_S):
            async with self._nodes.operator(self._serving["north"]) as operator:
                while True:
                    links = (await operator.call(LINKS, Nothing())).links
                    if not any(link.queued for link in links):
                        return self._world.clock.elapsed_s() - started_s
                    await trio.sleep(PAUSE_S)
        raise DemoFailed(f"what north posted was not at south within {IN_STEP_S:.0f} s")

    async def stop(self) -> None:
        say("\nAll are told to stop")
        nodes = list(self._serving.values())
        show_command(["kill", *(str(node.process.pid) for node in nodes)])
        codes: dict[str, int] = {}

        async def stop(node: ServingNode) -> None:
            codes[node.home] = await node.stop()

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(stop, node)
        for node in nodes:
            said = self._nodes.last_event(node.home)
            say(f"    {node.home:<6} logged {said!r}, and ended with exit code {codes[node.home]}")
        self._prove(set(codes.values()) == {0}, "all stopped when told to, with exit code 0")

    def conclude(self) -> int:
        say("\nWhat was proved")
        for holds, what in self._proved:
            say(f"  {'yes' if holds else 'NO '}  {what}")
        return int(not all(holds for holds, _ in self._proved))

    def _prove(self, holds: bool, what: str) -> None:
        self._proved.append((holds, what))

    async def _kill(self, home: str) -> None:
        node = self._serving.pop(home)
        show_command(["kill", "-9", str(node.process.pid)], f"   # {home}")
        await node.kill()
        self._watch.lost(home, "killed")

    async def _start(self, homes: Iterable[str]) -> None:
        for node in await self._nodes.start(list(homes)):
            self._serving[node.home] = node

    async def _until(self, holds: Holds, what: str) -> None:
        took_s = await self._watch.until(list(self._serving.values()), holds, what, IN_STEP_S)
        digests = {self._watch.digest_of(home)[:DIGITS] for home in self._serving}
        say(f"  {what} after {took_s:.1f} s, digest {', '.join(digests)}")


def _is_all_new(said: Mapping[str, Any], count: int) -> bool:
    """Does an import or a pull say of so many events that each was good, and new?"""
    return said["imported"] == count and not any(said[key] for key in NOT_NEW)


def _is_all_known(said: Mapping[str, Any], count: int) -> bool:
    return said["duplicates"] == count and not said["imported"]


def _taken(said: Mapping[str, Any]) -> str:
    counts = ",".join(f'"{key}":{said[key]}' for key in ("imported", *NOT_NEW))
    return f"{{{counts},...}}"


def _digest_of(status: Mapping[str, Any]) -> str:
    return f'{{"events":{status["events"]},"digest":"{status["digest"][:DIGITS]}...",...}}'


def _checkpoints_of(status: Mapping[str, Any]) -> str:
    checkpoints = status["services"]["checkpoint"]
    return f'{{"events":{status["events"]},"services":{{"checkpoint":{checkpoints},...}},...}}'


def _link(links: Mapping[str, Any]) -> str:
    [link] = links["links"]
    return (
        f'{{"links":[{{"host":"{link["host"]}","queued":{link["queued"]},'
        f'"acknowledged":{link["acknowledged"]},...}}],...}}'
    )


def _came(inbox: Mapping[str, Any]) -> str:
    first, *_, last = [msgspec.json.encode(event).decode() for event in inbox["events"]]
    return f'{{"events":[{first},...,{last}],...}}'


def _pulled_from_all(looks: Mapping[str, Look]) -> bool:
    return all(peer.pulls for look in looks.values() for peer in look.peers)


def _all(*conditions: Holds) -> Holds:
    return lambda looks: all(holds(looks) for holds in conditions)
