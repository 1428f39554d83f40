"""One node catches up with another over loopback, and names what keeps it from doing so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.mesh.calling.client import Stranger
from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.calling.pull import Mode, pull
from postbox.mesh.merging.intake import Report
from postbox.mesh.wire import HELLO_PATH, MSGPACK, NARA_SYNC_PATH, PING_PATH, SYNC_PATH
from postbox.net.faults import Forbidden, Unreachable
from postbox.trust.signatures import check_request
from postbox.trust.tables import Source
from support.homes import Imported
from support.liars import Facing, Liar, Reply, facing, honest
from support.mesh import (
    ANN,
    BOB,
    CAT,
    NOW_NS,
    Pair,
    believe,
    digest,
    hey_there,
    impostor,
    mesh_of,
    node_at,
    pair_of,
    serving,
    small_history,
    standings,
    take,
    tease,
)

SMALL = small_history(300)
GOOD = [tease(2), tease(1)]


async def pulled(pair: Pair, mode: Mode = "page") -> tuple[Report, list[int]]:
    """The report, and the totals that progress had."""
    totals: list[int] = []
    intake = pair.client.intake
    found = await pull(pair.peer, intake, mode, lambda so_far: totals.append(so_far.total))
    await pair.client.settle()
    return found.report, totals


# -- a postbox ----------------------------------------------------------------------------------


async def test_a_pull_of_all_pages_ends_with_an_equal_ledger(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    async with pair_of(copy_of(imported), tmp_path / "client") as pair:
        report, totals = await pulled(pair)
        assert report == Report(imported=80_000)
        assert totals == list(range(5_000, 80_001, 5_000))
        assert digest(pair.client) == digest(pair.server) == imported.digest
        again, _ = await pulled(pair)
        assert again == Report(duplicates=80_000)
    async with node_at(tmp_path / "client") as client:
        assert digest(client) == imported.digest


async def test_samples_and_the_newest_are_taken_and_the_rest_is_made_up_by_pages(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, SMALL)
        recent, totals = await pulled(pair, "recent")
        assert (recent, totals) == (Report(imported=100), [100])
        sample, _ = await pulled(pair, "sample")
        assert sample == Report(imported=200, duplicates=100), "fewer than its size: all of them"
        pages, _ = await pulled(pair, "page")
        assert pages == Report(duplicates=300)
        assert digest(pair.client) == digest(pair.server)


async def test_an_empty_peer_has_nothing(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        for mode in ("page", "sample", "recent"):
            report, totals = await pulled(pair, mode)
            assert (report, totals) == (Report(), [0])


async def test_what_two_nodes_each_had_both_have_in_the_end(tmp_path: Path) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, SMALL[:200])
        await take(pair.client, SMALL[100:])
        report, _ = await pulled(pair)
        assert report == Report(imported=100, duplicates=100)
        await take(pair.server, SMALL)
        assert digest(pair.client) == digest(pair.server)


async def test_a_peer_s_copy_that_is_attested_here_takes_the_place_of_hearsay(
    tmp_path: Path,
) -> None:
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await believe(pair.client, ANN)
        await take(pair.client, [tease(1, signer=None)])
        await take(pair.server, [tease(1)])
        assert await pulled(pair) == (Report(imported=1), [1])
        assert standings(pair.client) == (1, 0, 0)


async def test_names_in_a_peer_s_answer_are_admitted_and_known_ones_kept(tmp_path: Path) -> None:
    """The server believes another key of Bob's than the client does."""
    false_bob = impostor("bob")
    async with pair_of(tmp_path / "server", tmp_path / "client") as pair:
        await take(pair.server, [hey_there(ANN), tease(1), hey_there(false_bob)])
        await believe(pair.client, BOB)
        report, _ = await pulled(pair)
        assert (report.imported, report.rejected) == (2, {"key_differs": 1})
        known = pair.client.directory
        assert known.key_of("ann") == ANN.public_key
        assert known.key_of("bob") == BOB.public_key
        assert standings(pair.client) == (2, 0, 0)


