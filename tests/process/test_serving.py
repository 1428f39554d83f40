"""`postbox serve` and `postbox sync` as processes: they find each other, and they end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.command import killed_at_line, postbox, ready_url, running, told
from support.homes import Imported
from support.mesh import small_history


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n".join(small_history(500)))
    return path


def introduce(one: Path, other: Path) -> None:
    """`trust add` both ways."""
    for here, there in ((one, other), (other, one)):
        shown = told("keys", "show", "--home", there)
        told(
            "trust", "add", shown["name"], shown["public_key"], "--id", shown["id"], "--home", here
        )


@contextmanager
def served(home: Path) -> Iterator[str]:
    with running("serve", "--home", home, "--listen", "127.0.0.1:0", "--loopback") as process:
        yield ready_url(process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


def test_two_nodes_end_with_equal_ledgers(tmp_path: Path, history: Path) -> None:
    server, client = tmp_path / "server", tmp_path / "client"
    told("import", history, "--home", server)
    introduce(server, client)
    with served(server) as url:
        for mode, numbers in (
            ("recent", {"imported": 100, "duplicates": 0}),
            ("sample", {"imported": 400, "duplicates": 100}),
            ("page", {"imported": 0, "duplicates": 500}),
        ):
            done = postbox("sync", url, "--mode", mode, "--home", client, "--loopback", "--json")
            assert (done.code, done.json) == (0, numbers | {"rejected": 0, "pruned": 0})
            assert f"pulling from {url}: {sum(numbers.values())} events" in done.err
    digests = {told("status", "--home", home)["digest"] for home in (server, client)}
    assert len(digests) == 1


def test_a_node_that_was_not_told_of_us_is_not_pulled_from(tmp_path: Path) -> None:
    server, client = tmp_path / "server", tmp_path / "client"
    with served(server) as url:
        done = postbox("sync", url, "--home", client)
        me = told("keys", "show", "--home", client)
    assert (done.code, done.out) == (1, "")
    assert "answered 401" in done.err
    assert f"postbox trust add {me['name']} {me['public_key']} --id {me['id']}" in done.err


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    with running("serve", "--home", tmp_path, "--listen", "127.0.0.1:0") as process:
        ready_url(process)
        process.send_signal(end)
        assert process.wait(timeout=60) == 0
    assert postbox("status", "--home", tmp_path).code == 0


def test_a_home_that_is_open_is_refused_with_who_has_it(tmp_path: Path) -> None:
    with running("serve", "--home", tmp_path, "--listen", "127.0.0.1:0") as process:
        ready_url(process)
        done = postbox("status", "--home", tmp_path)
        assert (done.code, done.out) == (1, "")
        assert f"open in another process (pid {process.pid})" in done.err
        process.kill()
        process.wait()
        assert postbox("status", "--home", tmp_path).code == 0, "the lock dies with the process"


def test_a_node_keeps_the_name_it_was_made_with(tmp_path: Path) -> None:
    with running(
        "serve", "--home", tmp_path, "--listen", "127.0.0.1:0", "--name", "my-own-node"
    ) as process:
        ready_url(process)
    assert told("keys", "show", "--home", tmp_path)["name"] == "my-own-node"
    other = postbox("serve", "--home", tmp_path, "--listen", "127.0.0.1:0", "--name", "other")
    assert other.code == 1
    assert "a node keeps its name" in other.err


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with served(tmp_path / "one") as url:
        address = url.removeprefix("http://")
        done = postbox("serve", "--home", tmp_path / "two", "--listen", address)
    assert done.code == 1
    assert "another program listens there" in done.err


def test_a_pull_that_is_killed_loses_nothing_that_it_had_counted(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    server, client = copy_of(imported), tmp_path / "client"
    introduce(server, client)
    with served(server) as url:
        counted = killed_at_line(2, "sync", url, "--mode", "page", "--home", client)
        assert counted > 0
        assert told("status", "--home", client)["events"] >= counted
        report = told("sync", url, "--mode", "page", "--home", client)
    assert (report["rejected"], report["pruned"]) == (0, 0)
    assert report["imported"] + report["duplicates"] == 80_000
    status = told("status", "--home", client)
    assert (status["events"], status["digest"]) == (80_000, imported.digest)
