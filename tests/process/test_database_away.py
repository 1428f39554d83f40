"""A serving node whose database is away: verbs say so, and it stops when it is told to."""

from __future__ import annotations

from pathlib import Path

from support.command import postbox, served, told
from support.postgres import Server


def test_a_node_stops_in_order_though_its_database_is_away(
    tmp_path: Path, own_postgres: Server
) -> None:
    home = tmp_path / "home"
    told("status", "--home", home, "--store", own_postgres.url())
    with served(home):
        own_postgres.stop()
        asked = postbox("status", "--home", home)
        assert (asked.code, "see that the server runs" in asked.err) == (1, True)
    own_postgres.start()
    assert told("status", "--home", home)["events"] == 0
