"""The mesh's part of the demo: nodes that find each other, lose one and get it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postbox.admin.command import Nothing
from postbox.admin.trust import LIST_KEYS
from postbox.cli.demo.commands import say
from postbox.cli.demo.history import ALL, EVENTS, History, make_history, write_events, write_keys
from postbox.cli.demo.nodes import configure
from postbox.cli.demo.stage import HOMES, Stage
from postbox.cli.demo.view import DIGITS
from postbox.cli.demo.watch import Holds, Look, in_step
from postbox.cli.progress import progress
from postbox.trust.tables import Source

DOOR = "The mesh"
SAMPLE = 5_000
MET = (Source.CONFIGURED, Source.INTRODUCTION)
NOT_NEW = ("duplicates", "rejected", "pruned")


class MeshPart:
    """Its methods in this order."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def prepare(self, memory: str) -> None:
        say("\nEvents, as a mesh of 50 nodes would sign them in 120 days")
        history = await make_history(self._stage.world)
        self._write(history)
        self._configure(memory)
        say("\nSome events, checkpoints, carry votes. Whose count is for each node's operator")
        say("to say, by a list of names, keys and ids")
        trust = ("trust", "import", "keys.json")
        self._stage.commands.say_each(
            await self._stage.commands.ask_each(
                dict.fromkeys(HOMES, trust), lambda home, count: None
            )
        )
        say("\nEach takes in another two thirds of the past: every id is recomputed, every")
        say("signature checked")
        await self._import(history)

    def _configure(self, memory: str) -> None:
        for home, url in self._stage.urls.items():
            others = [other for other in self._stage.urls.values() if other != url]
            configure(self._stage.folder / home, url, others, memory)
        say("\nEach node is told the addresses of the two others")
        say("  $ cat north/config.toml")
        text = (self._stage.folder / "north" / "config.toml").read_text(encoding="utf-8")
        say("\n".join(f"    {line}" for line in text.splitlines()))

    def _write(self, history: History) -> None:
        write_keys(self._stage.folder / "keys.json")
        for number, home in enumerate(HOMES):
            write_events(self._stage.folder / f"{home}.jsonl", history.share(number, len(HOMES)))
        write_events(self._stage.folder / "news-of-north.jsonl", history.news[::2])
        write_events(self._stage.folder / "news-of-east.jsonl", history.news[1::2])

    async def _import(self, history: History) -> None:
        sizes = {home: len(history.share(at, len(HOMES))) for at, home in enumerate(HOMES)}
        total = sum(sizes.values())
        counts = dict.fromkeys(HOMES, 0)
        with progress("importing", self._stage.world.clock) as show:

            def tell(home: str, count: int) -> None:
                counts[home] = count
                show(sum(counts.values()), sum(counts.values()) / total)

            asked = {home: ("import", f"{home}.jsonl") for home in HOMES}
            took = await self._stage.commands.ask_each(asked, tell)
            show(total, 1.0)
        self._stage.commands.say_each(took, _taken)
        self._prove(
            all(_is_all_new(took[home], sizes[home]) for home in HOMES),
            f"{EVENTS:,} events imported, two thirds of them by each node, none refused",
        )

    async def meet(self) -> None:
        say("\nThey serve, find each other, introduce themselves, and pull what they lack.")
        say("Shown is `postbox status` and `postbox peers` of each, asked again and again")
        await self._stage.start(HOMES)
        await self._stage.until(_all(in_step(EVENTS), _pulled_from_all), "three equal ledgers")
        self._prove(
            await self._are_introduced(), "strangers introduced themselves: each knows both others"
        )
        self._prove(True, "each pulled what it lacked: three ledgers, equal byte for byte")

    async def _are_introduced(self) -> bool:
        """Does each know the two others by meeting them, at their URLs or at its own?"""
        introduced = []
        for node in self._stage.serving.values():
            async with self._stage.nodes.operator(node) as operator:
                keys = (await operator.call(LIST_KEYS, Nothing())).keys
            introduced.append(sum(key.source in MET for key in keys))
        return introduced == [len(HOMES) - 1] * len(HOMES)

    async def cut(self) -> None:
        say("\neast is cut off: killed, with no time to say or save anything")
        events, digest = self._stage.watch.events_of("east"), self._stage.watch.digest_of("east")
        await self._stage.kill("east")
        held = await self._stage.commands.ask("status", home="east", show=_digest_of)
        self._prove(
            held["events"] > events or (held["events"], held["digest"]) == (events, digest),
            "killed with -9, east lost nothing of what it had",
        )
        await self._go_on()

    async def _go_on(self) -> None:
        news = ALL - EVENTS
        here = news - news // 2
        say("\nMeanwhile there is news on both sides of the cut: north serves, east is down")
        took = await self._stage.commands.ask(
            "import", "news-of-north.jsonl", home="north", show=_taken
        )
        await self._stage.until(in_step(EVENTS + here), "north and south are equal without east")
        apart = await self._stage.commands.ask(
            "import", "news-of-east.jsonl", home="east", show=_taken
        )
        again = await self._stage.commands.ask(
            "import", "news-of-north.jsonl", home="north", show=_taken
        )
        self._prove(
            _is_all_new(took, here) and _is_all_new(apart, news - here),
            f"north and south went on without it: {here} new events reached both",
        )
        self._prove(_is_all_known(again, here), "a second import changes nothing")

    async def heal(self) -> None:
        say("\neast comes back, with the home that it had")
        await self._stage.start(["east"])
        await self._stage.until(in_step(ALL), "three equal ledgers again")
        self._prove(
            True,
            f"east came back and caught up: three equal ledgers, all {ALL:,} events",
        )

    async def check(self) -> None:
        say("\nEvery signature once more, on the node that was killed")
        found = await self._stage.commands.ask("verify", home="east")
        self._prove(
            found["checked"] >= ALL and not found["wrong"] and not found["unproven"],
            f"{found['attested']:,} signatures verify, none is wrong;"
            f" {found['hearsay']:,} events are unsigned",
        )
        await self._sample()

    async def _sample(self) -> None:
        say("\nA newcomer that nobody was told of asks for a sample")
        sync = ("sync", self._stage.urls["south"], "--loopback", "--mode", "sample")
        sampled = await self._stage.commands.ask(*sync, home="west", show=_taken)
        asked = dict.fromkeys(("west", "north"), ("status",))
        held = await self._stage.commands.ask_each(asked, lambda home, count: None)
        self._stage.commands.say_each(held, _checkpoints_of)
        newcomers, checkpoints = (one["services"]["checkpoint"] for one in held.values())
        self._prove(
            _is_all_new(sampled, SAMPLE) and newcomers == checkpoints,
            f"a newcomer's sample is {SAMPLE:,} events, all {checkpoints} checkpoints among them",
        )

    def _prove(self, holds: bool, what: str) -> None:
        self._stage.proofs.add(DOOR, holds, what)


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


def _pulled_from_all(looks: Mapping[str, Look]) -> bool:
    return all(peer.pulls for look in looks.values() for peer in look.peers)


def _all(*conditions: Holds) -> Holds:
    return lambda looks: all(holds(looks) for holds in conditions)
