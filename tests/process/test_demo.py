"""The demo's promises beside what it proves by itself: it leaves nothing behind, and says what is
wrong. In full it is run by `.ci/try-wheel`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace as replaced

from postbox.cli.demo import until_told
from postbox.cli.demo.clients import chat
from postbox.cli.demo.commands import COLUMNS, show_command, show_result
from postbox.cli.demo.nodes import configure
from postbox.cli.demo.proofs import DOORS, Proofs
from postbox.cli.demo.stage import Stage
from postbox.cli.demo.story import Told, serve_again
from postbox.cli.demo.view import Row, view
from postbox.cli.demo.watch import notes, settled
from postbox.world import World, system_world
from support.command import POSTBOX, TIMEOUT_S, Call, Done, environment, postbox
from support.peers_seen import WELL
from support.ports import free_url
from support.small_disk import small_disk


@contextmanager
def demonstrating(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, with its homes in this folder."""
    with subprocess.Popen(
        [POSTBOX, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(TMPDIR=str(folder)),
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"it ended without saying {text!r}"


def test_a_signal_ends_the_demo_with_all_that_it_started(tmp_path: Path) -> None:
    with demonstrating(tmp_path) as process:
        wait_for(process, "postbox import east.jsonl")
        [folder] = tmp_path.iterdir()
        assert (folder / "north" / "config.toml").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):  # nobody is left in its group
            os.killpg(process.pid, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_the_demo_is_named(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(world: World, folder: Path, memory: str, told: Told | None) -> int:
        (folder / "east.jsonl").write_bytes(bytes(2**23))
        return 0

    monkeypatch.setattr("postbox.cli.demo.play", play)

    def demo_in(folder: Path) -> Done:
        with monkeypatch.context() as patched:  # else capturing has its files there, too
            patched.setattr("tempfile.tempdir", str(folder))
            return call("demo")

    with small_disk(5) as disk:
        done = demo_in(disk.path)
        assert list(disk.path.iterdir()) == []
    without = demo_in(disk.path / "missing")
    assert done.code == without.code == 1
    named = f"postbox: no room for the demo's files in {disk.path}: TMPDIR=DIR postbox demo has"
    assert named in done.err
    assert "postbox: cannot make a folder for the demo's files: No such file" in without.err


def test_nodes_that_could_not_hold_the_events_are_not_started(tmp_path: Path) -> None:
    done = postbox("demo", "--memory", "short", TMPDIR=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "80,500 events: short is too little" in done.err


def test_in_a_file_the_live_view_is_news_at_once_and_figures_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Row("north", 53_333, "2 of 2", "ab12cd34ef56", "asks south", is_up=True),
        Row("east", 1, "-", "000000000000", "killed"),
    ]
    later = [replace(rows[0], reaches="1 of 2", note="cannot reach east"), rows[1]]
    said: dict[str, Row] = {}
    with view(said) as show:
        show(rows, [("north", "asks south")], 0.2)
        show(later, [("north", "cannot reach east")], 0.9)
        show(later, [], 1.4)
    with view(said) as show:
        show([replace(later[0], note="asks south"), later[1]], [], 0.1)
        show([replace(later[0], events=60_000, digest=""), later[1]], [], 2.5)
    held = "53,333 events, digest ab12cd34ef56, reaches"
    assert capsys.readouterr().out.splitlines() == [
        "    0.2 s  north  asks south",
        f"    0.2 s  north  {held} 2 of 2 peers",
        "    0.2 s  east   killed",
        "    0.9 s  north  cannot reach east",
        f"    1.4 s  north  {held} 1 of 2 peers",
        "    2.5 s  north  60,000 events, reaches 1 of 2 peers",
    ]


def test_a_digest_is_shown_beside_the_events_that_it_is_of() -> None:
    digest = "ab12cd34ef56" + "0" * 52
    assert settled(None, 53_333, digest) == settled(53_333, 60_000, digest) == ""
    assert settled(53_333, 53_333, digest) == "ab12cd34ef56"


def test_a_peer_is_out_of_reach_exactly_while_the_row_says_so() -> None:
    well = replaced(WELL, imported=0)
    down, up = replaced(well, answers=False), replaced(well, contact="failed")
    assert list(notes("east", None, replaced(up, pulls=0))) == []
    assert list(notes("east", well, down)) == ["cannot reach east"]
    assert list(notes("east", down, replaced(down, contact="failed"))) == []
    assert list(notes("east", down, up)) == ["reaches east again"]
    assert list(notes("east", up, replaced(up, pulls=2, imported=7))) == ["7 new from east"]


def test_what_the_demo_says_is_never_broken_within_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["postbox", "sync", "http://127.0.0.1:26064", "--mode", "sample", "--home", "x" * 30]
    show_command(words, "&")
    command = capsys.readouterr().out
    assert max(map(len, command.splitlines())) <= COLUMNS
    assert shlex.split(command.replace("\\\n", "")) == ["$", *words, "&"]
    result = {key * 9: 10**9 for key in "abcdef"}
    show_result(json.dumps(result, separators=(",", ":")), "north")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= COLUMNS
    assert json.loads(shown.partition("north")[2]) == result


@asynccontextmanager
async def a_stage(folder: Path) -> AsyncIterator[Stage]:
    """For one node, which has no history."""
    world = system_world()
    url = free_url()
    configure(folder / "north", url, [], "1000")
    async with trio.open_nursery() as nursery:
        yield Stage(world, folder, {"north": url}, nursery)


async def test_two_devices_show_the_same_after_their_host_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clients' part by itself."""
    async with a_stage(tmp_path) as stage:
        await stage.start(["north"])
        await chat(stage)
        assert await stage.stop() == {"north": 0}
    assert stage.proofs.conclude() == 0
    said = capsys.readouterr().out.splitlines()
    assert max(map(len, said)) <= COLUMNS
    assert [line for line in said if line.startswith("  yes  ")] == [
        "  yes  two devices, a host killed between them: both show the same 54 messages",
        "  yes  what was sent again, and what was written without a host, is there once",
        "  yes  all of ann's are in the order in which she wrote them",
    ]


async def test_what_is_left_to_be_looked_at_has_a_folder_a_page_and_a_chat_for_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_stage(tmp_path) as stage:
        await serve_again(stage, trio.lowlevel.checkpoint)
        await stage.stop()
    url = stage.urls["north"]
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert str(tmp_path) in said
    assert [line.partition("#")[0] for line in said if line.startswith(f"{url}/")] == [
        f"{url}/",
        f"{url}/chat/",
        f"{url}/chat/",
    ]


def test_what_was_not_proved_stands_in_the_closing_table_and_is_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    proofs = Proofs()
    proofs.add(DOORS[1], True, "one went to the other")
    assert proofs.conclude() == 0
    proofs.add(DOORS[0], False, "it holds " + "very " * 20 + "much")
    assert proofs.conclude() == 1
    shown = capsys.readouterr().out.split("What was proved\n")[-1].splitlines()
    assert [line.split()[0] for line in shown] == ["The", "NO", "very", "Host", "yes"]
    assert max(map(len, shown)) <= COLUMNS


@pytest.mark.parametrize(("signals", "code"), [(1, 0), (2, 128 + signal.SIGTERM)])
async def test_a_signal_ends_the_looking_around_and_a_second_one_all(
    signals: int, code: int
) -> None:
    async def play(told: Told | None) -> int:
        assert told is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(told)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)
        if signals > 1:
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.sleep_forever()
        return 0

    with trio.fail_after(TIMEOUT_S):
        assert await until_told(play, True) == code
