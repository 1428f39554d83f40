"""Walks through a peer's pages: honest ones end with all that the peer has, all others end, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
import trio
from hypercorn.typing import ASGIFramework, Scope
from hypothesis import given, settings
from hypothesis import strategies as st

from postbox.mesh.calling import pull as pulling
from postbox.mesh.calling.pull import MIN_EVENTS, EndlessPages, pull
from postbox.mesh.merging.intake import Report
from postbox.mesh.wire import SYNC_PATH
from postbox.trust.authoring import Social, make_event
from postbox.trust.keys import Identity
from postbox.world import Pool, Threads
from support.liars import Liar, facing, honest, in_turn, nara
from support.mesh import (
    ANN,
    NOW_NS,
    believe,
    digest,
    fixed_world,
    held_ids,
    id_of_body,
    impostor,
    mesh_of,
    node_at,
    pair_of,
    serving,
    serving_mesh,
    take,
)
from support.simulate import FixedClock, MemoryDisk, Simulation, simulate

T = TypeVar("T")

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
PAGE, LEAST = 20, 2
"""In place of 5,000 and 500 where a test walks through many pages; servers cut as they are told."""


@contextmanager
def small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulling, "PAGE_EVENTS", PAGE)
        patch.setattr(pulling, "MIN_EVENTS", LEAST)
        yield


def event_at(ts: int, number: int, signer: Identity | None = None, reason: str = "random") -> bytes:
    actor = f"actor{number}" if signer is None else signer.name
    return make_event(Social(type="tease", actor=actor, target="b", reason=reason), ts, signer).body


class HeldWriter:
    """Threads, of which the writer's waits to be let go."""

    def __init__(self, threads: Threads) -> None:
        self.may_write = trio.Event()
        self.may_write.set()
        self._threads = threads

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        if pool is Pool.WRITER:
            await self.may_write.wait()
        return await self._threads.run(pool, work)


# -- honest peers -------------------------------------------------------------------------------


def in_ties(sizes: Sequence[int], start_ns: int) -> list[bytes]:
    """Events a second apart, so many at each."""
    return [
        event_at(start_ns + second * SECOND_NS, number)
        for second, size in enumerate(sizes)
        for number in range(size)
    ]


TIES = st.lists(
    st.one_of(st.integers(1, 3), st.sampled_from([PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])),
    max_size=12,
)
AHEAD_S = st.integers(-3_600, 880)
"""Of the first event: events may be up to 15 minutes ahead."""


@settings(max_examples=40)
@given(TIES, AHEAD_S, st.integers(-3, 15))
def test_every_walk_through_a_postbox_gives_all_that_is_after_its_beginning(
    sizes: list[int], ahead_s: int, since_s: int
) -> None:
    """The real server on a network in memory, whatever ties lie on the borders of its pages."""
    start_ns = NOW_NS + ahead_s * SECOND_NS
    since_ns = start_ns + since_s * SECOND_NS if since_s >= 0 else 0
    events = in_ties(sizes, start_ns)

    async def main(simulation: Simulation) -> None:
        server_world = simulation.node(MemoryDisk(), "100.64.0.1").world
        client_world = simulation.node(MemoryDisk(), "100.64.0.2").world
        with TemporaryDirectory() as folder:
            async with (
                node_at(Path(folder, "server"), world=server_world) as server,
                node_at(Path(folder, "client"), world=client_world) as client,
            ):
                await believe(server, client.identity)
                await believe(client, server.identity)
                await take(server, events)
                async with serving(server) as url, mesh_of(client) as mesh:
                    peer = mesh.peer(url)
                    await pull(peer, client.intake, "page", lambda _: None, since_ns=since_ns)
                assert held_ids(client) == {
                    id_of_body(event) for event in events if json.loads(event)["ts"] > since_ns
                }

    with small_pages():
        simulate(1, main)


async def test_the_next_page_is_asked_for_while_one_is_written_and_no_third(tmp_path: Path) -> None:
    pages, durable = 5, list[int]()
    world = fixed_world()
    writer = HeldWriter(world.threads)
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, in_ties([1] * pages * PAGE, NOW_NS - 3_600 * SECOND_NS))

        def watched(app: ASGIFramework) -> ASGIFramework:
            async def watching(scope: Scope, receive: Any, send: Any, *more: Any) -> None:
                if scope["type"] == "http" and scope["path"] == SYNC_PATH:
                    durable.append(len(client.ledger.index))
                    if len(durable) == 2:
                        writer.may_write.set()
                await app(scope, receive, send, *more)

            return watching

        async with (
            node_at(tmp_path / "other", world=replace(world, threads=writer)) as client,
            serving_mesh(pair.server, wrap=watched) as (url, _),
            mesh_of(client) as mesh,
        ):
            for node, other in ((pair.server, client), (client, pair.server)):
                await believe(node, other.identity)
            # who is met there is noted once, with the first answer: that is no page
            await mesh.introductions.confirm(url, pair.server.identity.name)
            writer.may_write = trio.Event()
            with small_pages(), trio.fail_after(60):
                await pull(mesh.peer(url), client.intake, "page", lambda _: None)
    assert len(durable) == pages
    assert durable[1] == 0
    assert all(held >= (asked - 1) * PAGE for asked, held in enumerate(durable))