# -- who never heard of each other ----------------------------------------------------------------


async def test_strangers_meet_and_pull_from_each_other(tmp_path: Path) -> None:
    async with node_at(tmp_path / "server") as server, node_at(tmp_path / "client") as client:
        await take(server, SMALL)
        async with serving(server) as url, mesh_of(client) as mesh:
            found = await pull(mesh.peer(url), client.intake, "page", lambda _: None)
        assert found.report.imported == 300
        for one, other, source in (
            (server, client, Source.INTRODUCTION),
            (client, server, Source.CONFIGURED),
        ):
            known = one.directory.get(other.identity.name)
            assert known is not None
            assert (known.key, known.source) == (other.identity.public_key, source)


async def test_a_known_peer_that_does_not_know_us_is_brought_our_hey_there(tmp_path: Path) -> None:
    async with node_at(tmp_path / "server") as server, node_at(tmp_path / "client") as client:
        await believe(client, server.identity)
        await take(server, SMALL)
        async with serving(server) as url, mesh_of(client) as mesh:
            found = await pull(mesh.peer(url), client.intake, "page", lambda _: None)
        assert found.report.imported == 300
        assert server.directory.key_of(client.identity.name) == client.identity.public_key


def unknown_here(liar: Liar, _: object) -> Reply:
    assert liar.caller is not None
    said = f"Authentication failed: unknown sender: {liar.caller.name}\n"
    return Reply(401, [], said.encode())


async def test_a_peer_that_lets_us_wait_is_asked_and_greeted_once_and_says_what_helps(
    tmp_path: Path,
) -> None:
    liar = Liar(is_postbox=True, sync=unknown_here)
    async with facing(tmp_path, liar) as face:
        with pytest.raises(Stranger) as refused:
            await face.pull()
        me = face.node.identity
        assert "answered 401: 'Authentication failed: unknown sender" in str(refused.value)
        command = f"postbox trust add {me.name} {me.public_key_base64} --id {me.id}"
        assert command in str(refused.value)
        assert [asked.path for asked in liar.asked] == [PING_PATH, SYNC_PATH, HELLO_PATH, SYNC_PATH]


async def test_a_nara_that_does_not_know_us_is_not_brought_what_it_can_not_read(
    tmp_path: Path,
) -> None:
    """It has asked back before it answered; its 404 would hide that we wait."""
    liar = Liar(sync=unknown_here)
    async with facing(tmp_path, liar) as face:
        with pytest.raises(Stranger):
            await face.pull()
        assert [asked.path for asked in liar.asked] == [PING_PATH, NARA_SYNC_PATH]


async def test_a_peer_that_forgets_us_at_each_page_is_greeted_once(tmp_path: Path) -> None:
    events = [tease(2_000 - number) for number in range(500)]
    cursor = str(NOW_NS - 1_501 * 10**9)
    page = honest(events, cursor)

    def sync(liar: Liar, asked: object) -> Reply:
        is_first = len(liar.syncs) in (1, 3)
        reply = unknown_here(liar, asked) if is_first else page(liar, asked)  # type: ignore[arg-type]
        assert isinstance(reply, Reply)
        return reply

    async with facing(tmp_path, Liar(is_postbox=True, sync=sync)) as face:
        with pytest.raises(Stranger):
            await face.pull()
        assert len(face.liar.asked_at(HELLO_PATH)) == 1
        assert await face.holds() == events


# -- how it asks ----------------------------------------------------------------------------------


