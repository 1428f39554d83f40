"""A disk that is really full, under the node that serves."""

from __future__ import annotations

import signal
from pathlib import Path

from support.command import TIMEOUT_S, counts, postbox, ready_url, running, told
from support.mesh import small_history
from support.small_disk import small_disk

EVENTS = 15_000  # of half a kilobyte and more, with what finds them


def test_a_node_whose_disk_is_full_goes_on_and_takes_more_when_there_is_room(
    tmp_path: Path,
) -> None:
    history = tmp_path / "history.jsonl"
    history.write_bytes(b"\n".join(small_history(EVENTS)))
    with small_disk(6) as disk, (tmp_path / "log").open("w") as log:
        home = disk.path / "home"
        serve = ("serve", "--home", home, "--listen", "127.0.0.1:0", "--loopback")
        with running(*serve, log=log) as node:
            ready_url(node)
            done = postbox("import", history, "--home", home)
            assert done.code == 1
            assert f"no room for {home}/postbox.db" in done.err
            assert "make room on the disk of the home; nothing was written" in done.err
            counted = max([0, *counts(done.err.splitlines())])
            assert counted <= told("status", "--home", home)["events"] < EVENTS
            disk.resize(100)
            report = told("import", history, "--home", home)
            assert report["imported"] + report["duplicates"] == EVENTS
            node.send_signal(signal.SIGTERM)
            assert node.wait(timeout=TIMEOUT_S) == 0
        verified = told("verify", "--home", home)
        assert (verified["checked"], verified["wrong"]) == (EVENTS, [])