@settings(max_examples=40)
@given(TIES, AHEAD_S, st.integers(0, 2**32))
def test_every_walk_through_a_nara_ends_with_what_it_gave(
    sizes: list[int], ahead_s: int, seed: int
) -> None:
    """It loses ties on the borders of its pages, and has a cursor for an empty last page."""
    events = in_ties(sizes, NOW_NS + ahead_s * SECOND_NS)
    liar = Liar(sync=nara(events, seed))
    reports: list[Report] = []

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        liar.clock = world.clock
        with TemporaryDirectory() as folder:
            async with facing(Path(folder), liar, world=world) as face:
                reports.append(await face.pull())
                assert len(held_ids(face.node)) == reports[0].imported

    with small_pages():
        simulate(1, main)
    assert reports == [Report(imported=given_by_nara(sizes))]


def given_by_nara(sizes: list[int]) -> int:
    """A group that fills a page up loses the rest of it."""
    given, room = 0, PAGE
    for size in sizes:
        taken = min(size, room)
        given += taken
        room = room - taken or PAGE
    return given


async def test_pages_that_were_cut_by_their_bytes_are_pages(tmp_path: Path) -> None:
    """300 events of 60 kB are two answers, both of fewer events than a page must have."""
    large = [event_at(NOW_NS - n * SECOND_NS, n, reason="x" * 60_000) for n in range(300)]
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, large)
        totals: list[int] = []
        intake = pair.client.intake
        await pull(pair.peer, intake, "page", lambda so_far: totals.append(so_far.total))
        await pair.client.settle()
        assert len(totals) == 2
        assert totals[0] < MIN_EVENTS
        assert digest(pair.client) == digest(pair.server)


async def test_pages_that_are_refused_here_do_not_hide_what_comes_after(tmp_path: Path) -> None:
    """An honest peer that does not know Ann holds what somebody else signed in her name."""
    false_ann = impostor("ann")
    false = [event_at(NOW_NS - (900 - n) * SECOND_NS, n, false_ann) for n in range(3 * PAGE)]
    good = [event_at(NOW_NS - n * SECOND_NS, n) for n in range(3)]
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, [*false, *good])
        await believe(pair.client, ANN)
        with small_pages():
            pulled = await pull(pair.peer, pair.client.intake, "page", lambda _: None)
        assert pulled.report == Report(imported=3, rejected=pulled.report.rejected)
        assert pulled.report.rejected == {"bad_signature": 3 * PAGE}
        assert held_ids(pair.client) == set(map(id_of_body, good))


@pytest.mark.parametrize("off_s", [-29, 29])
async def test_a_peer_whose_clock_is_off_is_walked_through(tmp_path: Path, off_s: int) -> None:
    """What is too far ahead for us is refused by itself, be it whole pages."""
    ahead = [event_at(NOW_NS + 14 * MINUTE_NS + n * SECOND_NS, n) for n in range(4 * PAGE)]
    clock = FixedClock(NOW_NS + off_s * SECOND_NS)
    liar = Liar(clock=clock, sync=nara(ahead))
    async with facing(tmp_path, liar) as face:
        with small_pages():
            pulled = await face.pull_since(0)
        assert (pulled.report.imported, pulled.report.rejected) == (61, {"future": 19})
        assert len(liar.syncs) == 5
        assert pulled.newest_ns == NOW_NS + 14 * MINUTE_NS + (4 * PAGE - 1) * SECOND_NS


async def test_a_walk_with_a_beginning_asks_for_what_is_after_it(tmp_path: Path) -> None:
    events = [event_at(NOW_NS - n * SECOND_NS, n) for n in range(5)]
    async with facing(tmp_path, Liar(sync=nara(events))) as face:
        pulled = await face.pull_since(NOW_NS - 3 * SECOND_NS)
        assert face.liar.syncs[0]["cursor"] == str(NOW_NS - 3 * SECOND_NS)
        assert (pulled.report.imported, pulled.newest_ns) == (3, NOW_NS)
        assert (await face.pull_since(NOW_NS)).newest_ns == 0, "it saw none"


# -- others ---------------------------------------------------------------------------------------


def page(number: int, size: int = MIN_EVENTS) -> list[bytes]:
    """The last `size` of the 500 events of this page; page after page, a second apart."""
    start_ns = NOW_NS - 10_000 * SECOND_NS + number * 500 * SECOND_NS
    return [event_at(start_ns + n * SECOND_NS, n) for n in range(500 - size, 500)]


PAGES = [page(number) for number in range(4)]
ENDS = [json.loads(events[-1])["ts"] for events in PAGES]
TIE = [event_at(ENDS[0], number) for number in range(3 * MIN_EVENTS)]
A, B = "a" * 32, "b" * 32
FIRST = (PAGES[0], str(ENDS[0]))

