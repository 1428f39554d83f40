"""A serving node whose database is away: verbs say so, and it stops when it is told to."""

from __future__ import annotations

from pathlib import Path

from support.command import postbox, running, served, told
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


WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


def test_a_node_stops_in_order_though_its_database_waits_for_a_standby_that_is_gone(
    tmp_path: Path, own_postgres: Server
) -> None:
    """What was being written then is not told as written, and may be there all the same."""
    home = tmp_path / "home"
    own = told("keys", "show", "--home", home, "--store", own_postgres.url())
    with served(home):
        own_postgres.configure("synchronous_standby_names", "nobody")
        with running("trust", "add", "ann", own["public_key"], "--home", home) as adding:
            while not own_postgres.run(WAITING):
                assert adding.poll() is None
    own_postgres.configure("synchronous_standby_names", "")
    assert told("status", "--home", home)["keys"] in (1, 2)