async def test_a_nara_is_asked_at_its_path_and_in_json(tmp_path: Path) -> None:
    async with facing(tmp_path, Liar(sync=honest(GOOD))) as face:
        assert await face.pull() == Report(imported=2)
        ping, sync = face.liar.asked
        assert (ping.method, ping.path) == ("GET", "/ping")
        assert (sync.method, sync.path) == ("POST", "/events/sync")
        assert "msgpack" not in sync.headers.get("accept", "")
        assert is_signed(face, "/events/sync")
        me = face.node.identity.name
        asked = {"from": me, "services": None, "subjects": None, "mode": "page"}
        assert face.liar.syncs == [asked | {"page_size": 5_000}]


async def test_a_postbox_is_asked_for_msgpack_and_may_answer_in_json(tmp_path: Path) -> None:
    liar = Liar(is_postbox=True, sync=honest([GOOD[0]], packed=True))
    async with facing(tmp_path, liar) as face:
        assert await face.pull() == Report(imported=1)
        liar.sync = honest([GOOD[1]])
        assert await face.pull() == Report(imported=1)
        assert await face.holds() == GOOD
        _, sync, *_ = liar.asked
        assert (sync.method, sync.path, sync.headers["accept"]) == ("POST", SYNC_PATH, MSGPACK)
        assert is_signed(face, SYNC_PATH)


def is_signed(face: Facing, path: str) -> bool:
    me = face.node.identity
    sync = face.liar.asked_at(path)[0]
    now_ms = face.node.world.clock.now_ns() // 10**6
    return check_request(sync.headers, "POST", path, now_ms, lambda _: me.public_key) == me.name


async def test_a_nara_without_a_known_key_is_believed_at_the_operator_s_url(
    tmp_path: Path,
) -> None:
    async with facing(tmp_path, Liar(who=CAT, sync=honest(GOOD))) as face:
        assert await face.pull() == Report(imported=2)
        known = face.node.directory.get("cat")
        assert known is not None
        assert (known.key, known.source) == (CAT.public_key, Source.CONFIGURED)
        assert face.liar.asked_at(HELLO_PATH) == [], "a nara has no such path"


async def test_a_postbox_without_a_known_key_is_greeted_before_it_is_asked(tmp_path: Path) -> None:
    liar = Liar(who=CAT, is_postbox=True, sync=honest(GOOD))
    async with facing(tmp_path, liar) as face:
        assert await face.pull() == Report(imported=2)
        assert [asked.path for asked in liar.asked] == [PING_PATH, HELLO_PATH, SYNC_PATH]
        known = face.node.directory.get("cat")
        assert known is not None
        assert (known.key, known.source) == (CAT.public_key, Source.CONFIGURED)


async def test_an_answer_s_times_may_be_off_as_far_as_the_page_says(tmp_path: Path) -> None:
    for off_s, off_ms in ((300, 30_000), (-300, -30_000)):
        liar = Liar()
        liar.sync = lambda liar, _, s=off_s, ms=off_ms: liar.signed(  # type: ignore[misc]
            liar.told(GOOD, late_s=s), late_ms=ms
        )
        async with facing(tmp_path / str(off_s), liar) as face:
            assert await face.pull() == Report(imported=2)


# -- where nobody is, or nobody may be ------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:9", "a..b", "a" * 64])
async def test_nobody_is_there(tmp_path: Path, host: str) -> None:
    async with node_at(tmp_path) as node, mesh_of(node) as mesh:
        with pytest.raises(Unreachable):
            await pull(mesh.peer(f"http://{host}"), node.intake, "page", lambda _: None)


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://192.0.2.1", "http://[fe80::1]"])
async def test_addresses_out_of_reach_are_not_called(tmp_path: Path, url: str) -> None:
    async with node_at(tmp_path) as node, mesh_of(node) as mesh:
        with pytest.raises(Forbidden):
            await pull(mesh.peer(url), node.intake, "page", lambda _: None)


async def test_the_node_itself_is_no_peer(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, serving(node) as url, mesh_of(node) as mesh:
        with pytest.raises(MeetingFault, match="is this node itself"):
            await pull(mesh.peer(url), node.intake, "page", lambda _: None)