WALKS: dict[str, tuple[list[tuple[list[bytes], str]], str]] = {
    "the same page again": ([FIRST, FIRST], "does not go forward"),
    "a cursor that stands": ([FIRST, (PAGES[1], str(ENDS[0]))], "does not go forward"),
    "a cursor that goes back": ([FIRST, (PAGES[1], str(ENDS[0] - 1))], "does not go forward"),
    "a cursor that goes back in turn": (
        [FIRST, (PAGES[1], str(ENDS[1])), (PAGES[2], str(ENDS[0]))],
        "does not go forward",
    ),
    "a cursor that goes back inside of a tie": (
        [(TIE[:500], f"{ENDS[0]}.{B}"), (TIE[500:1_000], f"{ENDS[0]}.{A}")],
        "does not go forward",
    ),
    "a cursor that stands inside of a tie": (
        [(TIE[:500], f"{ENDS[0]}.{B}"), (TIE[500:1_000], f"{ENDS[0]}.{B}")],
        "does not go forward",
    ),
    "a cursor back into a tie": (
        [(TIE[:500], str(ENDS[0])), (TIE[500:1_000], f"{ENDS[0]}.{B}")],
        "does not go forward",
    ),
    "a cursor with zeros in front that stands": (
        [FIRST, (PAGES[1], f"0{ENDS[0] % 10**18}")],
        "does not go forward",
    ),
    "a page before the cursor": (
        [(PAGES[1], str(ENDS[1])), ([*PAGES[0], PAGES[2][-1]], str(ENDS[2]))],
        "not the one between",
    ),
    "a cursor beyond the page": ([(PAGES[0], str(ENDS[0] + 1))], "not the one between"),
    "a cursor far beyond the page": ([(PAGES[0], "9" * 19)], "not the one between"),
    "a cursor inside of the page": ([(PAGES[0], str(ENDS[0] - SECOND_NS))], "not the one between"),
    "a page the wrong way round": ([(PAGES[0][::-1], str(ENDS[0]))], "not the one between"),
    "a page without events": ([FIRST, ([], str(ENDS[1]))], "after a page without events"),
    "a first page without events": ([([], "1")], "after a page without events"),
    "a page without an event that can be read": (
        [([b'{"id":"5"}'] * 500, "5")],
        "after a page without events",
    ),
    "a small page": ([FIRST, (page(1, 499), str(ENDS[1]))], "after a page of 499 events"),
    "a trickle": ([(page(0, 1), str(ENDS[0]))], "after a page of 1 events"),
}
for _junk in (
    "next please", "-1", "+5", " 5", "5\n", "5.", ".5", "1e9", "0x5", "٣", "9" * 20,
    f"5.{A}0", f"5.{A.upper()}", f"5,{A}", "\x00", "\x1b[2J", "5" * 2**20,
):  # fmt: skip
    WALKS[f"the cursor {_junk[:12]!r}"] = ([FIRST, (PAGES[1], _junk)], "which is none")


@pytest.mark.parametrize("name", WALKS)
async def test_a_walk_that_does_not_get_on_ends_and_keeps_what_came(
    tmp_path: Path, name: str
) -> None:
    pages, why = WALKS[name]
    liar = Liar(sync=in_turn(*(honest(events, cursor) for events, cursor in pages)))
    world = replace(fixed_world(), disk=MemoryDisk())
    async with facing(tmp_path, liar, world=world) as face:
        with pytest.raises(EndlessPages) as told:
            await face.pull()
        assert why in str(told.value)
        assert "What came before was taken" in str(told.value)
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 1_000
        assert len(liar.syncs) == len(pages)
        given = {event for events, _ in pages for event in events if len(event) > 20}
        assert set(await face.holds()) == given
        liar.sync = honest(PAGES[3])
        assert await face.pull() == Report(imported=500)


async def test_cursors_inside_a_tie_and_after_it_go_forward(tmp_path: Path) -> None:
    ties = sorted(TIE, key=lambda event: json.loads(event)["id"])
    borders = [f"{ENDS[0]}.{json.loads(ties[n - 1])['id']}" for n in (500, 1_000)]
    given = [*borders, str(ENDS[0]), str(ENDS[1]), None]
    pages = [ties[:500], ties[500:1_000], ties[1_000:], PAGES[1], PAGES[2]]
    answers = [honest(events, cursor) for events, cursor in zip(pages, given, strict=True)]
    async with facing(tmp_path, Liar(sync=in_turn(*answers))) as face:
        assert await face.pull() == Report(imported=2_500)
        assert [request.get("cursor") for request in face.liar.syncs] == [None, *given[:-1]]


async def test_an_empty_cursor_is_the_end(tmp_path: Path) -> None:
    async with facing(tmp_path, Liar(sync=honest(PAGES[0], ""))) as face:
        assert await face.pull() == Report(imported=500)
        assert len(face.liar.syncs) == 1


async def test_a_last_page_may_hold_what_it_likes(tmp_path: Path) -> None:
    """It ends the walk; what was seen is known."""
    last = honest([*page(1, 3)[::-1], PAGES[0][7]])
    async with facing(tmp_path, Liar(sync=in_turn(honest(*FIRST), last))) as face:
        assert await face.pull() == Report(imported=503, duplicates=1)
