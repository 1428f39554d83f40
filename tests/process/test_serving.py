"""`postbox serve` and `postbox sync` as processes: they find each other, and they end."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.admin.place import SOCKET
from postbox.world import system_world
from support.command import (
    POSTBOX,
    TIMEOUT_S,
    environment,
    killed_at_line,
    postbox,
    ready_url,
    running,
    served,
    told,
)
from support.homes import Imported
from support.mesh import history_lines, small_history


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
            nothing = {"rejected": 0, "pruned": 0, "forgotten": 0, "verdicts": {}}
            assert (done.code, done.json) == (0, numbers | nothing)
            assert f"pulling from {url}: {sum(numbers.values())} events" in done.err
    digests = {told("status", "--home", home)["digest"] for home in (server, client)}
    assert len(digests) == 1


def test_a_stranger_waits_until_the_operator_lets_it_in(tmp_path: Path, history: Path) -> None:
    """All of it while the node serves: `mesh.admit` is ask."""
    server, client = tmp_path / "server", tmp_path / "client"
    told("import", history, "--home", server)
    (server / "config.toml").write_text('[mesh]\nadmit = "ask"\n')
    with served(server) as url:
        sync = ("sync", url, "--home", client, "--loopback")
        refused = postbox(*sync)
        me = told("keys", "show", "--home", client)
        assert (refused.code, refused.out) == (1, "")
        assert f"postbox trust add {me['name']}" in refused.err
        (waits,) = told("trust", "list", "--home", server)["waiting"]
        assert list(waits) == ["name", "public_key", "id", "address", "since"]
        assert (waits["name"], waits["public_key"]) == (me["name"], me["public_key"])
        assert waits["name"] in postbox("trust", "list", "--home", server).out
        asks, *_, waits_line = postbox("peers", "--home", server).out.splitlines()
        assert (
            asks == "no peer is configured: postbox serve --peer URL, or mesh.peers in config.toml"
        )
        assert waits_line == "Who waits to be let in: 1 (postbox trust list)"
        refused = told("trust", "refuse", me["name"], "--home", server)
        assert refused == {"dropped": 1, "refused": 0}
        assert told("trust", "list", "--home", server)["waiting"] == []
        assert postbox("trust", "add", me["name"], "--home", server).code == 1
        assert postbox(*sync).code == 1  # introduces itself again
        assert told("trust", "add", me["name"], "--home", server)["believed"] == 1
        assert told(*sync)["imported"] == 500
        told_of = postbox("peers", "--home", server).out.splitlines()
        asked = told_of[told_of.index("Who asked this node") :]
        assert asked[2].startswith(me["name"])
        assert len(asked) == 3


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    with running("serve", "--home", tmp_path, "--listen", "127.0.0.1:0") as process:
        ready_url(process)
        process.send_signal(end)
        assert process.wait(timeout=TIMEOUT_S) == 0
    assert postbox("status", "--home", tmp_path).code == 0


def test_a_home_that_is_served_is_not_served_twice(tmp_path: Path) -> None:
    with running("serve", "--home", tmp_path, "--listen", "127.0.0.1:0") as process:
        ready_url(process)
        done = postbox("serve", "--home", tmp_path, "--listen", "127.0.0.1:0")
        assert (done.code, done.out) == (1, "")
        assert f"open in another process (pid {process.pid})" in done.err
        assert told("status", "--home", tmp_path)["url"], "the first one serves as before"
        process.kill()
        process.wait()
        assert told("status", "--home", tmp_path)["url"] is None, "the lock dies with the process"


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
    assert "another program listens there; stop it, or choose another port (--listen)" in done.err


def test_stderr_of_a_node_has_one_json_document_a_line(tmp_path: Path) -> None:
    """The first time with the node that it made, and what others may have to know of it."""
    for made in (["made a new node"], []):
        serve = ("serve", "--home", tmp_path, "--listen", "127.0.0.1:0")
        with running(*serve) as process:
            url = ready_url(process)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=TIMEOUT_S)
        closed, *lines = [json.loads(line) for line in err.splitlines()]
        logged = [line for line in lines if not line["event"].startswith("recovery: ")]
        assert out == ""
        assert closed["event"] == "nobody on this network can get in"
        assert "127.0.0.1 is a loopback address: start the node with --loopback" in closed["why"]
        assert [line["event"] for line in logged] == [*made, "ready", "stopping"]
        assert logged[-2]["url"] == url
        if made:
            me = told("keys", "show", "--home", tmp_path)
            assert (logged[0]["name"], logged[0]["public_key"]) == (me["name"], me["public_key"])
            assert logged[0]["home"] == str(tmp_path)


def test_a_node_with_less_memory_than_history_says_what_it_forgets(
    tmp_path: Path, history: Path
) -> None:
    """At the start by the log, later by the verb that brought the events."""
    home, other = tmp_path / "home", tmp_path / "other"
    told("import", history, "--home", home)
    serve = ("serve", "--home", home, "--listen", "127.0.0.1:0", "--loopback", "--memory", "100")
    with running(*serve) as process:
        ready_url(process)
        (tmp_path / "more").write_bytes(b"\n".join(small_history(5_000)[500:]))
        more = told("import", tmp_path / "more", "--home", home)
        assert more["forgotten"] == more["imported"] > 0
        process.send_signal(signal.SIGTERM)
        err = process.communicate(timeout=TIMEOUT_S)[1]
    logged = [json.loads(line) for line in err.splitlines()]
    (warning,) = [line for line in logged if "count" in line]
    assert warning["event"] == "events leave the log: the ledger has no room for them"
    assert (warning["level"], warning["count"], warning["capacity"]) == ("warning", 400, 100)
    told("import", history, "--home", other)
    with served(other) as url:
        pulled = postbox("sync", url, "--home", home, "--loopback", "--memory", "10", "--json")
    assert "postbox: 90 of 100 events left the log: --memory 10 keeps 10\n" in pulled.err
    assert pulled.json["forgotten"] == 90 + pulled.json["imported"]


def test_a_node_at_every_address_tells_peers_no_url_that_nobody_could_call(tmp_path: Path) -> None:
    """`ready` and `status` have it all the same: it is where the node listens."""
    with running("serve", "--home", tmp_path, "--listen", "0.0.0.0:0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = process.stdout.readline().rpartition(":")[2].strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=TIMEOUT_S) as answer:
            assert json.load(answer)["postbox"]["url"] == ""
        warning = json.loads(process.stderr.readline())
        assert warning["event"] == "peers are told no URL of this node"
        assert told("status", "--home", tmp_path)["url"] == f"http://0.0.0.0:{port}"


def test_a_node_serves_whatever_its_streams_are(tmp_path: Path) -> None:
    for streams in ("<&- >&- 2>&-", ">/dev/full 2>/dev/full"):
        line = f'exec "$@" {streams}'
        words = ("sh", "-c", line, "sh", POSTBOX, "serve", "--home", tmp_path)
        with subprocess.Popen([*words, "--listen", "127.0.0.1:0"], env=environment()) as node:
            try:
                while not (tmp_path / SOCKET).exists():
                    assert node.poll() is None, streams
                assert told("status", "--home", tmp_path)["url"]
                node.send_signal(signal.SIGTERM)
                assert node.wait(timeout=TIMEOUT_S) in (0, 1)
            finally:
                node.kill()


@pytest.mark.parametrize(("hard", "allowed", "warned"), [(2000, 1100, False), (300, 300, True)])
def test_a_node_takes_the_open_files_that_it_needs_as_far_as_it_may(
    tmp_path: Path, hard: int, allowed: int, warned: bool
) -> None:
    """Systems give 1,024 at first, and a node with 1,000 connections has its databases too."""
    line = f'ulimit -Sn 200 && ulimit -Hn {hard} && exec "$@"'
    words = ("bash", "-c", line, "sh", POSTBOX, "serve", "--home", tmp_path)
    with subprocess.Popen(
        [*words, "--listen", "127.0.0.1:0"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as node:
        try:
            ready_url(node)
            soft, _ = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
            assert soft == allowed
            node.send_signal(signal.SIGTERM)
            _, log = node.communicate(timeout=TIMEOUT_S)
        finally:
            node.kill()
    told_of = [line for line in log.splitlines() if "fewer connections" in line]
    assert len(told_of) == warned
    assert not warned or '"connections":200' in told_of[0].replace(" ", "")


def exported(home: Path) -> set[bytes]:
    told("export", home / "all.jsonl", "--home", home)
    return set((home / "all.jsonl").read_bytes().splitlines())


def test_a_stranger_with_an_empty_home_and_one_peer_ends_with_all_80_000_events(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    """Neither ever heard of the other: no key is given to either by hand."""
    server, client = copy_of(imported), tmp_path / "client"
    with served(server) as url, served(client, "--peer", url):
        here = told("keys", "show", "--home", client)["name"]
        clock = system_world().clock
        deadline_s = clock.elapsed_s() + 2 * TIMEOUT_S
        while (status := told("status", "--home", client))["events"] < 80_000:
            assert clock.elapsed_s() < deadline_s, status
        while not exported(client) >= set(history_lines()):  # both have said hello, which counts
            assert clock.elapsed_s() < deadline_s
        (peer,) = told("peers", "--home", client)["peers"]
        assert (peer["kind"], peer["rejected"]) == ("postbox", 0)
        known = {
            row["name"]: row["source"] for row in told("trust", "list", "--home", server)["keys"]
        }
        assert known[here] == "introduction"


def test_a_pull_that_is_killed_loses_nothing_that_it_had_counted(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    server, client = copy_of(imported), tmp_path / "client"
    introduce(server, client)
    with served(server) as url:
        sync = ("sync", url, "--mode", "page", "--home", client, "--loopback")
        counted = killed_at_line(2, *sync)
        assert counted > 0
        assert told("status", "--home", client)["events"] >= counted
        report = told(*sync)
    assert (report["rejected"], report["pruned"]) == (0, 0)
    # A minute after it met the other one the node that serves tells of it, in an event.
    assert report["imported"] + report["duplicates"] >= 80_000
    assert exported(client) >= set(history_lines())
