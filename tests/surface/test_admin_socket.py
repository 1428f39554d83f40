"""A node's operator over the node's socket: the same answers as in process, and nothing that goes
wrong with a command, or with whoever asks, costs the node more than that command."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from msgspec import Struct
from msgspec.structs import replace

from postbox.admin import wire
from postbox.admin.command import VERSION, Command, Desk, NodeGone, Nothing, Progress, Serving, Tell
from postbox.admin.commands import COMMANDS
from postbox.admin.devices import LIST_DEVICES, ListDevices
from postbox.admin.events import EVENTS, SETTLE, TAKE, After, Take, Taken
from postbox.admin.examining import EXAMINE_HOST, ExamineHost
from postbox.admin.hosts import LIST_HOSTS, SET_HOST, SetHost
from postbox.admin.inbox import INBOX, ReadInbox
from postbox.admin.issuer import EXAMINE_ISSUER
from postbox.admin.keys import SHOW_KEY
from postbox.admin.letters import LETTERS, SETTLE_LETTERS, AskLetters, SettleLetters
from postbox.admin.links import LINKS
from postbox.admin.listening import LISTENING
from postbox.admin.local import LocalOperator
from postbox.admin.peers import PEERS, SENTENCE, Verdict
from postbox.admin.place import MAX_PATH_BYTES, NOTE, SOCKET, claimed, serving_socket
from postbox.admin.posting import POST, Post
from postbox.admin.remote import IDLE_S, NodeFault, RemoteOperator
from postbox.admin.status import STATUS
from postbox.admin.trust import ANSWER, BELIEVE, LIST_KEYS, Answer, Believe, Key
from postbox.admin.verify import VERIFY
from postbox.errors import Full
from postbox.mesh.files import MAX_LINE_BYTES
from postbox.mesh.importing import BATCH_BYTES
from postbox.mesh.peers.known import Contact
from postbox.metrics import Metrics
from postbox.net.client import open_local_client
from postbox.net.limits import Limits
from postbox.node import Node
from postbox.world import World, system_world
from support.admin import URL, Words, attended, command, operator_of
from support.mesh import ANN, BOB, believe, mesh_of, node_at, serving, small_history, take
from support.simulate import MemoryDisk, Simulation, simulate

HISTORY = small_history(300)

ASKED: list[tuple[Command[Any, Any], Struct]] = [
    (STATUS, Nothing()),
    (SHOW_KEY, Nothing()),
    (BELIEVE, Believe([Key("ann", ANN.public_key, ANN.id), Key("b:", BOB.public_key, None)])),
    (BELIEVE, Believe([Key("bob", BOB.public_key, ANN.id)])),
    (ANSWER, Answer("nobody", admits=True)),
    (ANSWER, Answer("no:name", admits=False)),
    (LIST_KEYS, Nothing()),
    (TAKE, Take([*HISTORY[:10], b"garbage", b"\xff\x00", b""])),
    (SETTLE, Nothing()),
    (EVENTS, After(0)),
    (EVENTS, After(10**9)),
    (VERIFY, Nothing()),
    (PEERS, Nothing()),
    (SENTENCE, Verdict("ann", "forgive")),
    (SENTENCE, Verdict("no:name", "ban")),
    (LISTENING, Nothing()),
    (POST, Post("b.example", "type.googleapis.com/a.Note", [])),
    (SET_HOST, SetHost("b.example", admit="allow")),
    (LIST_HOSTS, Nothing()),
    (LINKS, Nothing()),
    (INBOX, ReadInbox(None, 0, 0, 10)),
    (LETTERS, AskLetters(("", 0))),
    (SETTLE_LETTERS, SettleLetters(None)),
    (EXAMINE_HOST, ExamineHost("no host")),
    (LIST_DEVICES, ListDevices()),
    (EXAMINE_ISSUER, Nothing()),
]
TOLD_OTHERWISE = {"sync", "rotate-keys", "mint-token", "revoke-devices", "open-page"}
"""Twice is not the same as once."""


async def test_every_command_answers_over_the_socket_as_in_process(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await take(node, HISTORY)
        await believe(node, ANN)
        async with attended(node) as remote:
            local = LocalOperator(Desk(node))
            for asked, request in ASKED:
                here, there = await local.call(asked, request), await remote.call(asked, request)
                if asked is STATUS:
                    assert (there.url, there.uptime_s) == (URL, 0)
                    assert there.recovery is not None
                    told = {"url": None, "uptime_s": None, "recovery": None}
                    there = replace(there, **told, disk=here.disk)
                if asked in (SETTLE, EXAMINE_HOST):
                    there = replace(there, serves=False)
                if asked is LINKS:
                    there = replace(there, idle=here.idle)
                assert here == there, asked.name
    assert {asked.name for asked, _ in ASKED} | TOLD_OTHERWISE == set(COMMANDS)


async def test_why_a_round_failed_is_told_until_the_next_one_begins(tmp_path: Path) -> None:
    """A peer that is back answers a ping before it is pulled from again."""
    async with node_at(tmp_path / "there") as there, serving(there) as url:
        async with (
            node_at(tmp_path / "here", peers=(url,)) as here,
            mesh_of(here) as mesh,
            here.open_hosts(Metrics()) as hosts,
        ):
            operator = LocalOperator(Desk(here, Serving(URL, 0.0, mesh, hosts)))
            (link,) = mesh.peers.configured
            link.last_error, link.failed_ns, link.next_ns = "it was away", 1, 2
            for contact, error in (
                (Contact.FAILED, "it was away"),
                (Contact.WAITING, "it was away"),
                (Contact.PULLING, ""),
                (Contact.REACHED, ""),
            ):
                link.contact = contact
                (seen,) = (await operator.call(PEERS, Nothing())).peers
                assert seen.answers
                assert (seen.error, seen.failed_ns, seen.next_ns) == (error, 1, 2)


async def test_the_largest_batch_of_an_import_fits_into_a_request(tmp_path: Path) -> None:
    raws = [b"x" * MAX_LINE_BYTES] * (BATCH_BYTES // MAX_LINE_BYTES) + [b"y" * MAX_LINE_BYTES]
    many = [b"{}"] * 4_096
    async with node_at(tmp_path) as node, attended(node) as operator:
        for batch in (raws, many):
            taken = await operator.call(TAKE, Take(batch))
            assert sum(taken.rejected.values()) == len(batch)
        assert len(wire.encode(Take(raws))) < Limits().max_body_bytes


async def test_what_a_take_counted_is_stored(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, attended(node) as operator:
        taken = await operator.call(TAKE, Take(HISTORY))
        assert taken == Taken(300, 0, 0, {})
        assert taken.report().total == 300
        lines = (await operator.call(EVENTS, After(0))).lines
        assert sorted(lines) == sorted(HISTORY)


async def test_progress_comes_while_the_command_runs_and_the_last_of_it_always(
    tmp_path: Path,
) -> None:
    """Of many reports a few are sent: the latest, ten times a second."""

    async def count(desk: Desk, request: Nothing, tell: Tell) -> Words:
        for number in range(1, 1_001):
            tell(Progress(number, number / 1_000))
            await trio.lowlevel.checkpoint()
        await first_seen.wait()
        tell(Progress(2_000))
        return Words("counted")

    first_seen = trio.Event()
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)
        first_seen.set()

    async with with_commands(tmp_path, count=count) as (_, operator):
        assert await operator.call(command("count", count), Nothing(), see) == Words("counted")
    assert seen[-1] == Progress(2_000)
    assert 2 <= len(seen) < 100


# -- what goes wrong ------------------------------------------------------------------------------


@asynccontextmanager
async def with_commands(
    home: Path, world: World | None = None, **runs: Any
) -> AsyncIterator[tuple[Node, RemoteOperator]]:
    commands: Mapping[str, Command[Any, Any]] = {
        **COMMANDS,
        **{name: command(name, run) for name, run in runs.items()},
    }
    async with node_at(home, world=world) as node, attended(node, commands) as operator:
        yield node, operator


async def test_a_fault_is_told_in_its_own_words(tmp_path: Path) -> None:
    async def fail(*_: object) -> NoReturn:
        raise Full("no room on the disk: make some")

    async def fail_twice(*_: object) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(fail)
        raise AssertionError

    async with with_commands(tmp_path, fail=fail, twice=fail_twice) as (_, operator):
        for name, run in (("fail", fail), ("twice", fail_twice)):
            with pytest.raises(NodeFault) as caught:
                await operator.call(command(name, run), Nothing())
            assert str(caught.value) == "no room on the disk: make some"


async def test_a_bug_is_told_as_one_and_costs_the_node_nothing_else(tmp_path: Path) -> None:
    async def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("of a bug")

    async with with_commands(tmp_path, fail=fail) as (_, operator):
        with pytest.raises(NodeFault, match=r"failed at this \(of a bug\): that is a bug"):
            await operator.call(command("fail", fail), Nothing())
        assert (await operator.call(STATUS, Nothing())).events == 0


async def test_a_command_whose_asker_goes_away_is_cancelled_and_others_are_not(
    tmp_path: Path,
) -> None:
    begun, cancelled = trio.Event(), trio.Event()

    async def linger(*_: object) -> NoReturn:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with with_commands(tmp_path, linger=linger) as (node, operator):
        async with operator_of(node) as other, trio.open_nursery() as nursery:
            nursery.start_soon(other.call, command("linger", linger), Nothing())
            await begun.wait()
            assert (await operator.call(STATUS, Nothing())).events == 0
            assert not cancelled.is_set()
            nursery.cancel_scope.cancel()
        with trio.fail_after(30):
            await cancelled.wait()
        assert (await operator.call(STATUS, Nothing())).events == 0


def test_a_node_that_stops_ends_what_is_under_way_and_says_so(tmp_path: Path) -> None:
    """In virtual time: after the grace."""
    begun = trio.Event()

    async def linger(*_: object) -> NoReturn:
        begun.set()
        await trio.sleep_forever()

    async def ask(node: Node) -> None:
        async with operator_of(node) as operator:
            with pytest.raises(NodeGone, match="went away before it had answered") as caught:
                await operator.call(command("linger", linger), Nothing())
        assert str(tmp_path) in str(caught.value)

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with trio.open_nursery() as nursery:
            async with with_commands(tmp_path, world, linger=linger) as (node, _):
                nursery.start_soon(ask, node)
                await begun.wait()

    simulate(1, main)


async def test_an_unknown_command_is_refused_with_both_versions(tmp_path: Path) -> None:
    async def newer(*_: object) -> NoReturn:
        raise AssertionError

    async with node_at(tmp_path) as node, attended(node) as operator:
        with pytest.raises(NodeFault) as caught:
            await operator.call(command("newer", newer), Nothing())
    assert "no such command: /admin/newer" in str(caught.value)
    assert f"the node runs postbox {VERSION}, this is postbox {VERSION}" in str(caught.value)


async def test_what_is_no_request_is_refused_with_a_text(tmp_path: Path) -> None:
    bodies = (b"", b"garbage", b"[]", b'{"raws": 3}', b'{"raws": ["not base64!"]}', b"\xff" * 9)
    async with node_at(tmp_path) as node, attended(node):
        path = await serving_socket(node.world.net, tmp_path)
        assert path is not None
        async with open_local_client(node.world.net, path) as http:
            for method, url, body, status in (
                *(("POST", "/admin/take", body, 400) for body in bodies),
                ("POST", "/admin/status", b'{"of a newer verb": true}', 400),
                ("GET", "/admin/take", b"", 405),
                ("POST", "/admin/", b"{}", 404),
                ("POST", "/admin/nonsense", b"{}", 404),
                ("POST", "/status", b"{}", 404),
                ("POST", "/admin/take", b"x" * (4 * 2**20 + 1), 413),
            ):
                answer = await http.request(
                    method, f"http://local{url}", body=body, max_body_bytes=1_000, deadline_s=30
                )
                assert (answer.status, answer.body[-1:]) == (status, b"\n"), (url, body)


async def test_garbage_on_the_socket_costs_its_connection_only(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, attended(node) as operator:
        path = await serving_socket(node.world.net, tmp_path)
        assert path is not None
        for garbage in (b"\x00" * 100_000, b"\xff\r\n\r\n", b"POST /admin/take HTTP/9.9\r\n\r\n"):
            stream = await node.world.net.connect_unix(path)
            assert isinstance(stream, trio.SocketStream)
            async with stream:
                with trio.fail_after(30), suppress(trio.BrokenResourceError):
                    await stream.send_all(garbage)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
        assert (await operator.call(STATUS, Nothing())).events == 0


async def test_text_that_is_none_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, attended(node) as operator:
        with pytest.raises(NodeFault, match="cannot ask the node for that"):
            await operator.call(ANSWER, Answer("\udcff", admits=True))


def test_a_command_that_thinks_for_long_is_waited_for_and_a_node_that_hangs_is_not(
    tmp_path: Path,
) -> None:
    """In virtual time: minutes without progress, in which the node shows that it lives."""

    async def think(*_: object) -> Words:
        await trio.sleep(100 * IDLE_S)
        return Words("thought")

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with with_commands(tmp_path, world, think=think) as (_, operator):
            assert await operator.call(command("think", think), Nothing()) == Words("thought")
        hung = str(tmp_path / SOCKET)
        listener = await world.net.listen_unix(hung)
        async with listener, open_local_client(world.net, hung) as http:
            with pytest.raises(NodeGone, match=r"does not answer .* no answer within 60 s"):
                await RemoteOperator(http, tmp_path).call(STATUS, Nothing())

    simulate(1, main)


# -- where it is ----------------------------------------------------------------------------------


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_socket_is_its_owner_s_alone_and_is_gone_afterwards(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with node_at(home) as node:
        assert await serving_socket(node.world.net, home) is None
        async with attended(node):
            assert (mode_of(home / SOCKET), mode_of(home)) == (0o600, 0o700)
            assert not (home / NOTE).exists()
        assert not (home / SOCKET).exists()
        assert await serving_socket(node.world.net, home) is None


async def test_a_home_whose_path_is_too_long_has_its_socket_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("h" * (150 - len(str(tmp_path)) - 1))
    assert len(str(home)) == 150 > MAX_PATH_BYTES
    async with node_at(home) as node:
        async with attended(node) as operator:
            noted = Path((home / NOTE).read_text())
            assert noted.parent != home
            assert (mode_of(noted), mode_of(noted.parent)) == (0o600, 0o700)
            assert (await operator.call(STATUS, Nothing())).name == node.identity.name
        assert not noted.parent.exists()
        assert not (home / NOTE).exists()


async def test_a_home_is_found_by_any_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, link = tmp_path / "home", tmp_path / "link"
    link.symlink_to(home)
    monkeypatch.chdir(tmp_path)
    async with node_at(Path("home")) as node, attended(node):
        for name in (home, link, Path("home"), Path("./link")):
            assert await serving_socket(node.world.net, name) == str(home.resolve() / SOCKET)


@pytest.mark.parametrize("length", [0, 150], ids=["short", "long"])
async def test_what_a_killed_node_left_is_nobody_and_in_nobody_s_way(
    tmp_path: Path, length: int
) -> None:
    home = tmp_path / ("h" * max(1, length - len(str(tmp_path)) - 1))
    home.mkdir(mode=0o700)
    left = claimed(home)
    path = trio.Path(left.__enter__())  # and never the exit
    await (await system_world().net.listen_unix(str(path))).aclose()
    assert await path.exists()
    assert await serving_socket(system_world().net, home) is None
    async with node_at(home) as node, attended(node) as operator:
        assert (await operator.call(STATUS, Nothing())).events == 0
        assert length == 0 or not await path.exists()
    del left  # until here: it is what a killed node never came to


async def test_a_noted_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    """Its name may have become free, and somebody else's."""
    home = tmp_path / ("h" * (150 - len(str(tmp_path)) - 1))
    async with node_at(home) as node, attended(node):
        folder = Path((home / NOTE).read_text()).parent
        assert await serving_socket(node.world.net, home) is not None
        folder.chmod(0o755)
        assert await serving_socket(node.world.net, home) is None
        folder.chmod(0o700)
